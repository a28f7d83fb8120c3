"""Live pages: a token that changes when what is shown changes, and a merge that disturbs nobody."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connections
from django.db.models import F
from django.utils import timezone
from playwright.sync_api import Error as PlaywrightError

from imodels_app import lifecycle
from imodels_app.accounts.sessions import SessionStore
from imodels_app.display import live
from imodels_app.limits import circuit_breaker, rate_limits
from imodels_app.models import About, Change, Mark, Membership, Operation, User
from imodels_app.models.changes import Condition
from imodels_app.states import Kind, State
from tests.files import a_file
from tests.waiting import wait_until


def missed(mark: Mark) -> set[str]:
    """What somebody who has read up to there has missed."""
    return {about for about in About.values if Condition("about = %s", (about,)).has_missed(mark)}


@pytest.fixture
def running_upload(transactional_db, baseline_of):
    operation = baseline_of(a_file())
    lifecycle.claim(operation, bucket="create", now=timezone.now())
    lifecycle.accepted(operation, imodel_id=str(uuid4()))
    lifecycle.lease_upload(operation)
    return operation


@pytest.mark.django_db(transaction=True)
def test_what_people_see_of_an_operation_is_a_change_and_what_workers_note_is_none(running_upload, mara):
    mark = Mark.now()
    lifecycle.renew_upload_lease(running_upload, sent_bytes=0)
    Operation.objects.update(polled_at=timezone.now())
    User.objects.update(last_login=timezone.now())
    rate_limits.count_call(timezone.now())
    assert missed(mark) == set()

    for act, about in (
        (lambda: lifecycle.renew_upload_lease(running_upload, sent_bytes=1), "operation"),
        (lambda: lifecycle.failed(running_upload, code="failed"), "operation"),
        (lambda: lifecycle.comment(running_upload, "Why?", by=mara), "operation"),
        (lambda: lifecycle.delete_orphan(running_upload, by=mara), "operation"),
        (lambda: User.objects.filter(pk=mara.pk).update(first_name="Marah"), "rights"),
        (lambda: Membership.objects.all().delete(), "rights"),
        (lambda: rate_limits.freeze("clone", timezone.now(), timezone.now()), "limits"),
        (lambda: [circuit_breaker.record_failure(timezone.now()) for _ in range(5)], "outage"),
    ):
        mark = Mark.now()
        act()
        assert about in missed(mark)
        assert missed(Mark.now()) == set()


@pytest.mark.django_db(transaction=True)
def test_of_an_operation_that_changes_its_team_both_hear(queued_clone, otto):
    mark, before = Mark.now(), queued_clone.team_id

    Operation.objects.filter(pk=queued_clone.pk).update(team=otto.membership_set.get().team, version=9)

    for team in (before, otto.membership_set.get().team_id):
        assert Condition("team_id = %s", (team,)).has_missed(mark)


@pytest.mark.on_postgres
@pytest.mark.django_db(transaction=True)
def test_a_change_that_commits_late_is_not_missed(client, mara, queued_clone, spec_for):
    """It takes its number before another that commits first, and before a page is read that shows that other one."""
    client.force_login(mara)
    connection = connections["default"].copy()
    try:
        connection.set_autocommit(False)
        with connection.cursor() as late:
            late.execute("UPDATE imodels_app_operation SET version = 7, name = 'Late' WHERE id = %s", [queued_clone.pk])
            lifecycle.request(spec_for(Kind.EMPTY, name="Early"), by=mara)
            shown = client.get("/operations/")
        early = poll(client, shown)
        connection.commit()
    finally:
        connection.close()

    assert ("Early" in shown.text, "Late" in shown.text, early.status_code) == (True, False, 204)
    assert "Late" in poll(client, shown).text


@pytest.mark.django_db
def test_what_was_forgotten_is_an_hour_old(queued_clone):
    now = timezone.now()
    Change.objects.delete_old(now + timedelta(minutes=59))
    assert Change.objects.exists()

    Change.objects.delete_old(now + timedelta(minutes=61))
    assert not Change.objects.exists()


# ---------- a poll ----------


def poll(client, shown, address="/operations/"):
    seen = urlencode({"seen": shown.context["seen"]})
    return client.get(f"{address}{'&' if '?' in address else '?'}{seen}", headers={"HX-Request": "true"})


@pytest.fixture
def ended_clone(queued_clone, mara, transactional_db):
    lifecycle.cancel(queued_clone, by=mara)
    return queued_clone


@pytest.mark.parametrize(
    "address", ["/operations/?whose=team", "/operations/{pk}/", "/approvals/", "/orphans/"], ids=lambda text: text[:14]
)
def test_a_poll_that_missed_nothing_costs_next_to_nothing(
    client, tomas, ended_clone, django_assert_max_num_queries, address
):
    address = address.format(pk=ended_clone.pk)
    client.force_login(tomas)
    shown = client.get(address)

    with django_assert_max_num_queries(4):
        answer = poll(client, shown, address)

    # What a web server adds: its own line, the date, that nothing follows.
    sent = sum(len(f"{name}: {value}\r\n") for name, value in answer.items()) + 120
    assert (answer.status_code, answer.content, sent <= 400) == (204, b"", True)
    assert not answer.cookies


def test_a_change_elsewhere_moves_the_token_on_and_draws_nothing(client, tomas, ended_clone, bridge_team):
    client.force_login(tomas)
    shown = client.get("/operations/?whose=team&state=running")
    Operation.objects.filter(pk=ended_clone.pk).update(version=9)

    answer = poll(client, shown, "/operations/?whose=team&state=running")

    assert (answer.status_code, live.SEEN in answer.headers) == (204, True)


@pytest.mark.parametrize("what", ["row", "new row", "limits"])
def test_what_changed_comes_and_nothing_else(client, tomas, mara, ended_clone, bridge_team, spec_for, what):
    client.force_login(tomas)
    shown = client.get("/operations/?whose=team")
    if what == "row":
        Operation.objects.filter(pk=ended_clone.pk).update(version=9)
    elif what == "new row":
        lifecycle.request(spec_for(Kind.EMPTY), by=mara)
    else:
        rate_limits.freeze("clone", timezone.now() + timedelta(hours=1), timezone.now())

    text = poll(client, shown, "/operations/?whose=team").text

    parts = ("summary", "rate-limits", "tabs", "operations", "pager", "banners", "waiting-for-me")
    drawn = [name for name in parts if f'id="{name}"' in text]
    expected = {"row": ([], 1), "new row": ([*parts[:5]], 2), "limits": (["rate-limits"], 0)}
    assert (drawn, text.count("<tr id=")) == expected[what]


def test_what_makes_no_sense_was_not_seen(client, mara, ended_clone):
    client.force_login(mara)
    good = str(client.get("/operations/").context["seen"])

    for seen in ("", "~", "x" * 400, good.replace("~", "~9" * 9), good.replace(".", "-"), f"{2**70}{good}"):
        answer = client.get("/operations/", {"seen": seen}, headers={"HX-Request": "true"})
        assert "Pier 7 copy" in answer.text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("states", "seconds"),
    [([], 30), ([State.FAILED], 30), ([State.AWAITING_APPROVAL], 5), ([State.RUNNING, State.FAILED], 2)],
)
def test_what_moves_is_looked_at_more_often(states, seconds):
    assert live.pace([Operation(state=state) for state in states]) == seconds


# ---------- in a browser ----------


@pytest.fixture
def enter(live_server, transactional_db):
    """enter(page, person): a tab in which this person is signed in."""

    def sign_in(page, person: User) -> None:
        session = SessionStore()
        session[SESSION_KEY] = str(person.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = person.get_session_auth_hash()
        session.save()
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": live_server.url}
        page.context.add_cookies([cookie])

    return sign_in


def test_a_change_of_one_row_disturbs_nothing_else(page, enter, mara, queued_clone, spec_for):
    other = lifecycle.request(spec_for(Kind.EMPTY, name="Undisturbed"), by=mara)
    enter(page, mara)
    page.goto("/operations/")
    page.check(f"#pick-{queued_clone.pk}")
    page.click(f"#menu-{queued_clone.pk}")
    page.focus(f"#open-{queued_clone.pk}")
    page.evaluate("id => { window.kept = document.getElementById(id) }", f"op-{other.pk}")

    lifecycle.cancel(queued_clone, by=mara)

    page.wait_for_selector(f"#op-{queued_clone.pk}.changed >> text=Cancelled")
    assert page.is_checked(f"#pick-{queued_clone.pk}")
    assert page.evaluate("document.activeElement.id") == f"open-{queued_clone.pk}"
    assert page.evaluate("id => window.kept === document.getElementById(id)", f"op-{other.pk}")
    assert page.inner_text("#operations-status") == "Pier 7 copy: Cancelled, by Mara before it was sent."


def test_a_new_operation_comes_by_itself_even_to_an_empty_table(page, enter, mara, bridge_team, spec_for):
    enter(page, mara)
    page.goto("/operations/")
    page.evaluate("document.querySelector('[data-live]').dataset.pace = '1'")

    lifecycle.request(spec_for(Kind.EMPTY, name="Just asked for"), by=mara)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    page.wait_for_selector("text=Just asked for")


def test_paused_means_no_poll_not_even_on_return(page, enter, mara, queued_clone):
    enter(page, mara)
    page.clock.install()
    page.goto("/operations/")
    polls = []
    page.on("request", lambda request: "hx-request" in request.headers and polls.append(request.url))

    page.click("#pause")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.fast_forward(60_000)

    assert page.inner_text("#pause") == "Resume"
    assert polls == []
    with page.expect_request(lambda request: "hx-request" in request.headers):
        page.click("#pause")


@pytest.mark.parametrize(("who", "polls"), [("tomas", 1), ("mara", 0)])
def test_a_leads_hidden_page_asks_once_a_minute_for_its_title_and_nobody_elses(
    page, enter, request, waiting_fork, who, polls
):
    enter(page, request.getfixturevalue(who))
    page.clock.install()
    page.goto("/operations/")
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { get: () => true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    asked = []
    page.on("request", lambda one: "hx-request" in one.headers and asked.append(one.url))

    page.clock.run_for(61_000)

    assert len(asked) == polls


def test_a_slash_goes_to_the_search_and_into_a_field_it_is_a_slash(page, enter, mara, queued_clone):
    enter(page, mara)
    page.goto("/operations/")

    page.keyboard.press("/")
    page.keyboard.type("a/b")

    assert page.input_value("#q") == "a/b"


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param({"theme": "light"}, id="light", marks=pytest.mark.soak),
        pytest.param({"theme": "dark"}, id="dark"),
        pytest.param({"theme": "light", "width": 390}, id="phone", marks=pytest.mark.soak),
    ],
)
def test_nobody_is_shut_out(
    live_server, open_page, enter, axe, ines, tomas, failed_fork, running_clone, spec_for, mara, looks
):
    waiting = lifecycle.request(spec_for(Kind.FORK, name="Abutment"), by=mara)
    page = open_page(viewport={"width": looks.get("width", 1280), "height": 900})
    enter(page, ines)
    page.context.add_cookies([{"name": "theme", "value": looks["theme"], "url": live_server.url}])
    pages = ["/operations/", "/operations/?q=zzz", f"/operations/{failed_fork.pk}/", f"/operations/{running_clone.pk}/"]

    for address in [*pages, "/approvals/", f"/approvals/{waiting.pk}/", "/audit/"]:
        page.goto(address)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), address


def test_the_shortcut_can_be_turned_off(page, enter, mara, queued_clone):
    enter(page, mara)
    page.goto("/operations/")
    page.click("#person")
    page.click("button[name=shortcuts][value=off]")
    page.keyboard.press("Escape")

    page.keyboard.press("/")

    assert page.evaluate("document.activeElement.id") != "q"


# ---------- a hundred polls, and bad answers ----------

POLL = """() => new Promise((answered) => {
    const live = document.querySelector("[data-live]");
    live.addEventListener("htmx:afterRequest", () => answered(), { once: true });
    htmx.trigger(live, "poll");
})"""
FRESHNESS = "document.querySelector('[data-freshness]').textContent"
# But for ages, which go on by themselves.
ROWS = r"document.getElementById('operation-rows').innerText.replace(/\d+ (s|min)\b/g, '')"


def test_a_hundred_refreshes_disturb_nothing(page, enter, mara, bridge_team, spec_for):
    """Not even those that change the very row, and bring and take others."""
    rows = [lifecycle.request(spec_for(Kind.EMPTY, name=f"Pier {number:02}"), by=mara) for number in range(25)]
    mine, other = rows[12], rows[13]
    enter(page, mara)
    page.set_viewport_size({"width": 1280, "height": 500})
    page.goto("/operations/?kind=empty")
    page.check(f"#pick-{mine.pk}")
    page.click(f"#menu-{mine.pk}")
    page.fill("#q", "half typed")
    page.evaluate("document.getElementById('q').setSelectionRange(3, 5)")
    page.evaluate("scrollTo(0, 300)")
    before = page.evaluate("scrollY")

    for number in range(100):
        Operation.objects.filter(pk=(mine, other)[number % 2].pk).update(version=F("version") + 1)
        if number % 20 == 19:
            lifecycle.cancel(rows.pop(0), by=mara)
        page.evaluate(POLL)

    assert (page.evaluate("scrollY"), before) == (before, 300)
    assert page.locator(f"details[open] > #menu-{mine.pk}").count() == 1
    assert page.is_checked(f"#pick-{mine.pk}")
    assert page.input_value("#q") == "half typed"
    assert page.evaluate("(at => [at.id, at.selectionStart, at.selectionEnd])(document.activeElement)") == ["q", 3, 5]
    assert page.locator(".changed").count() >= 1


def test_selected_text_and_an_open_dialog_outlast_a_hundred_refreshes(page, enter, mara, bridge_team, spec_for):
    rows = [lifecycle.request(spec_for(Kind.EMPTY, name=f"Pier {number}"), by=mara) for number in range(12)]
    enter(page, mara)
    page.goto("/operations/")
    page.evaluate("id => getSelection().selectAllChildren(document.getElementById(id))", f"name-{rows[0].pk}")
    for number in range(100):
        refreshed(page, rows, number)
    assert page.evaluate("getSelection().toString()") == "Pier 0"

    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    for number in range(100):
        refreshed(page, rows, number)
    assert page.locator("dialog[open]").count() == 1
    wait_until(lambda: page.evaluate(POLL) or page.locator(".c-state >> text=Cancelled").count() == 10)


def refreshed(page, rows, number: int) -> None:
    """One refresh that changes a row, and each twentieth that ends one."""
    Operation.objects.filter(pk=rows[number % 2].pk).update(version=F("version") + 1)
    if number % 20 == 19:
        lifecycle.cancel(rows.pop(), by=rows[0].requested_by)
    page.evaluate(POLL)


SIGN_IN = "<html><body><h1>Sign in</h1><div id='operations'>not yours</div></body></html>"
BAD: dict[str, dict[str, Any] | None] = {
    "302": {"status": 302, "headers": {"Location": "/sign-in/"}},
    "sign-in": {"status": 200, "body": SIGN_IN, "content_type": "text/html"},
    "304": {"status": 304},
    "429": {"status": 429, "body": "slow down", "headers": {"Retry-After": "7"}},
    "500": {"status": 500, "body": SIGN_IN},
    "502": {"status": 502, "body": SIGN_IN},
    "cut": None,
}


@pytest.mark.parametrize("answer", BAD)
def test_a_bad_answer_leaves_the_table_says_so_and_the_next_good_one_mends_it(
    page, enter, troubles, mara, queued_clone, answer
):
    enter(page, mara)
    page.goto("/operations/")
    shown = page.evaluate(ROWS)
    bad = BAD[answer]
    if answer == "302":  # it leads to the page for signing in while nobody is signed in
        page.context.clear_cookies()
    page.route("**/operations/?*seen*", lambda route: route.fulfill(**bad) if bad else route.abort("connectionreset"))

    page.evaluate(POLL)

    wait_until(lambda: page.evaluate(FRESHNESS).startswith("Not connected since"))
    assert page.evaluate(ROWS) == shown
    page.unroute("**/operations/?*seen*")
    if answer == "302":
        enter(page, mara)
    lifecycle.cancel(queued_clone, by=mara)
    page.evaluate(POLL)
    page.wait_for_selector("#operation-rows >> text=Cancelled")
    wait_until(lambda: page.evaluate(FRESHNESS).startswith("Updated"))
    troubles.clear()  # the browser's own complaints of such answers


def test_an_empty_answer_leaves_the_table_and_is_no_trouble(page, enter, mara, queued_clone):
    enter(page, mara)
    page.goto("/operations/")
    shown = page.evaluate(ROWS)
    page.route("**/operations/?*seen*", lambda route: route.fulfill(status=204))
    lifecycle.cancel(queued_clone, by=mara)
    page.evaluate(POLL)

    assert page.evaluate(ROWS) == shown
    assert page.evaluate(FRESHNESS).startswith("Updated")
    page.unroute("**/operations/?*seen*")
    page.evaluate(POLL)
    page.wait_for_selector("#operation-rows >> text=Cancelled")


@pytest.mark.parametrize("newer", ["another filter", "the same"])
def test_an_older_answer_is_never_shown_over_a_newer_one(page, enter, mara, queued_clone, spec_for, newer):
    """It comes when the newer one has been asked for, and shows the rows as they were."""
    other = lifecycle.request(spec_for(Kind.EMPTY, name="Empty one"), by=mara)
    enter(page, mara)
    page.goto("/operations/")
    lifecycle.request(spec_for(Kind.EMPTY, name="Newcomer"), by=mara)
    held = []
    page.route("**/operations/?*seen*", lambda route: held.append((route, route.fetch())), times=1)
    page.evaluate("htmx.trigger(document.querySelector('[data-live]'), 'poll')")
    wait_until(lambda: page.wait_for_timeout(1) or held)
    (route, older), *_ = held
    assert "Newcomer" in older.text()
    assert "Cancelled" not in older.text()

    lifecycle.cancel(queued_clone, by=mara)
    if newer == "another filter":
        page.evaluate("location.assign('/operations/?kind=clone')")
        page.wait_for_url("**kind=clone")
    else:
        page.evaluate("htmx.trigger(document.querySelector('[data-live]'), 'poll')")
    with suppress(PlaywrightError):  # whoever asked for it is gone
        route.fulfill(response=older)

    page.wait_for_selector(f"#op-{queued_clone.pk} >> text=Cancelled")
    page.evaluate(POLL)
    assert page.inner_text(f"#op-{queued_clone.pk} .c-state").startswith("Cancelled")
    assert page.locator(f"#op-{other.pk}").count() == (0 if newer == "another filter" else 1)
