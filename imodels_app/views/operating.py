"""For operators: how much waits and what the rate limits leave, as a page for admins and as figures for Prometheus."""

import hmac
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from imodels_app.decorators import auditor
from imodels_app.display.load import LimitUse, Load, bands, load
from imodels_app.limits import rate_limits
from imodels_app.middleware import client_address
from imodels_app.runtime import clock


@auditor
@never_cache
@require_safe
def operating(request: HttpRequest) -> HttpResponse:
    """The page."""
    now = clock.now()
    context = {"section": "operating", "load": load(now), "bands": bands(), "now": now}
    context["worth_s"] = rate_limits.poll_worth_s()
    return render(request, "operating/operating.html", context)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The same in Prometheus' text format, without names or addresses of anybody. For others it does not exist."""
    if not _may_read(request):
        raise Http404
    # No counters of this process: all that is told is in the database, the same for each of them.
    registry = CollectorRegistry()
    registry.register(_Collector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    """Whoever shows the token, or comes from an address that was named."""
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    if settings.METRICS_TOKEN and hmac.compare_digest(shown, settings.METRICS_TOKEN.encode()):
        return True
    address = client_address(request)
    return bool(address) and any(ip_address(address) in network for network in settings.METRICS_ADDRESSES)


class _Collector:
    def collect(self) -> Iterator[Metric]:
        now = load(clock.now())
        yield from _steps(now)
        yield from _limits(now)
        yield from _following(now)
        yield _gauge("uploads", "Baseline files on their way to the platform.", now.uploads)
        yield _gauge("upload_bytes_left", "Bytes of them that are still to be sent.", now.upload_bytes_left)
        yield _gauge("outbox_messages", "Messages that are to be sent.", now.mails)
        yield _gauge("outbox_late_seconds", "How long the oldest of them has been due.", now.mail_late_s)
        silent = GaugeMetricFamily("desk_silent_seconds", "Since the last sign of life of a worker.", labels=["worker"])
        for name, silent_s in now.workers.items():
            silent.add_metric([name], float("inf") if silent_s is None else silent_s)
        yield silent


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"desk_{name}", text, value=value)


def _steps(now: Load) -> Iterator[Metric]:
    rows = GaugeMetricFamily("desk_operations", "Operations that are to be acted on.", labels=["state"])
    late = GaugeMetricFamily("desk_late_seconds", "How long the oldest of them has been due.", labels=["state"])
    for step in now.steps:
        rows.add_metric([step.name], step.rows)
        late.add_metric([step.name], step.late_s)
    yield from (rows, late)


def _limits(now: Load) -> Iterator[Metric]:
    figures: dict[str, tuple[str, Callable[[LimitUse], float]]] = {
        "limit_per_minute": ("Requests that a minute may have.", lambda one: one.limit),
        "sent_last_minute": ("Requests sent within a minute.", lambda one: one.minute),
        "sent_last_hour": ("Requests sent within an hour.", lambda one: one.hour),
        "refused_last_hour": ("Answers of 429 within an hour.", lambda one: one.refused),
        "frozen": ("1 while the platform's Retry-After holds.", lambda one: bool(one.frozen_until)),
    }
    for name, (text, value) in figures.items():
        family = GaugeMetricFamily(f"desk_{name}", text, labels=["limit"])
        for one in now.limits:
            family.add_metric([one.bucket], value(one))
        yield family
    yield CounterMetricFamily("desk_calls", "Calls to the platform.", value=now.calls)
    yield _gauge("polls_left", "Polls that the limit of all calls allows now.", now.calls_left)


def _following(now: Load) -> Iterator[Metric]:
    yield _gauge("listed_operations", "Running operations that are followed by a list.", now.by_list)
    yield _gauge("ended_last_hour", "Operations that ended within an hour.", now.followed.ended)
    yield _gauge("polls_of_ended", "Polls of those that ended within an hour.", now.followed.polls)
    if now.followed.lag_s is not None and now.followed.least_s is not None:
        yield _gauge("lag_seconds", "How late their ends were noticed.", now.followed.lag_s)
        yield _gauge("least_lag_seconds", "How late so many polls of each would notice at least.", now.followed.least_s)
