"""How ids, names, numbers, times and sizes are written, everywhere the same."""

import shlex
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone


def short_id(whole: object) -> str:
    """A GUID or hash as one recognises it: 91c4d2ab…07be."""
    text = str(whole)
    return f"{text[:8]}…{text[-4:]}" if len(text) > 14 else text


def lower_first(text: str) -> str:
    """For the middle of a sentence: failed: FederationGuids missing."""
    return text[:1].lower() + text[1:]


def code_text(code: str) -> str:
    """sign_in_failed as people read it: Sign in failed."""
    return code.replace("_", " ").capitalize()


def first_name(name: str) -> str:
    return name.split()[0] if name.split() else name


def short_name(name: str) -> str:
    """Mara L."""
    words = name.split()
    return f"{words[0]} {words[-1][0]}." if len(words) > 1 else name


def curl(url: str, body: str) -> str:
    """The exact request for a shell. The token is a variable that the person sets."""
    headers = ("Accept: application/vnd.bentley.itwin-platform.v2+json", "Content-Type: application/json")
    lines = [
        f"curl -X POST {shlex.quote(url)}",
        '-H "Authorization: Bearer $ITWIN_TOKEN"',
        *(f"-H {shlex.quote(header)}" for header in headers),
        f"--data-raw {shlex.quote(body)}",
    ]
    return " \\\n  ".join(lines)


# Times and numbers


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th, 1 002nd"""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{thousands(number)}{ending}"


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%H:%M}"


def clock_s(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%H:%M:%S}"


def day(on: date, now: datetime | None = None) -> str:
    """20 Nov; with the year when it is another one: 20 Nov 2025."""
    return f"{on.day} {on:%b}" + ("" if on.year == timezone.localtime(now).year else f" {on.year}")


def weekday(on: date, now: datetime | None = None) -> str:
    """Fri 20 Nov"""
    return f"{on:%a} {day(on, now)}"


def day_time(moment: datetime, now: datetime | None = None) -> str:
    """Fri 20 Nov 17:00"""
    local = timezone.localtime(moment)
    return f"{weekday(local, now)} {local:%H:%M}"


def deadline(moment: datetime, now: datetime | None = None) -> str:
    """Fri 20 Nov 17:00 UTC: for what people have to keep, and read elsewhere than here."""
    return f"{day_time(moment, now)} {zone(moment)}"


def zone(moment: datetime) -> str:
    """UTC or CET; a zone that has no letters by its distance: UTC-03."""
    name = f"{timezone.localtime(moment):%Z}"
    return name if name[:1].isalpha() else f"UTC{name}"


def moment(at: datetime, now: datetime | None = None) -> str:
    """The least that is exact enough: 10:42:50 within the hour, 10:45 today, Fri 20 Nov 17:00, 20 Nov 2025."""
    now = now or timezone.now()
    if abs(at - now) < timedelta(hours=1):
        return clock_s(at)
    local, here = timezone.localtime(at), timezone.localtime(now)
    if local.date() == here.date():
        return clock(at)
    return day_time(at, now) if abs(at - now) < timedelta(days=300) else f"{local.day} {local:%b %Y}"


def exact(moment: datetime) -> str:
    """Fri 20 Nov 2026 17:00:05 UTC"""
    local = timezone.localtime(moment)
    return f"{local:%a} {local.day} {local:%b %Y %H:%M:%S} {zone(moment)}"


def audit_time(moment: datetime, now: datetime | None = None) -> str:
    """20 Nov 10:38:12"""
    return f"{day(timezone.localtime(moment), now)} {clock_s(moment)}"


def history_time(moment: datetime, now: datetime | None = None) -> str:
    """Exact seconds: 10:38:12 today, 20 Nov 10:38:12 on other days."""
    local = timezone.localtime(moment)
    if local.date() == timezone.localtime(now).date():
        return clock_s(moment)
    return audit_time(moment, now)


def lasted(time: timedelta) -> str:
    """42 s, 4 min 12 s, 2 h 40 min, 3 d"""
    seconds = max(round(time.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds % 60 else "")
    if seconds < 86400:
        return f"{seconds // 3600} h" + (f" {seconds % 3600 // 60} min" if seconds % 3600 // 60 else "")
    return f"{seconds // 86400} d"


def lasted_s(seconds: float) -> str:
    """As lasted(), of a number of seconds."""
    return lasted(timedelta(seconds=seconds))


def age(at: datetime, now: datetime | None = None) -> str:
    """How long ago, in one unit: 3 s, 38 min, 1 h, 2 d. live.js counts on, in the same words."""
    seconds = max(int(((now or timezone.now()) - at).total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def file_size(size: int) -> str:
    """12 KiB, 300 MiB, 2.1 GiB; upload.js says it in the same way."""
    if size < 1024:
        return f"{size} bytes"
    amount, unit = _in_unit(size)
    return f"{_short(size / amount)} {unit}"


def arrived(received: int, size: int) -> str:
    """120 of 300 MiB, both in the unit of the whole."""
    amount, unit = _in_unit(size)
    return f"{_short(received / amount)} of {_short(size / amount)} {unit}"


def _in_unit(size: int) -> tuple[int, str]:
    return next(((amount, unit) for amount, unit in _UNITS if size >= amount), _UNITS[-1])


def _short(number: float) -> str:
    """At most one digit after the point, and none from 100 on."""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}".removesuffix(".0")


def thousands(number: int) -> str:
    """18 204, with a narrow space that does not break."""
    return f"{number:,}".replace(",", "\u202f")


def at_most(number: int, most: int) -> str:
    """A number that was counted no further than one beyond the most: 10 000+."""
    return thousands(number) if number <= most else f"{thousands(most)}+"


# In this order: most browsers name those that they descend from, too.
_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrom": "Chrome", "Safari": "Safari"}
_SYSTEMS = {
    "Windows": "Windows",
    "iPhone": "iOS",
    "iPad": "iPadOS",
    "Android": "Android",
    "Mac OS": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def browser(client: str) -> str:
    """Firefox on Windows: what a person recognizes in a User-Agent."""
    name = next((name for mark, name in _BROWSERS.items() if mark in client), "Another browser")
    system = next((f" on {system}" for mark, system in _SYSTEMS.items() if mark in client), "")
    return f"{name}{system}"
