"""Live pages: a token that changes when what is shown changes, and a merge that disturbs nobody."""

from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts.sessions import SessionStore
from imodels_app.display import live
from imodels_app.models import Operation, User
from imodels_app.states import Kind, State
from tests.files import a_file


def test_the_token_stays_while_nothing_changes(queued_clone):
    assert live.token([queued_clone], 3) == live.token([Operation.objects.get(pk=queued_clone.pk)], 3)


def test_the_token_changes_with_a_row_its_place_and_what_else_is_shown(queued_clone, waiting_fork, mara):
    before = live.token([queued_clone, waiting_fork], 3)

    assert live.token([waiting_fork, queued_clone], 3) != before
    assert live.token([queued_clone, waiting_fork], 4) != before
    lifecycle.cancel(queued_clone, by=mara)
    assert live.token([queued_clone, waiting_fork], 3) != before


def test_the_token_changes_with_the_progress_of_an_upload_and_not_with_its_lease(baseline_of):
    operation = baseline_of(a_file())
    lifecycle.claim(operation, bucket="create", now=timezone.now())
    lifecycle.accepted(operation, imodel_id=str(uuid4()))
    before = live.token([operation])

    lifecycle.lease_upload(operation)
    lifecycle.renew_upload_lease(operation, sent_bytes=0)
    assert live.token([operation]) == before
    lifecycle.renew_upload_lease(operation, sent_bytes=1)
    assert live.token([operation]) != before


def test_the_token_changes_with_what_becomes_of_an_orphan(running_clone, mara):
    lifecycle.failed(running_clone, code="failed")
    before = live.token([running_clone])

    lifecycle.delete_orphan(running_clone, by=mara)

    assert live.token([running_clone]) != before


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
        pytest.param({"theme": "light", "width": 390}, id="phone"),
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
