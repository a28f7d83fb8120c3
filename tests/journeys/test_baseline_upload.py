"""A baseline file in a real browser: dropped, paused, cut off, found again after a reload, made into an operation."""

import hashlib
import json
import os
import re
from urllib.parse import urlsplit

import pytest
from django.test import Client

from imodels_app.models import Operation, StagedFile
from imodels_app.requesting import staging
from imodels_app.states import Kind, State
from imodels_app.views import uploads
from tests.journeys.line import Line
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MIB = staging.MIB
# What a cut makes the browser say.
CUT = r"net::ERR_|Failed to load resource|htmx:"


@pytest.fixture(autouse=True)
def _folder(tmp_path, settings):
    settings.STAGING_DIR = tmp_path / "staging"


@pytest.fixture
def line(live_server):
    at = urlsplit(live_server.url)
    line = Line((at.hostname, at.port))
    yield line
    line.close()


@pytest.fixture
def enter(line, open_page, bridge_team, signed_in_mara, troubles):
    """enter() is a tab in which Mara is signed in, at the end of the line."""
    troubles.expect("htmx:sendAbort|htmx:afterRequest")  # the side column was looking, and the page went on

    def at_desk(**options):
        client = Client()
        client.force_login(signed_in_mara)
        tab = open_page(**{"base_url": line.url} | options)
        session = {"name": "desk-session", "value": client.cookies["desk-session"].value, "url": line.url}
        tab.context.add_cookies([session])
        tab.goto("/new/baseline/")
        return tab

    return at_desk


@pytest.fixture
def harbour(tmp_path):
    """harbour(size) is a file on Mara's disk that begins as an iModel does."""

    def make(size: int, name: str = "harbour.bim"):
        path = tmp_path / name
        path.write_bytes(staging.HEADER + os.urandom(size - len(staging.HEADER)))
        return path

    return make


def choose(tab, path) -> None:
    tab.locator("#file").set_input_files(path)


def is_piece(request) -> bool:
    return request.headers.get("x-http-method-override") == "PATCH"


def expect(tab, state: str) -> None:
    tab.locator(f"[data-upload][data-state={state}]").wait_for()


def is_on_its_way(line, at_least: int) -> None:
    wait_until(lambda: line.sent_up >= at_least, what=f"{at_least} bytes on the line")


def is_here(path) -> bool:
    here = hashlib.sha256(staging.path_of(StagedFile.objects.get()).read_bytes())
    return here.digest() == hashlib.sha256(path.read_bytes()).digest()


def into_harbour_bridge(tab) -> None:
    tab.get_by_role("combobox", name="Into iTwin").fill("harb")
    tab.get_by_role("option", name=re.compile("^Harbour Bridge")).first.click()


DROP = """([zone, name, size, begins]) => {
    const bytes = new Uint8Array(size);
    bytes.set(new TextEncoder().encode(begins));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name));
    for (const type of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
        document.querySelector(zone).dispatchEvent(event);
    }
}"""


def test_a_dropped_file_names_the_imodel_and_becomes_an_operation(enter, axe):
    tab = enter()
    into_harbour_bridge(tab)

    tab.evaluate(DROP, [".drop-zone", "Quay October.bim", 3 * MIB, staging.HEADER.decode()])
    expect(tab, "arrived")

    assert tab.get_by_label("Name", exact=True).input_value() == "Quay October"
    tab.get_by_text("Quay October.bim is here, 3 MiB").wait_for()
    preview = json.loads(tab.locator("pre.code").inner_text())
    assert preview["baselineFile"] == {"size": 3 * MIB}
    axe(tab)
    tab.get_by_role("button", name="Create iModel").click()
    tab.wait_for_url("**/operations/*/")
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.file_size) == (Kind.BASELINE, State.QUEUED, 3 * MIB)
    assert operation.staged_file == StagedFile.objects.get()
    assert operation.file_name == "Quay October.bim"


def test_a_paused_file_stands_still_until_it_is_told_to_go_on(enter, line, harbour, axe):
    tab, path, pieces = enter(), harbour(uploads.PIECE + 4 * MIB), []
    tab.clock.install()
    tab.on("request", lambda request: is_piece(request) and pieces.append(request))
    line.hold_after(3 * MIB)
    choose(tab, path)
    is_on_its_way(line, 2 * MIB)

    tab.get_by_role("button", name="Pause").click()
    expect(tab, "paused")
    line.mend()
    assert tab.evaluate("document.activeElement.id") == "resume-upload"
    tab.clock.fast_forward(60_000)
    axe(tab)
    assert len(pieces) == 1

    tab.get_by_role("button", name="Resume").click()
    expect(tab, "arrived")
    assert is_here(path)


def test_a_line_that_is_cut_five_times_costs_a_piece_each_time_at_most(enter, line, harbour, troubles):
    troubles.expect(CUT)
    size = 24 * MIB
    tab, path = enter(), harbour(size)
    before = line.sent_up

    line.cut_after(3 * MIB)
    choose(tab, path)
    for cut in range(1, 6):
        wait_until(lambda: line.is_cut, what=f"cut {cut}")
        expect(tab, "cut")
        line.mend()
        if cut < 5:
            line.cut_after(3 * MIB)

    expect(tab, "arrived")
    assert is_here(path)
    assert line.sent_up - before < size + 5 * uploads.PIECE


@pytest.mark.soak
def test_a_browser_that_was_offline_goes_on_as_soon_as_it_is_back(enter, line, harbour, troubles):
    troubles.expect(CUT)
    tab, path = enter(), harbour(6 * MIB)
    line.hold_after(3 * MIB)
    choose(tab, path)
    is_on_its_way(line, 2 * MIB)

    tab.context.set_offline(True)
    expect(tab, "cut")
    tab.get_by_text("resumes as soon as it can").wait_for()
    line.mend()
    tab.context.set_offline(False)

    expect(tab, "arrived")
    assert is_here(path)


@pytest.mark.soak
def test_a_desk_that_is_away_for_a_moment_finds_the_file_again(enter, line, harbour, troubles):
    troubles.expect(f"{CUT}|status of 503")
    tab, path = enter(), harbour(6 * MIB)
    line.hold_after(3 * MIB)
    choose(tab, path)
    is_on_its_way(line, 2 * MIB)
    begun, away = StagedFile.objects.get(), []

    tab.route("**/new/baseline/files/**", lambda route: away.append(route.request) or route.fulfill(status=503))
    line.cut()
    line.mend()
    tab.wait_for_event("requestfinished", lambda request: request.method == "HEAD")
    tab.unroute("**/new/baseline/files/**")

    expect(tab, "arrived")
    assert away
    assert StagedFile.objects.get() == begun
    assert is_here(path)


@pytest.mark.soak
def test_a_desk_that_breaks_at_every_piece_is_asked_less_and_less_often(enter, harbour, troubles):
    troubles.expect("status of 500")
    tab, pieces, waited_s = enter(), [], 0
    tab.clock.install(time=0)
    tab.clock.pause_at(3600_000)

    def broken(route):
        if not is_piece(route.request):
            return route.continue_()
        pieces.append(route.request)
        return route.fulfill(status=500)

    tab.route("**/new/baseline/files/**", broken)
    choose(tab, harbour(MIB))
    while len(pieces) < 5 and waited_s < 1000:
        tab.clock.run_for(1000)
        waited_s += 1

    assert 8 <= waited_s < 1000  # at once, and then after 0, 1, 2 and 5 s


def test_a_proxy_that_refuses_pieces_is_told_in_words_of_ours(enter, harbour, troubles):
    troubles.expect("status of 413")
    tab = enter()
    tab.route("**/new/baseline/files/**", lambda route: route.fulfill(status=413, body="<html>nginx</html>"))

    choose(tab, harbour(MIB))

    tab.locator("#file_msg").get_by_text("Something between here and iModel Desk refuses the file").wait_for()


def test_after_a_reload_the_same_file_goes_on_where_it_stopped(enter, line, harbour):
    size = 12 * MIB
    tab, path = enter(), harbour(size)
    line.hold_after(10 * MIB)
    choose(tab, path)
    is_on_its_way(line, 9 * MIB)

    tab.reload()
    line.mend()
    tab.get_by_text("Choose the same file to resume").wait_for()
    stood, before = StagedFile.objects.get().received, line.sent_up
    choose(tab, path)
    expect(tab, "arrived")

    assert is_here(path)
    assert line.sent_up - before < size - stood + uploads.PIECE
    assert tab.get_by_text("Your files already here").count() == 0


@pytest.mark.soak
def test_a_browser_that_was_closed_goes_on_too(enter, line, harbour):
    tab, path = enter(), harbour(12 * MIB)
    line.hold_after(10 * MIB)
    choose(tab, path)
    is_on_its_way(line, 9 * MIB)
    profile = tab.context.storage_state()
    tab.context.close()

    line.mend()
    again = enter(storage_state=profile)
    before = line.sent_up
    choose(again, path)
    expect(again, "arrived")

    assert is_here(path)
    assert line.sent_up - before < 4 * MIB


def test_a_form_that_is_sent_too_early_sends_itself_when_the_file_has_arrived(enter, line, harbour):
    tab = enter()
    into_harbour_bridge(tab)
    line.hold_after(2 * MIB)
    choose(tab, harbour(4 * MIB))
    is_on_its_way(line, MIB)

    tab.get_by_role("button", name="Create iModel").click()
    tab.get_by_text("Sent as soon as the file has arrived.").first.wait_for()
    assert not Operation.objects.exists()
    line.mend()

    tab.wait_for_url("**/operations/*/")
    assert Operation.objects.get().file_size == 4 * MIB


def test_whoever_is_signed_out_meanwhile_signs_in_elsewhere_and_goes_on(enter, line, harbour, signed_in_mara, troubles):
    troubles.expect(r"status of 401|status of 403")
    tab, path = enter(), harbour(10 * MIB)
    line.hold_after(3 * MIB)
    choose(tab, path)
    is_on_its_way(line, 2 * MIB)

    tab.context.clear_cookies(name="desk-session")
    line.mend()  # what is on its way arrives; what comes after it is asked who sent it
    expect(tab, "out")
    tab.get_by_role("link", name="Sign in in a new tab").first.wait_for()
    client = Client()
    client.force_login(signed_in_mara)
    session = {"name": "desk-session", "value": client.cookies["desk-session"].value, "url": line.url}
    tab.context.add_cookies([session])
    tab.get_by_role("button", name="Resume").click()

    expect(tab, "arrived")
    assert is_here(path)


@pytest.mark.parametrize("name", ["harbour.imodel", "harbour.IBIM", "harbour.db", "harbour"])
def test_a_file_of_any_name_goes_up_where_only_get_and_post_pass(enter, harbour, name):
    tab = enter()
    tab.route("**/files/**", lambda at: at.continue_() if at.request.method in ("GET", "HEAD", "POST") else at.abort())

    choose(tab, harbour(MIB, name))
    expect(tab, "arrived")
    assert tab.get_by_label("Name", exact=True).input_value() == "harbour"

    tab.get_by_role("button", name="Remove").click()
    wait_until(lambda: not StagedFile.objects.exists(), what="the end of the file")


def test_when_no_more_files_may_come_the_page_says_so_until_one_is_removed(enter, mara, axe):
    for number in range(staging.AT_MOST):
        staging.announce(name=f"{number}.bim", size=1000, owner=mara)
    tab = enter()
    full = tab.get_by_text("5 files of yours are already here")
    full.wait_for()
    axe(tab)

    tab.get_by_role("button", name="Remove 3.bim").click()
    full.wait_for(state="detached")


def test_a_file_is_refused_before_a_byte_of_it_leaves(enter, settings, axe):
    settings.BASELINE_MAX_MIB = 1
    imodel = staging.HEADER.decode()
    tab = enter()

    for name, size, begins, said in (
        ("harbour.imodel", 100, "PK\3\4", staging.NO_IMODEL),
        ("harbour.bim", 0, "", staging.EMPTY),
        ("harbour.bim", 100, "PK\3\4", staging.NO_IMODEL),
        ("harbour.bim", MIB + 1, imodel, "The file is larger than 1 MiB"),
    ):
        tab.evaluate(DROP, [".drop-zone", name, size, begins])
        tab.locator("#file_msg").get_by_text(said).wait_for()
    axe(tab)
    assert not StagedFile.objects.exists()


def test_two_files_at_once_are_one_too_many(enter, harbour):
    tab = enter()
    tab.locator("#file").evaluate("input => { input.multiple = true; }")

    choose(tab, [harbour(100), harbour(100, "quay.bim")])

    tab.locator("#file_msg").get_by_text("One file makes one iModel").wait_for()
    assert not StagedFile.objects.exists()


def test_a_full_disk_is_told_at_the_file(enter, settings, harbour, troubles):
    troubles.expect("status of 507")
    settings.STAGING_RESERVE_MIB = 1 << 40
    tab = enter()

    choose(tab, harbour(100))

    tab.locator("#file_msg").get_by_text("There is no space for this file").wait_for()


def test_a_disk_that_fills_up_meanwhile_keeps_what_arrived_until_there_is_room(
    enter, line, settings, harbour, axe, troubles
):
    troubles.expect("status of 507")
    tab, path = enter(), harbour(uploads.PIECE + MIB)
    line.hold_after(2 * MIB)
    choose(tab, path)
    is_on_its_way(line, MIB)

    was, settings.STAGING_RESERVE_MIB = settings.STAGING_RESERVE_MIB, 1 << 40
    line.mend()
    expect(tab, "paused")
    tab.get_by_text("There is no space for this file").first.wait_for()
    axe(tab)
    settings.STAGING_RESERVE_MIB = was
    tab.get_by_role("button", name="Resume").click()

    expect(tab, "arrived")
    assert is_here(path)


def test_a_removed_file_leaves_nothing_here(enter, line, harbour):
    tab = enter()
    line.hold_after(2 * MIB)
    choose(tab, harbour(4 * MIB))
    is_on_its_way(line, MIB)

    tab.get_by_role("button", name="Remove").click()
    expect(tab, "idle")

    wait_until(lambda: not StagedFile.objects.exists(), what="the end of the file")
    wait_until(lambda: not list(staging.folder().iterdir()), what="the end of its bytes")
    assert tab.locator("#staged_file").input_value() == ""


def test_files_that_are_here_can_be_used_and_removed(enter, line, mara):
    for name in ("yesterday.bim", "before.bim"):
        staged = staging.announce(name=name, size=2 * MIB, owner=mara)
        staging.grow(staged, staging.HEADER + bytes(MIB), at=0)
        staging.complete(staged)
    tab = enter()
    tab.get_by_label("Description").fill("stays")

    tab.get_by_role("button", name="Remove before.bim").click()
    wait_until(lambda: StagedFile.objects.count() == 1, what="the end of the file")
    tab.get_by_role("link", name="Use yesterday.bim").click()
    expect(tab, "arrived")

    assert tab.locator("#staged_file").input_value() == str(StagedFile.objects.get().pk)
    assert tab.get_by_label("Name", exact=True).input_value() == "yesterday"
    assert tab.get_by_label("Description").input_value() == "stays"
    assert tab.get_by_text("Your files already here").count() == 0


def test_a_file_that_was_changed_meanwhile_is_not_mixed_with_what_arrived(enter, line, harbour, troubles):
    troubles.expect(CUT)
    tab, path = enter(), harbour(16 * MIB)
    line.hold_after(2 * MIB)
    choose(tab, path)
    is_on_its_way(line, MIB)

    path.write_bytes(staging.HEADER + os.urandom(15 * MIB))
    line.mend()

    tab.locator("#file_msg").get_by_text("was changed or moved meanwhile").wait_for()
    assert not StagedFile.objects.exists()
    assert tab.locator("#staged_file").input_value() == ""


def test_without_javascript_it_is_a_plain_form(enter, harbour):
    tab, path = enter(java_script_enabled=False), harbour(3 * MIB)
    tab.get_by_label("Into iTwin").fill("Harbour Bridge")
    tab.get_by_label("Name", exact=True).fill("Pier 7")
    choose(tab, path)

    tab.get_by_role("button", name="Create iModel").click()
    tab.wait_for_url("**/operations/*/")

    assert Operation.objects.get().file_size == 3 * MIB
    assert is_here(path)
