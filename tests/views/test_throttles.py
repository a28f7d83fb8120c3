"""What one person or address may do how often: who does more waits, loses nothing, and holds up nobody else."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import URLPattern, reverse

from dashboard import urls as desk_urls
from imodels_app import urls
from imodels_app.accounts import tokens
from imodels_app.limits import throttles
from imodels_app.models import Operation, User
from imodels_app.views.new_imodel import FORMS
from tests.views.test_new_imodel import address, typed

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

PK = "00000000-0000-4000-8000-000000000000"
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "100", "Upload-Metadata": "filename aGFyYm91ci5iaW0="}
BY_ADDRESS = {
    "sign-in": lambda client: client.get(reverse("imodels:sign-in-start"), {"next": "/approvals/"}),
    "callback": lambda client: client.get(reverse("imodels:sign-in-callback"), {"code": "x", "state": "y"}),
}


def _post(view, *args, **sent):
    return lambda client: client.post(reverse(f"imodels:{view}", args=args), sent)


BY_PERSON = {
    **{f"request {kind.value}": (throttles.REQUESTS, _post(f"request-{kind.value}", name="Pier 7")) for kind in FORMS},
    "export": (throttles.EXPORTS, lambda client: client.get(reverse("imodels:audit-export"))),
    "save a preset": (throttles.PRESETS, _post("save-preset", "empty", name="Pier 7")),
    "name a preset": (throttles.PRESETS, _post("save-preset", "empty", name="Pier 7", preset_name="Piers")),
    "change a preset": (throttles.PRESETS, _post("preset-detail", PK, preset_name="Piers")),
    "delete a preset": (throttles.PRESETS, _post("delete-preset", PK)),
    "upload": (throttles.UPLOADS, lambda client: client.post(reverse("imodels:staged-files"), headers=TUS)),
    "approve": (throttles.DECISIONS, _post("approve", PK, comment="Fine.")),
    "reject": (throttles.DECISIONS, _post("reject", PK, comment="No.")),
    "cancel": (throttles.DECISIONS, _post("cancel", PK)),
    "act on several": (throttles.DECISIONS, _post("act-on-several", pick=PK, act="cancel")),
    "delete an orphan": (throttles.DECISIONS, _post("delete-orphan", PK)),
}


DUMMIES = {"uuid": PK, "int": "1", "slug": "x", "str": "clone"}
# Each view's address, with ids of what is not there.
ADDRESSES = {
    pattern.name: "/" + re.sub(r"<(\w+):\w+>", lambda found: DUMMIES[found[1]], str(pattern.pattern))
    for pattern in (*urls.urlpatterns, *desk_urls.urlpatterns)
    if isinstance(pattern, URLPattern)
}
# Why not: none of them asks or tells anybody anything, or leaves a row beside those that were there.
NOT_THROTTLED = {
    "theme": "sets cookies",
    "preferences": "overwrites one's own choices",
    "sign-out": "ends one's session",
    "admin-logout": "ends one's session",
    "end-session": "ends what sign-ins have begun",
    "end-all-sessions": "ends what sign-ins have begun",
    "approval-list": "shows again what was ticked",
    "approval-detail": "shows again what was typed",
    "staged-files": "counts what speaks the protocol: `upload` above",
    "staged-file": "takes pieces of what was counted when it was announced",
    "remove-staged-file": "removes what was counted when it was announced",
}


def use_up(throttle, who):
    """All that this person or address may do this minute."""
    with suppress(throttles.Throttled):
        while True:
            throttles.count(throttle, who)


def refused(what, client, person):
    """Do once more what was done too often; again if a minute has just begun."""
    throttle, send = BY_PERSON[what]
    for _ in range(2):
        use_up(throttle, f"person-{person.pk}")
        answer = send(client)
        if answer.status_code == 429:
            break
    return answer


def flood(send, client, throttle):
    """Send it until it is refused. A minute may end meanwhile, so that it takes twice as many."""
    answers = (send(client) for _ in range(2 * throttle.a_minute + 1))
    return next(answer for answer in answers if answer.status_code == 429)


@pytest.fixture
def at_desk(client, ines, sandbox):
    """A browser in which an admin is signed in: she may do all of it."""
    tokens.store(ines, sandbox.tokens_for("ines"))
    client.force_login(ines)
    return client


@pytest.fixture
def beside(mara, sandbox):
    """Another person's browser, at the same address."""
    tokens.store(mara, sandbox.tokens_for("mara"))
    User.objects.filter(pk=mara.pk).update(is_staff=True)
    browser = Client()
    browser.force_login(mara)
    return browser


@pytest.mark.parametrize("what", BY_PERSON)
def test_one_person_who_does_it_too_often_waits_and_nobody_else(at_desk, beside, ines, what):
    answer = refused(what, at_desk, ines)

    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= throttles.WINDOW_S
    assert re.search(r"at most \d+ .* a minute. Try again in \d+ s", answer.content.decode())
    assert BY_PERSON[what][1](beside).status_code != 429
    assert at_desk.get(reverse("imodels:operation-list")).status_code == 200


def test_every_view_that_takes_a_post_is_throttled_for_each_person_or_says_why_not(at_desk, ines):
    """Whoever has used up all of it is refused by each of them, before it looks for what it is about."""
    unthrottled = set(ADDRESSES)
    for _ in range(2):  # a minute may end meanwhile
        for throttle in vars(throttles).values():
            if isinstance(throttle, throttles.Throttle):
                use_up(throttle, f"person-{ines.pk}")
        for name in sorted(unthrottled):
            at_desk.force_login(ines)
            if at_desk.post(ADDRESSES[name]).status_code in (405, 429):
                unthrottled.discard(name)

    assert sorted(unthrottled) == sorted(NOT_THROTTLED)


@pytest.mark.parametrize("what", BY_ADDRESS)
def test_one_address_that_signs_in_too_often_waits_and_no_other(client, sandbox, what):
    answer = flood(BY_ADDRESS[what], client, throttles.SIGN_INS)

    assert 1 <= int(answer["Retry-After"]) <= throttles.WINDOW_S
    assert BY_ADDRESS[what](Client(REMOTE_ADDR="192.0.2.7")).status_code != 429


def test_a_refused_callback_asks_the_sign_in_service_nothing(client, sandbox):
    flood(BY_ADDRESS["callback"], client, throttles.SIGN_INS)
    asked = len(sandbox.journal)

    assert BY_ADDRESS["callback"](client).status_code == 429

    assert len(sandbox.journal) == asked


@pytest.mark.django_db(transaction=True)
def test_exports_at_the_same_time_are_counted_like_others(ines, sandbox):
    def export(_: int) -> int:
        browser = Client()
        browser.force_login(ines)
        try:
            return BY_PERSON["export"][1](browser).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(export, range(4 * throttles.EXPORTS.a_minute)))

    assert answers.count(200) <= 2 * throttles.EXPORTS.a_minute  # if a minute ended meanwhile
    assert 429 in answers


def test_what_was_typed_is_sent_again_as_it_was(at_desk, ines):
    wanted = typed("empty", name="Pier 7 <b>", description='Two words, and a "quote"')
    use_up(throttles.REQUESTS, f"person-{ines.pk}")
    answer = at_desk.post(address("empty"), wanted)
    assert answer.status_code == 429
    assert "Nothing was changed" in answer.content.decode()

    cache.clear()  # the minute is over
    form = answer.content.decode().partition('<form class="actions"')[2].partition("</form>")[0]
    again = {name: html.unescape(text) for name, text in re.findall(r'name="([^"]+)" value="([^"]*)"', form)}
    again.pop("csrfmiddlewaretoken")
    assert again == wanted
    at_desk.post(address("empty"), again)

    assert [operation.name for operation in Operation.objects.all()] == ["Pier 7 <b>"]


def test_forms_can_still_be_read(at_desk, ines):
    refused("request clone", at_desk, ines)

    assert at_desk.get(address("clone")).status_code == 200


def test_without_redis_nothing_is_throttled(client, ines, redis_process):
    client.force_login(ines)
    redis_process.stop()

    for _ in range(throttles.EXPORTS.a_minute + 1):
        assert BY_PERSON["export"][1](client).status_code == 200


def test_a_flushed_redis_gives_one_more_minutes_worth(at_desk):
    throttle, export = BY_PERSON["export"]
    flood(export, at_desk, throttle)

    cache.clear()

    assert export(at_desk).status_code == 200
    assert flood(export, at_desk, throttle).status_code == 429


def test_strangers_leave_no_rows(client, django_assert_num_queries, sandbox):
    flood(BY_ADDRESS["callback"], client, throttles.SIGN_INS)

    with django_assert_num_queries(0):
        BY_ADDRESS["callback"](client)


def test_a_decision_that_comes_too_often_keeps_its_comment(client, tomas, waiting_fork):
    client.force_login(tomas)
    use_up(throttles.DECISIONS, f"person-{tomas.pk}")

    page = client.post(reverse("imodels:reject", args=[waiting_fork.pk]), {"comment": "Use the old one."})

    assert page.status_code == 429
    assert 'name="comment" value="Use the old one."' in page.content.decode()
    assert not waiting_fork.decisions.exists()
