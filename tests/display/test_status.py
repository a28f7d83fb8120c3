"""Each state says its exact words, and times and numbers read well."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from django.test import override_settings

from imodels_app.display import formats, meanings, progress, status, status_table
from imodels_app.display.estimates import UsualDuration
from imodels_app.models import Decision, Operation, Team, Upload
from imodels_app.states import Kind, State, WaitReason

pytestmark = pytest.mark.same_on_both

NOW = datetime(2026, 11, 18, 9, 42, 20, tzinfo=UTC)
SIX_TO_NINE = UsualDuration(median=timedelta(minutes=6), p90=timedelta(minutes=9), count=41, source="Main Bridge")


def operation(
    state: State = State.QUEUED, decisions: Sequence[Decision] = (), upload: dict | None = None, **fields
) -> Operation:
    usual = {
        "kind": Kind.CLONE,
        "name": "Pier 7",
        "itwin_name": "Harbour Bridge",
        "source_id": "5d2f",
        "source_name": "Main Bridge",
        "changeset_index": 118,
        "requested_by_name": "Jun Sato",
        "team": Team(name="Bridge team", approval_days=7),
        "created_at": NOW - timedelta(minutes=5),
        "accepted_at": NOW - timedelta(minutes=4),
    }
    made = Operation(state=state, **(usual | fields))
    # As a page has prefetched them: words need no database.
    made._prefetched_objects_cache = {"decisions": decisions}  # type: ignore[attr-defined]
    Upload(operation=made, **(upload or {}))
    return made


def waits(reason: WaitReason, **later) -> dict:
    return {"wait_reason": reason, "wait_until": NOW + timedelta(**later)}


@pytest.mark.parametrize(
    ("fields", "badge", "tone", "icon", "line"),
    [
        (
            {"state": State.AWAITING_APPROVAL, "expires_at": NOW + timedelta(days=2, hours=6)},
            *("Awaiting approval", "ask", "st-approval", "Bridge team decides by Fri 20 Nov 15:42 UTC"),
        ),
        ({}, "Queued", "", "st-queued", "sent in a moment"),
        (
            waits(WaitReason.RATE_LIMIT, seconds=30),
            *("Queued", "", "st-queued", "platform’s limit until 09:42:50; waiting for its turn"),
        ),
        (
            waits(WaitReason.PLATFORM_DOWN, minutes=3),
            *("Queued", "", "st-queued", "platform not answering, next try 09:45:20"),
        ),
        (waits(WaitReason.SAME_NAME, seconds=9), "Queued", "", "st-queued", "another “Pier 7” comes first"),
        (
            waits(WaitReason.SIGN_IN, days=5),
            *("Waiting for sign-in", "ask", "st-signin", "Jun must sign in again by Mon 23 Nov"),
        ),
        ({"state": State.SUBMITTING}, "Submitting", "move", "st-submitting", "request sent, waiting for the answer"),
        (
            {"state": State.SUBMITTING} | waits(WaitReason.LOST_ANSWER, minutes=1),
            *("Checking", "move", "search", "the answer was lost, checking for “Pier 7”"),
        ),
        (
            {"state": State.UPLOADING, "upload": {"sent_bytes": 157286400}, "file_size": 314572800},
            *("Uploading", "move", "st-uploading", "150 MiB of 300 MiB"),
        ),
        (
            {"state": State.UPLOADING, "upload": {"sent_bytes": 10}, "file_size": 10},
            *("Uploading", "move", "st-uploading", "file uploaded, telling the platform"),
        ),
        (
            {"state": State.UPLOADING} | waits(WaitReason.STORAGE_DOWN, minutes=3),
            *("Uploading", "move", "st-uploading", "storage not answering, next try 09:45:20"),
        ),
        (
            {"state": State.UPLOADING} | waits(WaitReason.SIGN_IN, hours=1),
            *("Waiting for sign-in", "ask", "st-signin", "Jun must sign in again to finish the upload"),
        ),
        ({"state": State.RUNNING}, "Running", "move", "st-running", "usually 2 to 5 min more"),
        (
            {"state": State.RUNNING, "accepted_at": NOW - timedelta(minutes=10)},
            *("Running", "move", "st-running", "longer than usual, 9 of 10 finish within 9 min"),
        ),
        (
            {"state": State.RUNNING, "usable_at": NOW},
            *("Usable now", "good", "st-usable", "still finishing, usually 2 to 5 min more"),
        ),
        (
            {"state": State.RUNNING} | waits(WaitReason.SIGN_IN, days=1),
            "Waiting for sign-in",
            *("ask", "st-signin", "still running; Jun must sign in again to see the result"),
        ),
        (
            {"state": State.SUCCEEDED, "finished_at": NOW + timedelta(seconds=12)},
            *("Succeeded", "good", "st-succeeded", "4 min 12 s on the platform"),
        ),
        (
            {"state": State.REJECTED, "decisions": [Decision(by_name="Tomas Novak", comment="Use Pier 7 retrofit")]},
            *("Rejected", "", "st-rejected", "Tomas: “Use Pier 7 retrofit”"),
        ),
        ({"state": State.EXPIRED}, "Expired", "", "st-expired", "nobody decided within 7 days"),
        (
            {"state": State.EXPIRED} | waits(WaitReason.SIGN_IN, days=0),
            *("Expired", "", "st-expired", "Jun did not sign in again in time"),
        ),
        ({"state": State.CANCELLED}, "Cancelled", "", "st-cancelled", "by Jun before it was sent"),
    ],
)
def test_a_state_says_its_exact_words(fields, badge, tone, icon, line):
    text = status.describe(operation(**fields), NOW, SIX_TO_NINE)

    assert (text.badge, text.tone, text.icon, text.line) == (badge, tone, icon, line)


@pytest.mark.parametrize(
    ("code", "badge", "line"),
    [
        ("iModelExists", "Failed: name taken", "choose another name"),
        ("mainIModelIsMissingFederationGuids", "Failed: FederationGuids missing", "add them first"),
        ("fileIsBriefcase", "Failed: file is a briefcase", "upload a snapshot"),
        ("initializationFailed", "Failed: not initialized", "the file could not be read as an iModel"),
        ("vanished", "Failed: vanished", "the platform no longer knows this iModel"),
        ("InsufficientPermissions", "Failed: not permitted", "imodels_manage is missing in Harbour Bridge"),
        ("uploadLinkExpired", "Failed: upload link expired", "the file did not arrive in time"),
        ("uploadLinkLost", "Failed: no upload link", "the platform gave no link for the file"),
        ("uploadLinkForeign", "Failed: upload link not used", "it points to an address that is not allowed"),
        ("uploadRefused", "Failed: file refused", "the platform’s storage refused it"),
        ("baselineSizeMismatch", "Failed: size differs", "not the size that was announced"),
        ("baselineFileMissing", "Failed: file not found", "the platform cannot find the file"),
        ("uploadAbandoned", "Failed: not signed in", "the requester did not sign in again in time"),
        ("stagedFileMissing", "Failed: file gone", "pier.bim is no longer here"),
        ("approvalVoid", "Failed: approval void", "the request differs from what was approved"),
        ("iTwinNotFound", "Failed: iTwin not found", "missing, or not visible to Jun"),
        ("ItwinNotFound", "Failed: iTwin not found", "missing, or not visible to Jun"),
        ("iModelNotFound", "Failed: source not found", "missing, or not visible to Jun"),
        ("ChangesetNotFound", "Failed: changeset not found", "pick another changeset"),
        ("sourceNotReady", "Failed: source not ready", "Main Bridge is still being made"),
        ("InvalidiModelsRequest", "Failed: not accepted", "correct what the platform names"),
        ("UnsupportedMediaType", "Failed: our error", "the platform does not accept what iModel Desk sent"),
        ("SomethingNew", "Failed", "the platform said: “No.”"),
    ],
)
def test_a_failure_has_its_own_name_and_remedy(code, badge, line):
    details = [{"message": "The user lacks 'imodels_manage'."}]
    failed = operation(
        State.FAILED, failure_code=code, failure_message="No.", failure_details=details, file_name="pier.bim"
    )

    text = status.describe(failed, NOW)

    assert (text.badge, text.tone, text.icon, text.line) == (badge, "bad", "st-failed", line)
    assert text.remedy.endswith(".")
    assert status.headline(failed).endswith(".")


@pytest.mark.parametrize(
    ("kind", "fields", "needs"),
    [
        (Kind.EMPTY, {"source_id": ""}, "imodels_manage in Harbour Bridge"),
        (Kind.TEMPLATE, {}, "imodels_manage in Harbour Bridge and imodels_read in Rail Corridor"),
        (Kind.CLONE, {}, "imodels_manage in Rail Corridor and in Harbour Bridge"),
        (Kind.FORK, {"source_itwin_id": "b2b0"}, "imodels_manage in Harbour Bridge"),
    ],
)
def test_each_kind_says_which_rights_it_needs_where(kind, fields, needs):
    where = {"itwin_id": "b2b0", "source_itwin_id": "b2b1", "source_itwin_name": "Rail Corridor"}

    assert status.needs(operation(kind=kind, **(where | fields))) == needs


def test_only_what_the_platform_made_nothing_of_was_refused():
    assert status.was_refused(operation(State.FAILED, failure_code="iModelExists"))
    assert not status.was_refused(operation(State.FAILED, failure_code="failed", imodel_id="91c4"))
    assert not status.was_refused(operation(State.FAILED, failure_code="approvalVoid"))
    assert not status.was_refused(operation(State.REJECTED))


def test_an_imodel_from_a_template_is_no_copy():
    made = operation(State.RUNNING, kind=Kind.TEMPLATE)

    assert progress.progress_headline(made) == "The platform is making one baseline from 118 changesets"
    assert status.origin(made) == "Template iModel"
    assert "iModels from the template Main Bridge" in progress.estimate_basis(made, SIX_TO_NINE, NOW)


@pytest.mark.parametrize("state", State)
def test_no_state_is_without_words(state):
    for reason, kind in product(WaitReason, Kind):
        found = operation(state, kind=kind, wait_reason=reason)

        text = status.describe(found, NOW)

        assert text.badge, (reason, kind)
        assert "{" not in text.line + text.remedy, (reason, kind)
        assert len(progress.steps(found, text)) in (0, 5, 6, 7), (reason, kind)


def test_the_bar_of_an_upload_is_what_was_sent_and_its_link_says_until_when():
    link = {"sent_bytes": 3, "link_until": NOW + timedelta(minutes=18)}
    up = operation(State.UPLOADING, kind=Kind.BASELINE, file_size=4, upload=link)

    text = status.describe(up, NOW)

    assert (text.share, text.share_of) == (75, "Sent")
    assert [step.value for step in progress.steps(up, text)] == [100, 100, 75, 0, 0, 0]
    assert text.remedy.endswith("The platform accepts it until Wed 18 Nov 10:00 UTC.")


@pytest.mark.parametrize(
    "state", ["waitingForFile", "initializationScheduled", "initialized", "initializationFailed", "fileIsBriefcase"]
)
def test_each_state_of_a_baseline_file_has_a_badge_and_a_sentence(state):
    badge, sentence = status.baseline_text(operation(baseline_state=state))

    assert badge != state
    assert sentence


def test_an_unknown_state_of_a_baseline_file_is_shown_as_it_is():
    assert status.baseline_text(operation(baseline_state="resting")) == ("resting", "")


def test_nobody_is_sent_to_open_what_opens_nowhere(settings):
    done = operation(State.SUCCEEDED, itwin_id="t", imodel_id="m")
    assert status.describe(done, NOW).remedy == "Open it, or make one from it."

    settings.OPEN_IMODEL_URL = ""

    assert status.describe(done, NOW).remedy == "Make one from it."


def test_help_says_what_each_badge_means():
    rows = [*status_table.STATUSES.values(), *status_table.FAILURES.values(), *status_table.ORPHANS.values()]

    assert {row.badge.partition(":")[0] for row in rows} == set(meanings.MEANINGS)
    assert [row.badge for row, _ in meanings.badges()] == list(meanings.MEANINGS)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (512, "512 bytes"), (8808038, "8.4 MiB"), (314572800, "300 MiB"), (2**31, "2 GiB")],
)
def test_sizes_read_in_one_unit(count, words):
    assert formats.file_size(count) == words


def test_without_earlier_ones_nothing_is_promised():
    text = status.describe(operation(State.RUNNING), NOW, None)

    assert text.line == "the platform is working on it"
    assert text.share is None


def test_the_bar_is_never_full_while_it_runs():
    text = status.describe(operation(State.RUNNING, accepted_at=NOW - timedelta(hours=3)), NOW, SIX_TO_NINE)

    assert text.share == 95


@pytest.mark.parametrize(
    ("median", "p90", "words"),
    [
        (6, 9, "usually 2 to 5 min more"),
        (3, 9, "usually up to 5 min more"),
        (9, 9.2, "usually 5 min more"),
        (4, 4.5, "usually less than a minute more"),
        (1, 3, ""),
    ],
)
def test_what_remains_is_a_range_in_minutes(median, p90, words):
    usual = UsualDuration(median=timedelta(minutes=median), p90=timedelta(minutes=p90), count=9)

    assert status.time_remaining(operation(State.RUNNING), NOW, usual) == words


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (timedelta(seconds=30), "09:42:50"),
        (timedelta(hours=3), "12:42"),
        (timedelta(days=2), "Fri 20 Nov 09:42"),
        (timedelta(days=-400), "14 Oct 2025"),
    ],
)
def test_a_moment_is_as_exact_as_it_is_near(later, words):
    assert formats.moment(NOW + later, NOW) == words


def test_people_read_their_own_clock():
    with override_settings(TIME_ZONE="Europe/Copenhagen"):
        assert formats.clock(NOW) == "10:42"
        assert formats.iso(NOW) == "2026-11-18T09:42:20Z"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (42, "42 s"), (252, "4 min 12 s"), (360, "6 min"), (9600, "2 h 40 min"), (3 * 86400, "3 d")],
)
def test_a_duration_reads_in_two_units(seconds, words):
    assert formats.lasted(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "3 s"), (61, "1 min"), (7200, "2 h"), (200_000, "2 d"), (-5, "0 s")]
)
def test_an_age_has_one_unit(seconds, words):
    assert formats.age(NOW - timedelta(seconds=seconds), NOW) == words


def test_thousands_are_kept_together():
    assert formats.thousands(18204) == "18\u202f204"
