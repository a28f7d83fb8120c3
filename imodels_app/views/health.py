"""For machines: is this process alive, and can the whole do its work?"""

from contextlib import suppress
from threading import Thread

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from imodels_app.runtime import heartbeat

# A database that has not answered by then counts as gone. Probes wait about so long.
WITHIN_S = 3.0


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while this process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Each part by name: "ok" or what is wrong. 503 unless the database answers: without it there is no page."""
    workers = {"worker": _worker(heartbeat.KEY), "poller": _worker(heartbeat.POLLER)}
    parts = {"database": _database(), "redis": _redis(), **workers}
    return JsonResponse(parts, status=200 if parts["database"] == "ok" else 503)


class _Question(Thread):
    """One question to the database, in a thread of its own: a server that is frozen gives no answer, not even an error,
    and no time-out of ours ends the wait for it.
    """

    answer = "not answering"

    def __init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        try:
            with suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                self.answer = "ok"
        finally:
            connection.close()


_asked = _Question()


def _database() -> str:
    global _asked  # noqa: PLW0603 - while one question is open no other is put, however often somebody probes
    if not _asked.is_alive():
        _asked = _Question()
        _asked.start()
    question = _asked
    question.join(WITHIN_S)
    return question.answer


def _redis() -> str:
    try:
        cache.get(heartbeat.KEY)
    except (RedisError, OSError):
        return "not answering"
    return "ok"


def _worker(whose: str) -> str:
    try:
        age_s = heartbeat.age_s(whose)
    except (RedisError, OSError, DatabaseError):
        return "unknown"
    if age_s is None or age_s > heartbeat.SILENT_AFTER_S:
        return "not consuming"
    return "ok"
