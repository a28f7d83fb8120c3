"""What people do every day takes few clicks and few keys, and loses nothing that was typed."""

import json
import re
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Operation
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import Kind, State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser, pytest.mark.same_on_both]


@pytest.fixture
def desk(open_page, client, sandbox, live_server, settings, bridge_team, mara, troubles):
    """desk(): a tab in which Mara is signed in; desk(tomas): or somebody else."""
    troubles.expect("^htmx:(sendAbort|afterRequest)")  # a look-up that a newer one replaces
    tokens.store(mara, sandbox.tokens_for("mara"))

    def open_desk(person=mara, **options):
        page = open_page(**options)
        client.force_login(person)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        return page

    return open_desk


def pick_main_bridge(page):
    expect(page.locator("#source")).to_be_focused()
    page.keyboard.type("main")
    expect(page.get_by_role("option").first).to_contain_text("Main Bridge")


def test_who_is_quicker_than_the_look_up_is_shown_what_was_filled_in(desk, troubles):
    page = desk()
    page.goto("/new/clone/")
    troubles.expect("Failed to load resource|htmx:")
    page.route("**/checks/**", lambda route: route.abort())

    pick_main_bridge(page)
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")

    expect(page.get_by_text("What you left blank was filled in.")).to_be_visible()
    expect(page.locator("#itwin")).to_have_value("Harbour Bridge")
    page.wait_for_load_state()  # with the script that knows the keys
    expect(page.locator("#source")).to_be_focused()
    assert not Operation.objects.exists()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("/operations/.+"))


def test_another_source_suggests_anew_but_never_over_what_was_typed(desk):
    page = desk()
    page.goto("/new/clone/")
    pick_main_bridge(page)
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    page.locator("#itwin").fill("Rail Corridor 2027")

    page.locator("#source").fill("viaduct")
    page.get_by_role("option", name=re.compile("^Viaduct")).first.click()

    expect(page.locator("#name")).to_have_value(re.compile("^Viaduct"))
    expect(page.locator("#itwin")).to_have_value("Rail Corridor 2027")


def test_the_same_again_opens_with_the_next_name_that_nobody_has_or_will_have(desk, mara, spec_for, sandbox):
    harbour = ITwinRef(id=sandbox.ids["harbour-bridge"], name="Harbour Bridge")
    source = IModelRef(id=sandbox.ids["main-bridge"], name="Main Bridge", itwin=harbour)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Main Bridge 2", source=source, itwin=harbour), by=mara)
    page = desk()

    page.goto(f"/new/clone/?from={clone.pk}")

    expect(page.locator("#name")).to_have_value("Main Bridge 3")
    expect(page.locator("#name_msg")).to_contain_text("Free in Harbour Bridge")


def test_what_was_typed_outlives_the_tab_and_ends_with_the_session(desk):
    page = desk()
    page.goto("/new/empty/")
    page.get_by_label("Name").fill("Pier 7")
    page.get_by_label("Description").fill("As built")
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("Pier 7")
    page.goto("/operations/")
    page.go_back()
    expect(page.get_by_label("Name")).to_have_value("Pier 7")
    again = page.context.new_page()
    page.close()
    again.goto("/new/empty/")

    expect(again.get_by_label("Description")).to_have_value("As built")
    expect(again.get_by_text("What you typed before is still here")).to_be_visible()
    stored = again.evaluate("JSON.stringify(localStorage)")
    assert "csrf" not in stored
    assert again.locator("#csrf").input_value() not in stored
    again.locator("#person").click()
    again.get_by_role("button", name="Sign out").click()
    again.wait_for_url("**/sign-in/")
    assert again.evaluate("localStorage.length") == 0


def test_success_leads_on_from_the_page_and_from_the_row(desk, succeeded_clone):
    made = succeeded_clone.imodel_id
    clone, fork = f"/new/clone/?source={made}", f"/new/fork/?source={made}"
    page = desk(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"/operations/{succeeded_clone.pk}/")

    expect(page.get_by_role("link", name=re.compile("^Open"))).to_have_attribute("href", re.compile(f"/{made}$"))
    expect(page.get_by_role("link", name=re.compile("^Clone this"))).to_have_attribute("href", clone)
    expect(page.get_by_role("link", name=re.compile("^Fork this"))).to_have_attribute("href", fork)
    page.get_by_role("button", name=re.compile("^Copy link")).click()
    expect(page.locator("#operation-status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()").endswith(f"/operations/{succeeded_clone.pk}/")
    page.goto("/operations/")
    page.locator("summary", has_text=f"Actions for {succeeded_clone.name}").click()
    expect(page.get_by_role("link", name="Open the iModel in a new tab")).to_be_visible()
    expect(page.get_by_role("link", name="Clone this")).to_have_attribute("href", clone)
    expect(page.get_by_role("link", name="Fork this")).to_have_attribute("href", fork)


def test_what_ended_while_one_looked_has_no_pause(desk, running_clone):
    page = desk()
    page.goto(f"/operations/{running_clone.pk}/")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    lifecycle.succeeded(running_clone)

    expect(page.get_by_text("Ended, no more changes")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()


def test_again_asks_the_platform_anew(desk, sandbox, platform_of):
    page = desk()
    page.goto("/new/empty/?itwin=Harbour+Bridge&name=Pier+7")
    expect(page.locator("#name_msg")).to_contain_text("Free in Harbour Bridge")
    taken = {"iTwinId": sandbox.ids["harbour-bridge"], "name": "Pier 7"}
    platform_of("mara").start("/imodels", json.dumps(taken))

    page.get_by_role("button", name="Again").click()

    expect(page.locator("#name_msg")).to_contain_text("Already in Harbour Bridge")


def test_keys_lead_everywhere_and_are_silent_while_one_types(desk, succeeded_clone, waiting_fork, record_property):
    page = desk()
    page.goto("/operations/")
    press = page.keyboard.press

    press("j")
    press("j")
    press("k")
    expect(page.get_by_role("link", name=waiting_fork.name, exact=True)).to_be_focused()
    press("j")
    press("Enter")
    page.wait_for_url(f"**/operations/{succeeded_clone.pk}/")
    press("g")
    press("a")
    page.wait_for_url("**/approvals/")
    press("g")
    press("o")
    page.wait_for_url("**/operations/")
    press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("c?jg")
    expect(page.get_by_role("searchbox")).to_have_value("c?jg")
    press("Tab")
    press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next and previous row")
    press("Escape")
    press("c")
    page.wait_for_url("**/new/")


def test_keys_without_ctrl_can_be_switched_off(desk):
    page = desk()
    page.goto("/operations/")
    page.locator("#person").click()
    page.locator("button[name=shortcuts][value=off]").click()
    page.keyboard.press("Escape")

    page.keyboard.press("c")
    page.keyboard.press("?")
    page.keyboard.press("Control+k")

    expect(page.get_by_role("dialog")).to_have_count(1)
    expect(page.locator("#palette-text")).to_be_focused()
    assert page.url.endswith("/operations/")


def test_a_few_letters_lead_to_what_one_may_see(desk, succeeded_clone, otto, spec_for):
    lifecycle.request(spec_for(Kind.EMPTY, name="Pier of Otto", itwin=ITwinRef(id=str(uuid4()), name="Metro")), by=otto)
    page = desk()
    page.goto("/new/")

    page.keyboard.press("Control+k")
    page.keyboard.type("pier")
    found = page.locator("#palette-found")
    expect(found.get_by_role("link")).to_have_count(2)  # the operation, and the iModel that it made
    expect(found).not_to_contain_text("Otto")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/operations/{succeeded_clone.pk}/")
    page.keyboard.press("Control+k")
    page.keyboard.type("harb")
    expect(found.get_by_role("link", name=re.compile("^Harbour Bridge"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_palette_keeps_keys_and_clicks_to_itself_and_gives_the_focus_back(desk, succeeded_clone):
    page = desk()
    page.goto("/operations/")
    page.keyboard.press("j")
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Approvals").bounding_box()
    name = page.locator(f"#name-{succeeded_clone.pk}")

    page.keyboard.press("Control+k")
    expect(page.locator("#palette-found").get_by_role("link").first).to_be_visible()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#palette-found").get_by_role("link").last).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#palette-text")).to_be_focused()
    page.mouse.click(link["x"], link["y"])
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(name).to_be_focused()
    page.keyboard.press("?")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")

    expect(name).to_be_focused()
    assert page.url.endswith("/operations/")


def test_enter_in_the_palette_waits_for_the_list_of_what_is_typed(desk, succeeded_clone):
    page = desk()
    page.goto("/new/")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-found").get_by_role("link").first).to_be_visible()

    page.keyboard.type("pier")
    page.keyboard.press("Enter")

    page.wait_for_url(f"**/operations/{succeeded_clone.pk}/")


def test_keys_are_silent_in_every_field(desk):
    page = desk()
    page.goto("/new/clone/")
    fields = page.locator("main :is(input[type=radio], input[type=checkbox], select, textarea)").locator("visible=true")
    assert fields.count() > 2

    for field in fields.all():
        field.focus()
        page.keyboard.press("c")
        page.keyboard.press("?")

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.url.endswith("/new/clone/")


def test_ctrl_enter_sends_what_has_one_main_button_and_never_a_decision(desk, tomas, waiting_fork):
    page = desk(tomas)
    page.goto("/preferences/")
    page.get_by_label("Time zone").focus()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Your preferences are saved.")).to_be_visible()
    page.goto(f"/approvals/{waiting_fork.pk}/")
    page.get_by_label("Write something without deciding").fill("Which pier?")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Which pier?", exact=True)).to_be_visible()
    page.locator("#comment").fill("Fine.")

    page.keyboard.press("Control+Enter")

    page.wait_for_load_state("networkidle")
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL
    expect(page.locator("#comment")).to_have_value("Fine.")


def test_ten_tabs_lead_to_the_first_row(desk, succeeded_clone, record_property):
    page = desk()
    page.goto("/operations/")
    tabs = 0
    while not page.evaluate("document.activeElement.closest('tbody tr')"):
        page.keyboard.press("Tab")
        tabs += 1
        if page.evaluate("document.activeElement.textContent") == "Skip to the rows":
            page.keyboard.press("Enter")
        assert tabs <= 10

    record_property("figure", f"to the first row: {tabs} tabs and Enter")


FORMS = ("new/empty/", "new/clone/", "new/fork/", "new/template/", "new/baseline/")
PAGES = ("operations/", "new/", *FORMS, "approvals/", "orphans/", "sessions/", "preferences/", "help/")


def test_no_page_is_wider_than_the_narrowest_screen(desk, succeeded_clone, failed_fork):
    page = desk(viewport={"width": 320, "height": 640})

    for address in (*PAGES, f"operations/{succeeded_clone.pk}/", f"operations/{failed_fork.pk}/"):
        page.goto(f"/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address


def test_what_was_refused_outlives_a_look_elsewhere(desk):
    page = desk()
    page.goto("/new/empty/?itwin=Harbour+Bridge")
    page.get_by_label("Description").fill("As built")
    page.get_by_label("Name").press("Control+Enter")
    expect(page).to_have_title(re.compile("^One field needs a change"))
    page.get_by_label("Reason").fill("The survey of May")

    page.goto("/operations/")
    page.goto("/new/empty/?itwin=Harbour+Bridge")

    expect(page.get_by_label("Description")).to_have_value("As built")
    expect(page.get_by_label("Reason")).to_have_value("The survey of May")


def test_a_draft_keeps_what_was_typed_and_suggests_the_rest_anew(desk):
    page = desk()
    page.goto("/new/clone/")
    pick_main_bridge(page)
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    page.get_by_role("textbox", name="Description").fill("For the tender")
    page.reload()
    expect(page.get_by_role("textbox", name="Description")).to_have_value("For the tender")
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    page.wait_for_load_state("networkidle")

    page.locator("#source").fill("viaduct")
    page.get_by_role("option", name=re.compile("^Viaduct")).first.click()

    expect(page.locator("#name")).to_have_value(re.compile("^Viaduct"))
    expect(page.locator("#itwin")).not_to_have_value("Harbour Bridge")


def test_after_a_sign_out_in_another_tab_nothing_is_kept_of_what_is_typed_here(desk):
    page = desk()
    page.goto("/new/empty/")
    other = page.context.new_page()
    other.goto("/operations/")
    other.locator("#person").click()
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/sign-in/")

    page.get_by_label("Name").fill("Pier 7")

    assert page.evaluate("localStorage.length") == 0


def test_what_was_sent_is_typed_no_more(desk):
    page = desk()
    page.goto("/new/empty/")
    page.get_by_label("Into iTwin").fill("Harbour Bridge")
    page.get_by_label("Name").fill("Pier 7")
    page.get_by_label("Name").press("Control+Enter")
    page.wait_for_url(re.compile("/operations/.+"))

    page.goto("/new/empty/")

    expect(page.get_by_label("Name")).to_have_value("")


def test_a_refused_form_begins_at_its_first_wrong_field_and_its_title_says_so(desk):
    page = desk()
    page.goto("/new/empty/?itwin=Harbour+Bridge")
    expect(page.get_by_label("Name")).to_be_focused()  # the first that still needs something

    page.get_by_label("Name").press("Control+Enter")

    expect(page).to_have_title(re.compile("^One field needs a change. New empty iModel"))
    expect(page.get_by_label("Name")).to_be_focused()


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"color_scheme": "dark"}, id="dark"),
        pytest.param({"viewport": {"width": 390, "height": 844}}, id="phone", marks=pytest.mark.soak),
    ],
)
def test_axe_finds_nothing_in_preferences_palette_and_keys(desk, succeeded_clone, axe, troubles, how):
    troubles.expect("inline style")  # axe's own, while it measures
    page = desk(**how)
    for address in ("/preferences/", "/help/"):
        page.goto(address)
        axe(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("har")
    expect(page.locator("#palette-found").get_by_role("link", name="Harbour Bridge", exact=True)).to_be_visible()
    axe(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#palette-text")).not_to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    axe(page)


def test_a_rule_that_was_refused_is_still_typed_after_back_and_gone_once_it_is_saved(desk, tomas):
    page = desk(tomas)
    page.goto("/approvals/rules/new")
    page.get_by_label("Name").fill("Big clones")
    page.get_by_label("More changesets than").fill("many")
    page.get_by_label("Ask people").check()
    page.get_by_label("Who", exact=True).first.select_option("admins")
    page.get_by_role("button", name="Save the rule").click()
    expect(page.get_by_label("More changesets than")).to_have_attribute("aria-invalid", "true")

    page.go_back()
    expect(page.get_by_label("Name")).to_have_value("Big clones")
    expect(page.get_by_label("Who", exact=True).first).to_have_value("admins")
    page.get_by_label("More changesets than").fill("100")
    page.get_by_label("Who", exact=True).first.select_option("leads")
    page.get_by_role("button", name="Save the rule").click()
    page.wait_for_url("**/approvals/rules/")
    page.goto("/approvals/rules/new")

    expect(page.get_by_label("Name")).to_have_value("")
