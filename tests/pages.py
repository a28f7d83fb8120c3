"""Every page, found in the desk’s addresses: a new one is walked by itself, and one that nobody reaches fails."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, reverse
from django.urls.converters import IntConverter

from imodels_app.models import ApprovalRule, Operation, Preset, StagedFile, Team, User
from imodels_app.urls import urlpatterns

# For machines, pieces of pages, and the way to the provider.
NO_PAGES = {
    *("metrics", "healthz", "readyz", "audit-export", "access", "sign-in-callback", "request-checks"),
    *("staged-files", "staged-file", "sign-in-start"),
    *("pick-itwins", "pick-imodels", "pick-changesets", "pick-versions"),
}
# What a page is about, by a word of its name; else an operation.
ABOUT: dict[str, type[Model]] = {"team": Team, "person": User, "rule": ApprovalRule, "preset": Preset}
ABOUT |= {"staged": StagedFile}


def every_page(of: Mapping[str, Client]) -> dict[str, list[str]]:
    """The pages that each of these people is shown, and nobody before them: of each address the first there is."""
    left = [pattern for pattern in urlpatterns if pattern.name not in NO_PAGES]
    found: dict[str, list[str]] = {who: [] for who in of}
    for who, client in of.items():
        for pattern in list(left):
            statuses = set()
            for address in _addresses(pattern):
                statuses.add(status := client.get(address).status_code)
                if status == 200:
                    found[who].append(address)
                    break
            if statuses & {200, 302, 405}:  # or a way elsewhere, or a form that is sent
                left.remove(pattern)
    assert not left, f"nobody is shown {[pattern.name for pattern in left]}"
    return found


def _addresses(pattern: URLPattern) -> list[str]:
    wanted, name = pattern.pattern.converters, str(pattern.name)
    arguments: list[dict[str, Any]] = [{}]
    if "pk" in wanted:
        model = next((model for word, model in ABOUT.items() if word in name), Operation)
        keys = list(model._default_manager.values_list("pk", flat=True))
        is_number = isinstance(wanted["pk"], IntConverter)
        # Of what is asked by POST alone there need not be any.
        fitting = [key for key in keys if isinstance(key, int) == is_number] or [1 if is_number else uuid4()]
        arguments = [{"pk": key} for key in fitting]
    elif wanted:
        [argument] = wanted
        values = {"kind": ["clone"]} | {one: _values(one) for one in ("itwin_id", "imodel_id")}
        arguments = [{argument: value} for value in values[argument]]
    return [reverse(f"imodels:{name}", kwargs=one) for one in arguments]


def _values(column: str) -> list[str]:
    return list(Operation.objects.exclude(**{column: ""}).order_by(column).values_list(column, flat=True).distinct())
