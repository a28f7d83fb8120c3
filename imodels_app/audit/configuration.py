"""Which version runs with which settings: an event whenever a worker starts with others than the last one."""

import hashlib
import json
from typing import Any

from django.conf import settings
from django.core.cache import cache
from redis import RedisError

from imodels_app.audit import events
from imodels_app.models import Event
from imodels_app.runtime import clock
from imodels_app.states import Verb

# Workers of one installation start together: one of them tells.
TOGETHER_S = 60


def record_change() -> None:
    """Compare with the last event, and write another if something differs."""
    last = Event.objects.filter(verb=Verb.CONFIGURED).order_by("at", "pk").last()
    before = last.data if last else {}
    now: dict[str, Any] = {"version": settings.VERSION, "settings": settings.CONFIGURATION}
    if all(before.get(name) == now[name] for name in now) or not _is_first(now):
        return
    was, is_now = before.get("settings", {}), settings.CONFIGURATION
    changed = sorted(name for name in {*was, *is_now} if was.get(name) != is_now.get(name))
    note = f"Version {settings.VERSION}" + (f"; changed: {', '.join(changed)}" if last and changed else "")
    events.record(Verb.CONFIGURED, at=clock.now(), note=note, **now)


def _is_first(configured: dict[str, Any]) -> bool:
    """Whether nobody else is telling the same. Without Redis each is the first."""
    digest = hashlib.sha256(json.dumps(configured, sort_keys=True).encode()).hexdigest()
    try:
        return bool(cache.add(f"configured:{digest}", 1, TOGETHER_S))
    except (RedisError, OSError):
        return True
