"""The request forms in a real browser: lists to pick from, keys, no JavaScript, and nothing for axe to find."""

import json
import re
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import expect

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Membership, Operation, Team, TeamITwin
from imodels_app.requesting import staging
from imodels_app.requesting.spec import Extent
from imodels_app.states import Kind
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def team(mara, tomas, sandbox):
    team = Team.objects.create(name="Bridge team")
    TeamITwin.objects.create(team=team, itwin_id=sandbox.ids["harbour-bridge"])
    Membership.objects.create(team=team, email=tomas.email, user=tomas, role=Membership.Role.LEAD)
    return team


@pytest.fixture
def desk(open_page, client, mara, sandbox, live_server, settings, team, troubles):
    """desk(**options): a tab in which Mara is signed in."""
    troubles.expect("^htmx:(sendAbort|afterRequest)")  # a search that a newer one replaces

    def open_desk(**options):
        tokens.store(mara, sandbox.tokens_for("mara"))
        client.force_login(mara)
        page = open_page(**options)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        return page

    return open_desk


def test_a_fork_is_asked_for_by_keyboard_alone(desk, sandbox):
    page = desk()
    page.goto("/new/fork/")

    page.get_by_label("Main iModel").click()
    page.keyboard.type("main br", delay=20)
    expect(page.locator("#source_pop[aria-busy]")).to_have_count(0)  # Enter is for what was asked last
    expect(page.get_by_role("option")).to_have_count(3)
    expect(page.get_by_role("option").first).to_contain_text("Main Bridge")
    page.keyboard.press("Enter")
    expect(page.locator("#source")).to_have_value("Main Bridge")
    expect(page.locator("#source_id")).to_have_value(sandbox.ids["main-bridge"])
    page.get_by_label("Into iTwin").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.type("harbour")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    page.get_by_label("Name", exact=True).fill("Abutment variant B")
    page.get_by_label("Reason").fill("Piles instead of a raft")
    expect(page.locator("#name_msg")).to_contain_text("Free in Harbour Bridge")
    expect(page.locator("#latest_hint")).to_contain_text("Pinned at #120")
    expect(page.locator("#advice")).to_contain_text("Tomas Novak")
    expect(page.locator("#advice pre")).to_contain_text('"changesetIndex": 120')
    page.get_by_role("button", name="Request approval").click()
    page.wait_for_url(re.compile(r"/operations/"))

    assert Operation.objects.get().name == "Abutment variant B"


def test_a_list_tells_screen_readers_how_many_and_which(desk):
    page = desk()
    page.goto("/new/clone/")
    source = page.get_by_role("combobox", name="Source iModel")

    expect(source).to_have_attribute("aria-expanded", "false")
    source.click()
    page.keyboard.type("main")
    expect(source).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("listbox")).to_be_visible()
    expect(source).to_have_attribute("aria-activedescendant", re.compile("imodel_"))
    expect(page.locator(".field:has(#source) [role=status]")).to_contain_text("found")
    page.keyboard.press("Escape")
    expect(source).to_have_attribute("aria-expanded", "false")


def test_what_cannot_be_copied_cannot_be_picked(desk):
    page = desk()
    page.goto("/new/clone/")
    page.get_by_label("Source iModel").click()
    page.keyboard.type("temporary")

    option = page.get_by_role("option", name=re.compile("temporary works"))
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    option.click(force=True)
    expect(page.locator("#source_id")).to_have_value("")


def test_typing_again_forgets_what_was_picked(desk):
    page = desk()
    page.goto("/new/clone/?source=Main+Bridge")
    expect(page.locator("#source_id")).not_to_have_value("")

    page.get_by_label("Source iModel").press_sequentially(" x")
    expect(page.locator("#source_id")).to_have_value("")


def test_a_late_answer_never_replaces_a_newer_one(desk, sandbox):
    page = desk()
    page.goto("/new/empty/")
    held = sandbox.fault("GET", r"^/itwins$", held=True)

    page.get_by_label("Into iTwin").fill("rail")
    wait_until(lambda: held.holding, what="the older question")
    with page.expect_event("requestfailed", lambda request: "rail" in request.url):  # it is called off
        page.get_by_label("Into iTwin").fill("harbour")
    held.release()

    expect(page.get_by_role("option")).to_contain_text(["Harbour Bridge"])


def test_the_keys_of_a_list_are_those_that_screen_readers_expect(desk):
    page = desk()
    page.goto("/new/empty/")
    itwin = page.get_by_role("combobox", name="Into iTwin")
    itwin.focus()

    page.keyboard.press("Alt+ArrowDown")
    expect(itwin).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("option").last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(itwin).not_to_have_attribute("aria-activedescendant", re.compile("."))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Alt+ArrowUp")
    expect(itwin).to_have_attribute("aria-expanded", "false")
    expect(itwin).to_have_value("")
    page.keyboard.press("Alt+ArrowUp")
    expect(itwin).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowDown")
    expect(itwin).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    expect(itwin).to_have_attribute("aria-expanded", "false")
    expect(itwin).to_have_value("")


def test_nothing_found_is_told_and_no_list_is_pointed_at(desk):
    page = desk()
    page.goto("/new/empty/")
    itwin = page.get_by_role("combobox", name="Into iTwin")
    itwin.press_sequentially("harbour")
    expect(page.get_by_role("option")).to_have_count(1)
    itwin.press_sequentially("zzz")

    expect(page.locator(".field:has(#itwin) [role=status]")).to_have_text("No matches")
    expect(itwin).to_have_attribute("aria-expanded", "false")
    expect(itwin).not_to_have_attribute("aria-controls", re.compile("."))


def test_a_slow_platform_is_waited_for_visibly_and_can_be_left(desk, sandbox):
    page = desk()
    page.goto("/new/empty/")
    itwin, status = page.get_by_role("combobox", name="Into iTwin"), page.locator(".field:has(#itwin) [role=status]")
    held = sandbox.fault("GET", r"^/itwins$", times=20, held=True)

    itwin.press_sequentially("harbour")
    expect(page.locator("#itwin_pop")).to_have_text("Searching the platform …")
    expect(status).to_have_text("Searching the platform …")
    held.release()
    expect(page.get_by_role("option")).to_have_count(1)

    sandbox.clear_faults()
    held = sandbox.fault("GET", r"^/itwins$", times=20, held=True)
    page.keyboard.press("Escape")
    itwin.fill("rail")
    expect(page.locator("#itwin_pop")).to_have_text("Searching the platform …")
    with page.expect_event("requestfailed", lambda request: "rail" in request.url):  # it is called off
        page.keyboard.press("Escape")
    held.release()
    expect(page.locator("#itwin_pop")).to_be_hidden()


def test_a_list_that_never_comes_is_said_so(desk, troubles):
    troubles.expect("Failed to load resource|htmx:sendError")
    page = desk()
    page.goto("/new/empty/")
    page.context.route("**/pick/itwins/**", lambda route: route.abort())
    page.get_by_role("combobox", name="Into iTwin").press_sequentially("harbour")

    expect(page.locator("#itwin_pop")).to_contain_text("No answer.")


def test_every_changeset_can_be_picked_by_keyboard(desk):
    page = desk()
    page.goto("/new/clone/?source=Main+Bridge&up_to=changeset")
    changeset = page.get_by_role("combobox", name="Changeset")
    changeset.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option")).to_have_count(13)

    page.keyboard.press("ArrowUp")  # from the first to none, and then to the last
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("option", name="Older than #109")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option")).to_have_count(25)
    expect(page.get_by_role("option", name=re.compile("^#108 "))).to_have_attribute("aria-selected", "true")
    expect(page.locator(".field:has(#changeset) > [role=status]")).to_have_text("24 found, use the arrow keys")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(changeset).to_have_value("107")
    expect(page.locator("#advice pre")).to_be_hidden()  # no name yet


def test_older_changesets_that_come_late_are_not_added_to_a_newer_list(desk, sandbox):
    page = desk()
    page.goto("/new/clone/?source=Main+Bridge&up_to=changeset")
    changeset = page.get_by_role("combobox", name="Changeset")
    changeset.click()
    expect(page.get_by_role("option")).to_have_count(13)
    held = sandbox.fault("GET", r"/changesets$", held=True)

    page.get_by_role("option", name="Older than #109").click()
    wait_until(lambda: held.holding, what="the older question")
    changeset.fill("118")
    expect(page.get_by_role("option")).to_have_count(1)
    with page.expect_response("**/pick/changesets/**"):
        held.release()
    expect(page.get_by_role("option")).to_have_count(1)


def test_an_offered_name_is_taken_with_one_click(desk):
    page = desk()
    page.goto("/new/empty/?itwin=Harbour+Bridge")
    page.get_by_label("Name", exact=True).fill("Main Bridge")
    page.get_by_role("link", name="Use “Main Bridge 2”").click()

    expect(page.get_by_label("Name", exact=True)).to_have_value("Main Bridge 2")
    expect(page.locator("#name_msg")).to_contain_text("Free in Harbour Bridge")


def test_newer_changesets_can_be_taken_too(desk, sandbox):
    page = desk()
    page.goto("/new/clone/?source=Main+Bridge&itwin=Harbour+Bridge&name=Copy")
    expect(page.locator("#pinned")).to_have_value(re.compile(":120$"))
    sandbox.push_changeset(sandbox.ids["main-bridge"])
    cache.clear()  # what the catalog remembers for some seconds
    page.get_by_role("button", name="Again").click()
    expect(page.locator("#advice pre")).to_contain_text('"changesetIndex": 120')
    page.get_by_role("link", name="Pin at #121").click()

    expect(page.locator("#advice pre")).to_contain_text('"changesetIndex": 121')


def test_a_form_can_be_sent_after_signing_in_again_in_another_tab(desk):
    page = desk()
    page.goto("/new/empty/?itwin=Harbour+Bridge&name=Pier+7")
    page.context.clear_cookies(name="desk-csrf")
    page.context.new_page().goto("/new/")
    before = page.locator("#csrf").input_value()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.locator("#csrf")).not_to_have_value(before)
    page.get_by_role("button", name="Create iModel").click()
    page.wait_for_url(re.compile(r"/operations/"))

    assert Operation.objects.get().name == "Pier 7"


def side(page, name):
    return float(page.locator(f"#{name}").input_value())


def at(page, longitude, latitude):
    """Where a place lies on the map of the whole world, in pixels of the page."""
    box = page.locator(".map svg").bounding_box()
    return box["x"] + (longitude + 180) / 360 * box["width"], box["y"] + (90 - latitude) / 180 * box["height"]


def test_an_extent_drawn_with_the_mouse_becomes_numbers(desk):
    page = desk()
    page.goto("/new/empty/?itwin=Harbour+Bridge&name=Pier+7")
    page.locator("#extent-fold").click()
    page.locator(".map svg").scroll_into_view_if_needed()

    page.mouse.move(*at(page, 5, 60))
    page.mouse.down()
    page.mouse.move(*at(page, 12, 57), steps=3)
    page.mouse.move(*at(page, 20, 50), steps=3)
    page.mouse.up()

    drawn = {name: side(page, name) for name in ("north", "south", "west", "east")}
    assert drawn == pytest.approx({"north": 60, "south": 50, "west": 5, "east": 20}, abs=1)
    expect(page.locator("#advice pre")).to_contain_text('"southWest"')
    shown = json.loads(page.locator("#advice pre").inner_text())["extent"]
    assert shown["northEast"] == {"latitude": drawn["north"], "longitude": drawn["east"]}


def test_a_corner_can_be_dragged_after_zooming_in(desk):
    page = desk()
    page.goto("/new/empty/?north=60&south=50&west=5&east=20")
    page.get_by_role("button", name="Zoom out").click()
    page.get_by_role("button", name="Zoom to extent").click()
    page.locator(".map svg").scroll_into_view_if_needed()
    box = page.locator(".map svg").bounding_box()
    left, top, width, height = (float(part) for part in page.locator(".map svg").get_attribute("viewBox").split())

    page.mouse.move(box["x"] + (500 - left) / width * box["width"], box["y"] + (-6000 - top) / height * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + (1000 - left) / width * box["width"], box["y"] + (-5500 - top) / height * box["height"])
    page.mouse.up()

    assert (side(page, "south"), side(page, "east")) == (50, 20)
    assert (side(page, "north"), side(page, "west")) == pytest.approx((55, 10), abs=0.5)


def test_two_clicks_draw_an_extent_and_escape_forgets_the_first(desk):
    page = desk()
    page.goto("/new/template/")
    page.locator("#extent-fold").click()
    page.locator(".map svg").scroll_into_view_if_needed()

    page.mouse.click(*at(page, -60, -10))
    page.keyboard.press("Escape")
    page.mouse.click(*at(page, 100, 10))
    page.mouse.click(*at(page, 110, -10))

    assert side(page, "west") == pytest.approx(100, abs=1)
    assert side(page, "south") == pytest.approx(-10, abs=1)


def test_one_click_takes_no_number_away_and_two_draw_anew(desk):
    page = desk()
    page.goto("/new/empty/?north=60&south=-50&west=-100&east=100")
    page.locator(".map svg").scroll_into_view_if_needed()

    page.mouse.click(*at(page, 0, 0))
    assert [side(page, name) for name in ("north", "south", "west", "east")] == [60, -50, -100, 100]
    page.keyboard.press("Escape")
    page.mouse.click(*at(page, 10, 10))
    page.mouse.click(*at(page, 30, -20))

    assert (side(page, "west"), side(page, "east")) == pytest.approx((10, 30), abs=2)
    assert (side(page, "north"), side(page, "south")) == pytest.approx((10, -20), abs=2)


@pytest.mark.parametrize("key", ["Tab", "Escape"])
def test_a_list_that_was_left_before_it_was_asked_for_stays_closed(desk, key):
    page = desk()
    page.clock.install()
    page.goto("/new/empty/")
    asked = []
    page.on("request", lambda request: "/pick/" in request.url and asked.append(request.url))
    page.get_by_label("Into iTwin").focus()

    page.keyboard.type("harb")
    page.keyboard.press(key)
    page.clock.fast_forward(60_000)  # it waits for more letters for a moment

    assert asked == []
    expect(page.locator("#itwin_pop")).to_be_hidden()
    page.get_by_label("Into iTwin").focus()
    page.keyboard.type("o")
    expect(page.get_by_role("option").first).to_be_visible()


def test_typed_numbers_are_drawn_and_looked_at(desk):
    page = desk()
    page.goto("/new/empty/")
    page.locator("#extent-fold").click()
    for name, number in (("North", "55.68"), ("South", "55,55"), ("West", "12.6"), ("East", "12.9")):
        page.get_by_label(name, exact=True).fill(number)

    assert page.locator(".map .extent").get_attribute("d") == "M1260 -5568h30v13h-30z"
    left, top, width, height = (float(part) for part in page.locator(".map svg").get_attribute("viewBox").split())
    assert left < 1260 < 1290 < left + width < 1500
    assert top < -5568 < -5555 < top + height
    expect(page.get_by_role("img", name=re.compile("north 55.68°"))).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#north")).to_have_value("")
    expect(page.locator("#north")).to_be_focused()
    assert page.locator(".map .extent").get_attribute("d") == ""


def test_an_extent_across_the_180th_meridian_is_drawn_on_both_sides(desk):
    page = desk()
    page.goto("/new/empty/?north=-16&south=-19&west=177&east=-178")

    assert page.locator(".map .extent").get_attribute("d").count("M") == 2


def test_the_map_is_not_shown_without_javascript_and_the_numbers_suffice(desk):
    page = desk(java_script_enabled=False)
    page.goto("/new/empty/?itwin=Harbour+Bridge&name=Pier+7")

    page.locator("#extent-fold").click()
    expect(page.locator(".map")).to_be_hidden()
    for name, number in (("North", "55.68"), ("South", "55.55"), ("West", "12.6"), ("East", "12.9")):
        page.get_by_label(name, exact=True).fill(number)
    page.get_by_role("button", name="Create iModel").click()
    assert json.loads(Operation.objects.get().request_body)["extent"]["northEast"]["longitude"] == 12.9


def test_what_is_wrong_with_a_field_is_said_until_it_is_changed(desk):
    page = desk()
    page.goto("/new/empty/")
    page.get_by_role("button", name="Create iModel").click()
    expect(page.locator("#itwin_msg")).to_contain_text("Pick the iTwin to put it in.")

    page.get_by_label("Into iTwin").fill("Harbour Bridge")

    expect(page.locator("#itwin_msg")).to_be_empty()
    expect(page.locator("#name_msg")).to_contain_text("Give the new iModel a name.")


@pytest.fixture
def refused(mara, team, spec_for):
    """An empty iModel whose name, extent and something else the platform did not take."""
    spec = spec_for(Kind.EMPTY, name="Pier 7", extent=Extent(south=55.55, west=12.6, north=55.68, east=12.9))
    operation = lifecycle.request(spec, by=mara)
    lifecycle.claim(operation, bucket="create", now=timezone.now())
    details = [
        {"code": "InvalidValue", "message": "The name is reserved.", "target": "name"},
        {"code": "InvalidValue", "message": "The extent lies in the sea.", "target": "extent"},
        {"code": "InvalidRequestBody", "message": "Something else."},
    ]
    lifecycle.failed(operation, code="InvalidiModelsRequest", message="Cannot create iModel.", details=details)
    return operation


def test_what_the_platform_refused_stands_at_its_field_until_that_is_changed(desk, refused):
    page = desk()
    page.goto(f"/operations/{refused.pk}/")
    page.get_by_role("link", name="Change and send again").first.click()
    page.wait_for_load_state()

    expect(page.get_by_role("alert")).to_contain_text("Something else.")
    name, north = page.get_by_label("Name", exact=True), page.get_by_label("North", exact=True)
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description(re.compile("The name is reserved"))
    expect(page.locator("#extent_refused")).to_contain_text("The extent lies in the sea.")
    name.fill("Pier 8")
    expect(page.locator("#name_refused")).to_be_empty()
    expect(name).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("#extent_refused")).to_contain_text("The extent lies in the sea.")
    north.fill("56")
    expect(page.locator("#extent_refused")).to_be_empty()
    page.get_by_role("button", name="Create iModel").click()
    page.wait_for_url(re.compile(r"/operations/"))

    assert Operation.objects.get(name="Pier 8").again_of == refused


def test_a_preset_is_kept_and_started_from_without_javascript(desk):
    page = desk(java_script_enabled=False)
    page.goto("/new/fork/")
    page.get_by_label("Main iModel").fill("Main Bridge")
    page.get_by_label("Into iTwin").fill("Harbour Bridge")
    page.get_by_label("Preserve history").uncheck()
    page.get_by_label("Reason").fill("Monthly check")
    page.get_by_role("button", name="Save as preset").click()
    page.get_by_label("Name of the preset").fill("Monthly check")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Saved as")).to_be_visible()

    page.goto("/new/fork/")
    page.get_by_label("Start from a preset").select_option("Monthly check")
    page.get_by_role("button", name="Fill in").click()
    expect(page.get_by_label("Main iModel")).to_have_value("Main Bridge")
    expect(page.get_by_label("Preserve history")).not_to_be_checked()
    page.get_by_label("Name", exact=True).fill("November")
    page.get_by_role("button", name="Request approval").click()

    operation = Operation.objects.get()
    assert (operation.name, operation.preserve_history, operation.reason) == ("November", False, "Monthly check")


FILLED = {
    Kind.EMPTY: "itwin=Harbour+Bridge",
    Kind.TEMPLATE: "source=Main+Bridge&itwin=Harbour+Bridge",
    Kind.BASELINE: "itwin=Harbour+Bridge",
    Kind.CLONE: "source=Main+Bridge&itwin=Harbour+Bridge",
    Kind.FORK: "source=Main+Bridge&itwin=Harbour+Bridge&reason=Piles",
}


@pytest.mark.parametrize(
    ("kind", "has_script"),
    [
        (Kind.EMPTY, True),
        (Kind.EMPTY, False),
        (Kind.BASELINE, True),
        *(pytest.param(kind, True, marks=pytest.mark.soak) for kind in (Kind.TEMPLATE, Kind.CLONE, Kind.FORK)),
        *(pytest.param(kind, False, marks=pytest.mark.soak) for kind in Kind if kind != Kind.EMPTY),
    ],
)
def test_five_clicks_make_one_operation_and_end_on_its_page(
    desk, sandbox, troubles, tmp_path, settings, kind, has_script
):
    troubles.expect("ERR_ABORTED")
    settings.STAGING_DIR = tmp_path / "staging"
    page = desk(java_script_enabled=has_script)
    page.goto(f"/new/{kind}/?name=Pier+7&{FILLED[kind]}")
    if kind == Kind.BASELINE:
        (tmp_path / "pier.bim").write_bytes(staging.HEADER + bytes(4096))
        page.locator("#file").set_input_files(tmp_path / "pier.bim")
    if kind == Kind.BASELINE and has_script:  # it goes up at once
        page.locator("[data-upload][data-state=arrived]").wait_for()
    if has_script:  # what it says moves the button
        expect(page.locator("#name_msg")).to_contain_text("Free in Harbour Bridge")
        page.wait_for_load_state("networkidle")
    sandbox.fault("GET", r"/", slow_s=0.3, times=200)
    posts = []
    page.on("request", lambda request: request.method == "POST" and posts.append(request.url))
    button = page.locator(".form-foot button").first
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    for _ in range(5):
        page.mouse.click(box["x"] + 20, box["y"] + 10)
    expect(page).to_have_url(re.compile(r"/operations/"))

    operation = Operation.objects.get()
    assert page.url.endswith(f"/operations/{operation.pk}/")
    assert operation.kind == kind
    assert len(posts) == 1 or not has_script


def test_a_form_that_was_sent_can_be_changed_and_sent_again_after_going_back(desk):
    page = desk()
    page.goto("/new/empty/")
    for name in ("Pier 7", "Pier 8"):
        page.get_by_label("Into iTwin").fill("Harbour Bridge")
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Create").click()
        page.wait_for_url(re.compile(r"/operations/"))
        page.go_back()
        expect(page.get_by_role("button", name="Create")).not_to_have_attribute("aria-busy", "true")

    assert {operation.name for operation in Operation.objects.all()} == {"Pier 7", "Pier 8"}


def test_enter_takes_what_was_meant_and_never_the_next_best(desk, sandbox):
    page = desk()
    page.goto("/new/clone/")
    source = page.get_by_label("Source iModel")
    source.press_sequentially("main")
    expect(page.get_by_role("option").first).to_contain_text("Main Bridge")
    source.press("Enter")
    expect(page.locator("#source_id")).to_have_value(sandbox.ids["main-bridge"])

    source.fill("Main Bridge temporary works")
    expect(page.get_by_role("option").first).to_contain_text("being made")
    source.press("Enter")
    expect(page.locator(".field:has(#source) [role=status]")).to_contain_text("Not ready")
    expect(page.locator("#source_id")).to_have_value("")


def test_every_form_works_without_javascript(desk, sandbox):
    page = desk(java_script_enabled=False)
    page.goto("/new/")
    page.get_by_role("link", name="Clone").click()
    page.get_by_label("Source iModel").fill("main bridge")
    page.get_by_label("A named version").check()
    page.get_by_label("Named version", exact=True).fill("60 % design")
    page.get_by_label("Into iTwin").fill(sandbox.ids["rail-corridor"])
    page.get_by_role("button", name="Clone").click()
    expect(page.get_by_role("main")).to_contain_text("What you left blank was filled in.")
    expect(page.get_by_label("Source iModel")).to_have_value("main bridge")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Main Bridge")
    page.get_by_label("Name", exact=True).fill("Copy")
    page.get_by_role("button", name="Clone").click()

    assert urlsplit(page.url).path.startswith("/operations/")
    assert '"changesetIndex": 96' in Operation.objects.get().request_body


# The others only in `make soak`.
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"color_scheme": "light"}, id="light", marks=pytest.mark.soak),
        pytest.param({"color_scheme": "dark"}, id="dark"),
        pytest.param({"viewport": {"width": 390, "height": 844}}, id="phone", marks=pytest.mark.soak),
    ],
)
def test_axe_finds_nothing(desk, axe, troubles, refused, options):
    troubles.expect("Applying inline style violates|status of 404")  # axe's own, while it measures
    page = desk(**options)

    page.goto("/new/")
    axe(page)
    for kind in ("empty", "template", "clone", "fork"):
        page.goto(f"/new/{kind}/")
        expect(page.locator("#advice .checks li")).not_to_have_count(0)
        axe(page)
        page.locator(".form-foot button[data-iui-variant=high-visibility]").click()
        expect(page.get_by_role("alert")).to_be_visible()
        axe(page)
    page.goto("/new/empty/?itwin=Harbour+Bridge&name=Pier+9")
    page.get_by_role("button", name="Save as preset").click()
    axe(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("Start from a preset")).to_be_visible()
    axe(page)
    page.get_by_role("link", name="About this preset").click()
    axe(page)
    for address in (f"/operations/{refused.pk}/", f"/new/empty/?from={refused.pk}"):
        page.goto(address)
        expect(page.locator(".alert-bad")).to_be_visible()
        axe(page)
    page.goto("/new/fork/?source=Main+Bridge&itwin=Harbour+Bridge&name=Main+Bridge&up_to=changeset&changeset=118")
    expect(page.locator("#advice pre")).to_be_visible()
    page.get_by_label("Main iModel").click()
    expect(page.get_by_role("option").first).to_be_visible()
    axe(page)
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, "it scrolls sideways"
