"""Each call that changes something on the platform is an event, and says what the platform's own journal says."""

import pytest

from imodels_app import lifecycle
from imodels_app.audit import configuration
from imodels_app.models import Event, Operation, TokenSet
from imodels_app.requesting import presets
from imodels_app.states import Kind
from imodels_app.workers import cleanup
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]


REFUSAL = '{"error": {"code": "InvalidiModelsRequest", "message": "No."}}'


def recorded_calls(operation: Operation) -> list[tuple]:
    facts = operation.events.filter(verb="called").order_by("pk").values_list("data", flat=True)
    return [(one["method"], one["path"], one["status"], one["correlation_id"]) for one in facts]


def journal(sandbox) -> list[tuple]:
    """What changed something, but for the storage's own."""
    return [
        (one.method, one.path, one.status, one.correlation_id)
        for one in sandbox.journal
        if one.method in ("POST", "DELETE") and one.path.startswith("/imodels")
    ]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (None, 202, ""),
        (
            {"status": 422, "body": REFUSAL},
            422,
            "InvalidiModelsRequest",
        ),
        ({"status": 429}, 429, ""),
        ({"status": 503}, 503, ""),
        ({"lost_answer": True}, None, ""),
    ],
    ids=["accepted", "refused", "too many", "broken", "lost"],
)
def test_a_request_and_its_answer_are_one_event(queued_clone, sandbox, mara, fault, status, code):
    if fault:
        sandbox.fault("POST", r"/clone$", times=1, **fault)

    submit(queued_clone.pk)

    event = queued_clone.events.get(verb="called")
    assert (event.data["method"], event.data["path"]) == ("POST", queued_clone.request_path)
    assert event.data["body"] == queued_clone.request_body
    assert (event.data["status"], event.data["code"]) == (status, code)
    assert event.data["took_ms"] >= 0
    assert (event.data["correlation_id"], event.data["person"]) == (str(queued_clone.pk), mara.pk)


def test_what_does_not_leave_is_no_call(queued_clone, settings):
    settings.ITWIN_API_URL = "http://127.0.0.1:9"

    submit(queued_clone.pk)

    assert recorded_calls(queued_clone) == []


def test_a_baseline_file_and_a_deletion_are_calls_too(baseline_of, sandbox, mara):
    operation = baseline_of(b"SQLite format 3\0" + bytes(1000))
    submit(operation.pk)
    upload(operation.pk)
    operation.refresh_from_db()
    lifecycle.failed(operation, code="initializationFailed")
    lifecycle.delete_orphan(operation, by=mara)
    cleanup.delete(operation.pk)

    found = recorded_calls(operation)

    assert [(method, status) for method, _, status, _ in found] == [("POST", 201), ("POST", 200), ("DELETE", 204)]
    assert found == journal(sandbox)


def test_no_token_is_in_an_event(queued_clone, sandbox):
    submit(queued_clone.pk)

    tokens = {one.access_token for one in TokenSet.objects.all()}
    assert not any(token in str(list(Event.objects.values())) for token in tokens)
    assert "Bearer" not in str(list(Event.objects.values()))


def test_what_becomes_of_a_preset_is_in_the_record(bridge_team, mara):
    preset = presets.save(Kind.CLONE, "Ours", {}, by=mara, team=bridge_team)
    presets.save(Kind.CLONE, "Ours", {}, by=mara, team=bridge_team)
    presets.change(preset, by=mara, name="Theirs", team=None)
    presets.delete(preset, by=mara)

    told = Event.objects.filter(verb__startswith="preset").order_by("pk").values_list("verb", "note", "team_name")
    assert list(told) == [
        ("preset_saved", "Ours of Mara Lindqvist", "Bridge team"),
        ("preset_changed", "Theirs of Mara Lindqvist", ""),
        ("preset_deleted", "Theirs of Mara Lindqvist", ""),
    ]


def test_another_configuration_is_told_once_and_without_secrets(settings, mara):
    secrets = [settings.SECRET_KEY, settings.OIDC_CLIENT_SECRET, *settings.TOKEN_KEYS]
    for tier in ("basic", "basic", "premium", "premium"):
        settings.CONFIGURATION = settings.CONFIGURATION | {"ITWIN_TIER": tier}
        for _ in range(2):
            configuration.record_change()

    first, second = Event.objects.filter(verb="configured").order_by("pk")
    assert second.note.endswith("changed: ITWIN_TIER")
    assert second.data["settings"]["ITWIN_TIER"] == "premium"
    assert not any(secret in str(first.data) for secret in secrets)
