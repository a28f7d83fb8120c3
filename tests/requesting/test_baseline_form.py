"""The form for a baseline file: with one that came in pieces, one that comes along, and one that may not."""

import json
import os
import re
import threading
from io import BytesIO

import pytest
from django.test import Client
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import ApprovalRule, Operation, Preset, StagedFile
from imodels_app.requesting import staging
from imodels_app.states import Kind, State
from imodels_app.tasks import clean_staging
from tests.people import HARBOUR
from tests.views.test_new_imodel import ORESUND, filled_in, text_of, typed

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

MIB = staging.MIB
FORM = "/new/baseline/"


@pytest.fixture(autouse=True)
def _folder(tmp_path, settings):
    settings.STAGING_DIR = tmp_path / "staging"


@pytest.fixture
def at_desk(client, bridge_team, mara, sandbox):
    tokens.store(mara, sandbox.tokens_for("mara"))
    client.force_login(mara)
    return client


def imodel(size: int = 1000) -> bytes:
    return staging.HEADER + os.urandom(size - len(staging.HEADER))


def arrived(owner, *, name: str = "harbour.bim", size: int = 1000) -> StagedFile:
    staged = staging.announce(name=name, size=size, owner=owner)
    staging.grow(staged, imodel(size), at=0)
    return staging.complete(staged)


def filled(staged: StagedFile | None = None, **fields):
    usual = typed("empty") | ({"staged_file": str(staged.pk)} if staged else {})
    return usual | fields


def along(data: bytes, name: str = "harbour.bim") -> BytesIO:
    """A file in a plain form."""
    file = BytesIO(data)
    file.name = name
    return file


def folder() -> list[str]:
    return sorted(path.name for path in staging.folder().iterdir())


def operation_of(staged: StagedFile, spec_for) -> Operation:
    spec = spec_for(Kind.BASELINE, name="Before", file_name=staged.name, file_size=staged.size)
    return lifecycle.request(spec, by=staged.owner, staged_file=staged)


# It works


@pytest.mark.parametrize("creation_modes", [False, True])
def test_a_file_that_has_arrived_becomes_an_operation(at_desk, mara, settings, creation_modes):
    settings.ITWIN_CREATION_MODES = creation_modes
    staged = arrived(mara, size=1234)

    answer = at_desk.post(FORM, filled(staged, north="55.68", south="55.55", west="12.6", east="12.9"))

    operation = Operation.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, reverse("imodels:operation-detail", args=[operation.pk]))
    assert (operation.kind, operation.state) == (Kind.BASELINE, State.QUEUED)
    assert (operation.staged_file, operation.file_name, operation.file_size) == (staged, "harbour.bim", 1234)
    body = json.loads(operation.request_body)
    assert body["baselineFile"] == {"size": 1234}
    assert body["extent"]["southWest"] == {"latitude": 55.55, "longitude": 12.6}
    assert body.get("creationMode") == ("fromBaseline" if creation_modes else None)


def test_without_javascript_the_file_comes_with_the_form_and_goes_straight_into_the_folder(at_desk, mara):
    data = imodel(3 * MIB)

    answer = at_desk.post(FORM, filled(file=along(data)))

    assert answer.status_code == 303
    staged = StagedFile.objects.get()
    assert (staged.owner, staged.name, staged.size, bool(staged.arrived_at)) == (mara, "harbour.bim", 3 * MIB, True)
    assert staging.path_of(staged).read_bytes() == data
    assert folder() == [str(staged.pk)]
    assert Operation.objects.get().staged_file == staged


def test_a_file_that_came_with_a_wrong_form_need_not_be_given_again(at_desk):
    wrong = at_desk.post(FORM, filled(file=along(imodel()), name=""))
    staged = StagedFile.objects.get()

    assert wrong.status_code == 422
    assert f'id="staged_file" value="{staged.pk}"' in wrong.content.decode()
    assert "harbour.bim is here, 1000 bytes" in text_of(wrong)
    assert at_desk.post(FORM, filled(staged)).status_code == 303


def test_the_request_is_shown_while_the_file_is_still_on_its_way(at_desk, mara):
    staged = staging.announce(name="harbour.bim", size=300 * MIB, owner=mara)

    shown = text_of(at_desk.get("/new/baseline/checks/", filled(staged)))

    assert f'"size" : {300 * MIB}' in shown
    assert "harbour.bim is on its way" in shown


def test_the_page_lists_what_is_here_and_how_long_it_is_kept(at_desk, mara, tomas):
    staging.announce(name="tomas.bim", size=100, owner=tomas)
    begun = staging.announce(name="quay.bim", size=300 * MIB, owner=mara)
    staging.append(begun, imodel(3 * MIB), at=0)
    arrived(mara, name="harbour.bim")

    shown = text_of(at_desk.get(FORM))

    assert "3 of 300 MiB arrived. Choose the same file to resume. Kept until" in shown
    assert "1000 bytes, complete. Kept until" in shown
    assert "tomas.bim" not in shown


def test_the_address_can_name_the_file(at_desk, mara):
    staged = arrived(mara)

    page = at_desk.get(FORM, {"staged_file": str(staged.pk), "name": "Pier 7"}).content.decode()

    assert f'id="staged_file" value="{staged.pk}"' in page
    assert 'value="Pier 7"' in page


# It refuses


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "harbour.bim", staging.EMPTY),
        (b"PK\3\4" * 100, "harbour.bim", staging.NO_IMODEL),
        (imodel(2 * MIB + 1), "harbour.bim", "The file is larger than 2 MiB"),
    ],
)
def test_a_file_that_is_no_good_is_told_at_its_field_and_not_kept(at_desk, settings, data, name, said):
    settings.BASELINE_MAX_MIB = 2

    answer = at_desk.post(FORM, filled(file=along(data, name)))

    assert answer.status_code == 422
    assert answer.context["form"].errors["file"][0].startswith(said)
    assert folder() == []
    assert not StagedFile.objects.exists()
    assert not Operation.objects.exists()


@pytest.fixture
def five_files(mara, baseline_of):
    """Two that failed operations had, one on its way and two that have arrived: all that may be here."""
    for number in range(2):
        lifecycle.failed(baseline_of(imodel(), name=f"Failed {number}"), code="stagedFileMissing")
    staging.announce(name="on its way.bim", size=1000, owner=mara)
    return [arrived(mara, name=f"{number}.bim") for number in range(2)]


def test_when_no_more_files_may_come_the_page_says_so_before_one_is_chosen_and_offers_each_for_removal(
    at_desk, five_files
):
    page = at_desk.get(FORM).text

    assert "5 files of yours are already here, and there can be no more." in page
    assert page.index("5 files of yours") < page.index('type="file"')
    assert page.count("/remove") == 5
    # Without JavaScript the form is sent all the same: nothing of the file is kept, and it is refused as told before.
    answer = at_desk.post(FORM, filled(file=along(imodel())))
    assert answer.context["form"].errors["file"] == [staging.why_no_more(five_files[0].owner)]
    assert len(folder()) == 4

    at_desk.post(f"/new/baseline/files/{five_files[0].pk}/remove")

    assert "already here, and there" not in at_desk.get(FORM).text
    assert at_desk.post(FORM, filled(file=along(imodel()))).status_code == 303


def test_a_file_that_comes_with_a_form_counts_while_it_comes(at_desk, mara, settings):
    settings.STAGING_PERSON_MIB = 3
    coming = staging.announce(name="quay.bim", size=2 * MIB, owner=mara)

    answer = at_desk.post(FORM, filled(file=along(imodel(MIB))))

    assert "One person’s files may have 3 MiB here, and yours have 2 MiB" in answer.context["form"].errors["file"][0]
    assert list(StagedFile.objects.all()) == [coming]
    assert folder() == []


def test_the_limit_is_each_persons_own(at_desk, five_files, client, tomas):
    client.force_login(tomas)

    assert "already here, and there" not in client.get(FORM).text


def test_a_file_for_which_the_disk_has_no_room_is_refused(at_desk, settings):
    settings.STAGING_RESERVE_MIB = 1 << 40

    answer = at_desk.post(FORM, filled(file=along(imodel())))

    assert "There is no space for this file" in answer.context["form"].errors["file"][0]
    assert folder() == []


def test_a_form_needs_a_file(at_desk):
    answer = at_desk.post(FORM, filled())

    assert answer.context["form"].errors["file"] == ["Choose the baseline file."]


def test_a_file_on_its_way_is_waited_for(at_desk, mara):
    staged = staging.announce(name="harbour.bim", size=1000, owner=mara)

    answer = at_desk.post(FORM, filled(staged))

    assert "harbour.bim has not fully arrived" in answer.context["form"].errors["file"][0]
    assert not Operation.objects.exists()


@pytest.mark.parametrize("staged_file", ["garbage", "b2b00000-0000-4000-8000-000000000001"])
def test_a_file_that_is_not_here_is_refused(at_desk, staged_file):
    answer = at_desk.post(FORM, filled(staged_file=staged_file))

    assert answer.context["form"].errors["file"] == ["This file is no longer here. Choose it again."]


def test_somebody_elses_file_is_refused_and_its_name_not_told(at_desk, tomas):
    theirs = arrived(tomas, name="secret-bridge.bim")

    answer = at_desk.post(FORM, filled(theirs))
    shown = at_desk.get(FORM, {"staged_file": str(theirs.pk)})

    assert answer.status_code == 422
    assert "secret-bridge" not in answer.content.decode() + shown.content.decode()
    assert not Operation.objects.exists()


def test_a_file_makes_one_operation_at_a_time(at_desk, mara, spec_for):
    staged = arrived(mara)
    operation_of(staged, spec_for)

    answer = at_desk.post(FORM, filled(staged))

    assert answer.context["form"].errors["file"] == ["This file is no longer here. Choose it again."]
    assert Operation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_operations_asked_for_at_once_do_not_share_a_file(bridge_team, mara, spec_for):
    staged, outcomes = arrived(mara), []

    def ask(name: str) -> None:
        from django.db import connection

        spec = spec_for(Kind.BASELINE, name=name, file_name=staged.name, file_size=staged.size)
        try:
            lifecycle.request(spec, by=mara, staged_file=staged)
            outcomes.append("made")
        except lifecycle.FileTaken:
            outcomes.append("taken")
        finally:
            connection.close()

    both = [threading.Thread(target=ask, args=(name,)) for name in ("One", "Other")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()

    assert sorted(outcomes) == ["made", "taken"]
    assert Operation.objects.get().staged_file == staged


@pytest.mark.parametrize("form", ["pieces", "along"])
def test_a_form_from_elsewhere_leaves_nothing_here(mara, sandbox, form):
    elsewhere = Client(enforce_csrf_checks=True)
    elsewhere.force_login(mara)

    answer = elsewhere.post(FORM, filled(file=along(imodel())) if form == "along" else filled(arrived(mara)))

    assert answer.status_code == 403
    assert not Operation.objects.exists()
    assert len(folder()) == StagedFile.objects.count() == (0 if form == "along" else 1)


def test_a_form_older_than_the_sign_in_keeps_what_was_typed_and_no_file_that_came_along(mara, sandbox):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(mara)
    browser.get(FORM)

    answer = browser.post(FORM, filled(file=along(imodel()), name="Pier 7", csrfmiddlewaretoken="x" * 64))

    assert answer.status_code == 422
    assert "This page is older than your sign-in." in text_of(answer)
    assert 'value="Pier 7"' in answer.content.decode()
    assert not Operation.objects.exists()
    assert folder() == []


def test_whoever_was_signed_out_keeps_what_was_typed_and_the_file_in_pieces(client, mara):
    staged = arrived(mara)

    answer = client.post(FORM, filled(staged, file=along(imodel())))

    assert answer.status_code == 422
    assert "You are signed out." in text_of(answer)
    assert f'id="staged_file" value="{staged.pk}"' in answer.content.decode()
    assert folder() == [str(staged.pk)]


def test_a_preset_keeps_what_was_typed_and_no_file(at_desk, mara):
    staged = arrived(mara)

    page = at_desk.post("/new/baseline/preset/", filled(staged, name="Pier 7", north="55.68", file=along(imodel())))

    assert page.status_code == 200
    assert page.context["values"] == {
        "itwin": "Harbour Bridge",
        "itwin_id": HARBOUR,
        "name": "Pier 7",
        "north": "55.68",
    }
    assert folder() == [str(staged.pk)]


# The same again


def test_a_failed_operation_is_tried_again_with_the_file_it_had(at_desk, mara, spec_for):
    staged = arrived(mara)
    failed = operation_of(staged, spec_for)
    Operation.objects.filter(pk=failed.pk).update(state=State.FAILED, finished_at=failed.created_at)

    page = at_desk.get(FORM, {"from": str(failed.pk)}).content.decode()
    assert f'id="staged_file" value="{staged.pk}"' in page
    at_desk.post(FORM, filled(staged, **{"from": str(failed.pk)}))

    again = Operation.objects.exclude(pk=failed.pk).get()
    assert (again.again_of, again.staged_file) == (failed, staged)
    failed.refresh_from_db()
    assert (failed.staged_file, failed.file_name, failed.file_size) == (None, "harbour.bim", 1000)


def test_a_file_that_is_not_kept_any_more_has_to_be_chosen_again(at_desk, mara, spec_for):
    staged = arrived(mara)
    operation = operation_of(staged, spec_for)
    staging.delete(staged)

    page = at_desk.get(FORM, {"from": str(operation.pk)})

    assert "harbour.bim, 1000 bytes, cannot be reused. Choose it again." in text_of(page)
    assert 'id="staged_file" value=""' in page.content.decode()


def test_the_file_of_an_operation_under_way_is_not_offered_again(at_desk, mara, spec_for):
    operation = operation_of(arrived(mara), spec_for)

    page = at_desk.get(FORM, {"from": str(operation.pk)}).content.decode()

    assert 'id="staged_file" value=""' in page


# Taking it back


def test_a_file_can_be_removed_without_javascript(at_desk, mara):
    staged = arrived(mara)

    answer = at_desk.post(reverse("imodels:remove-staged-file", args=[staged.pk]))

    assert (answer.status_code, answer["Location"]) == (303, FORM)
    assert not StagedFile.objects.exists()


def test_a_file_on_its_way_into_an_imodel_cannot_be_removed(at_desk, mara, spec_for):
    staged = arrived(mara)
    operation_of(staged, spec_for)

    removed = at_desk.post(reverse("imodels:remove-staged-file", args=[staged.pk]), follow=True)
    deleted = at_desk.delete(reverse("imodels:staged-file", args=[staged.pk]), headers={"Tus-Resumable": "1.0.0"})

    assert "on its way into an iModel. Cancel that operation first." in text_of(removed)
    assert deleted.status_code == 409
    assert staging.path_of(staged).exists()


def test_the_task_forgets_what_is_of_no_use(bridge_team, mara, spec_for):
    staged = arrived(mara)
    operation = operation_of(staged, spec_for)
    Operation.objects.filter(pk=operation.pk).update(state=State.SUCCEEDED, finished_at=operation.created_at)

    clean_staging()

    assert not StagedFile.objects.exists()


def test_a_preset_keeps_what_is_typed_and_leaves_the_file_to_the_form(at_desk, mara):
    staged = arrived(mara)
    asked = at_desk.post("/new/baseline/preset/", filled(staged, description="As surveyed", north="55.68"))
    kept = at_desk.post(
        "/new/baseline/preset/",
        filled(staged, description="As surveyed", north="55.68") | {"preset_name": "Survey", "preset_team": ""},
    )
    page = at_desk.get(kept["Location"]).text

    assert f'name="staged_file" value="{staged.pk}"' in asked.text
    assert set(Preset.objects.get().values) == {"itwin", "name", "description", "north"}
    assert f'name="staged_file" id="staged_file" value="{staged.pk}"' in page
    assert 'value="As surveyed"' in page
    assert folder() == [str(staged.pk)]
    again = at_desk.get(FORM, {"preset": Preset.objects.get().pk}).text
    assert 'name="staged_file" id="staged_file" value=""' in again


def test_a_preset_does_not_take_the_file_along(at_desk):
    """Its button sends the form without the file's bytes."""
    button = re.search(r"<button[^>]*>Save as preset", at_desk.get(FORM).text)[0]

    assert 'formenctype="application/x-www-form-urlencoded"' in button


def test_every_field_comes_by_address_by_same_again_and_by_preset_but_the_file(at_desk, mara):
    words = {"name": "Pier & “7” + ü #1", "description": "50 % <done>", "itwin": "Harbour Bridge", **ORESUND}
    by_address = filled_in("baseline", at_desk.get(FORM, words).text)
    assert {name: by_address[name] for name in words} == words

    at_desk.post(FORM, by_address | {"staged_file": str(arrived(mara).pk)})
    first = Operation.objects.get()
    # While it is under way, the same again leads to it.
    lifecycle.cancel(first, by=mara)
    again = filled_in("baseline", at_desk.get(FORM, {"from": first.pk}).text)
    assert again | {"staged_file": ""} == by_address
    at_desk.post(FORM, again | {"staged_file": str(arrived(mara).pk)})
    assert Operation.objects.exclude(pk=first.pk).get().request_body == first.request_body

    kept = at_desk.post("/new/baseline/preset/", by_address | {"preset_name": "Mine"})
    assert filled_in("baseline", at_desk.get(kept["Location"]).text) == by_address


# It is changed while it waits


@pytest.fixture
def waiting(at_desk, mara) -> Operation:
    """A rule asks people about it."""
    ApprovalRule.objects.update(kinds=[])
    at_desk.post(FORM, filled(arrived(mara), reason="For the tender.", north="2", south="1", west="3", east="4"))
    return Operation.objects.get(state=State.AWAITING_APPROVAL)


def test_8_a_baseline_request_is_changed_and_its_file_stays(at_desk, mara, tomas, waiting):
    edit, hash_before = reverse("imodels:edit-request", args=[waiting.pk]), waiting.request_hash
    other = arrived(mara, name="other.bim")
    page = at_desk.get(edit)
    assert (page.status_code, "harbour.bim" in page.text, 'type="file"' in page.text) == (200, True, False)

    sides = {"north": "5", "south": "1", "west": "3", "east": "4"}
    changed = {"round": "1", "name": "Pier 8", "reason": "It is urgent.", "staged_file": str(other.pk)} | sides
    assert at_desk.post(edit, changed).status_code == 302

    now = Operation.objects.get(pk=waiting.pk)
    assert (now.name, now.reason, now.plan.number) == ("Pier 8", "It is urgent.", 2)
    assert now.request_hash != hash_before
    assert (now.staged_file, now.file_name, now.file_size) == (waiting.staged_file, "harbour.bim", 1000)
    assert json.loads(now.request_body)["baselineFile"] == {"size": 1000}
    told = {one["what"]: one["after"] for one in now.events.get(verb="edited").data["changes"]}
    assert told == {"Name": "Pier 8", "Extent": "1.0, 3.0 to 5.0, 4.0", "Reason": "It is urgent."}
    assert "harbour.bim" in text_of(at_desk.get(reverse("imodels:approval-detail", args=[now.pk])))
    lifecycle.approve(now, by=tomas)
    assert now.state == State.QUEUED


def test_8_without_its_file_a_baseline_request_is_not_changed(at_desk, waiting):
    waiting.staged_file.delete()

    answer = at_desk.post(reverse("imodels:edit-request", args=[waiting.pk]), {"round": "1", "name": "Pier 8"})

    assert answer.status_code == 422
    assert "Its file is no longer here" in answer.text
