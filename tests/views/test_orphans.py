"""What failures left on the platform: seen by whom it concerns, deleted with one's own rights, and only on purpose."""

import html
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import permissions, tokens
from imodels_app.models import Bucket, CircuitBreaker, Operation, Orphan
from imodels_app.requesting.spec import ITwinRef
from imodels_app.runtime import clock
from imodels_app.states import Kind, OrphanState, State
from imodels_app.tasks import sweep_orphans
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.people import HARBOUR

pytestmark = pytest.mark.django_db

LIST = "/orphans/"
RAIL = "b2b00000-0000-4000-8000-000000000002"
SURE = {"sure": "on"}


@pytest.fixture
def left(bridge_team, signed_in_mara, sandbox, spec_for):
    """left(kind, outcome, **wish): an operation of Mara's that the platform began, and that came to nothing."""
    sandbox.advance_manually()

    def make(kind=Kind.TEMPLATE, outcome="failed", **spec):
        operation = lifecycle.request(spec_for(kind, **({"name": "Pier 7"} | spec)), by=signed_in_mara)
        submit(operation.pk)
        operation.refresh_from_db()
        sandbox.finish(operation.imodel_id, state=outcome)
        poll(operation.pk)
        operation.refresh_from_db()
        assert operation.state == State.FAILED
        return operation

    return make


@pytest.fixture
def in_rail(left):
    """In an iTwin where Mara has no imodels_delete."""
    return left(itwin=ITwinRef(id=RAIL, name="Rail Corridor 2027"))


@pytest.fixture
def signed_in(sandbox):
    """signed_in(tomas) has tokens that the sandbox takes."""

    def sign_in(person):
        tokens.store(person, sandbox.tokens_for(person.first_name.lower()))
        return person

    return sign_in


def text_of(answer) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def page_of(client, operation) -> str:
    return text_of(client.get(reverse("imodels:operation-detail", args=[operation.pk])))


def question(operation) -> str:
    return reverse("imodels:orphan-detail", args=[operation.pk])


def delete(operation) -> str:
    return reverse("imodels:delete-orphan", args=[operation.pk])


def after(operation: Operation) -> Operation:
    cleanup.delete(operation.pk)
    operation.refresh_from_db()
    return operation


def asked(operation: Operation, by, **how) -> Operation:
    lifecycle.delete_orphan(operation, by=by, **how)
    return operation


def deletions(sandbox) -> int:
    return sum(call.method == "DELETE" for call in sandbox.journal)


def ids_at(sandbox, name="Pier 7", itwin=HARBOUR) -> list[str]:
    return [one.id for one in sandbox.imodels_named(name, itwin)]


# ---------- who sees what ----------


def test_what_a_failure_left_is_listed_with_where_and_why(client, mara, left):
    left()
    client.force_login(mara)

    page = text_of(client.get(LIST))

    for words in ("Pier 7", "Harbour Bridge", "Template", "Mara L.", "keeps the name “Pier 7” taken", "Delete"):
        assert words in page


def test_what_left_nothing_is_not_listed(client, mara, waiting_fork, running_clone):
    lifecycle.failed(running_clone, code="vanished")
    client.force_login(mara)

    assert "No orphaned iModels" in text_of(client.get(LIST))


@pytest.mark.parametrize(("who", "sees", "may"), [("mara", 1, 1), ("tomas", 1, 1), ("ines", 1, 1), ("otto", 0, 0)])
def test_own_ones_the_teams_and_for_admins_all(client, request, otto, ines, left, who, sees, may):
    operation = left()
    person = request.getfixturevalue(who)
    client.force_login(person)

    page = client.get(LIST)

    assert len(page.context["rows"]) == sees
    assert page.content.decode().count(f'id="delete-{operation.pk}"') == may
    assert client.get(question(operation)).status_code == (200 if sees else 404)


def test_a_colleague_sees_it_and_may_not_delete_it(client, bridge_team, tomas, left):
    bridge_team.membership_set.filter(user=tomas).update(role="member")
    operation = left()
    client.force_login(tomas)

    assert len(client.get(LIST).context["rows"]) == 1
    answer = client.post(delete(operation), SURE)
    assert answer.status_code == 403
    assert "Only Mara Lindqvist, leads of Bridge team and administrators can do this." in text_of(answer)


def test_another_team_can_neither_see_nor_delete_it(client, otto, left, sandbox):
    operation = left()
    client.force_login(otto)

    assert client.post(delete(operation), SURE).status_code == 404
    assert after(operation).orphan.state == OrphanState.LEFT
    assert ids_at(sandbox) == [operation.imodel_id]


@pytest.mark.parametrize("fixture", ["succeeded_clone", "running_clone", "queued_clone"])
def test_nothing_but_orphans_can_be_deleted(client, mara, request, fixture):
    operation = request.getfixturevalue(fixture)
    client.force_login(mara)

    assert client.post(delete(operation), SURE).status_code == 404
    with pytest.raises(permissions.Denied):
        lifecycle.delete_orphan(operation, by=mara)


def test_a_page_of_them_costs_no_query_for_each(client, mara, bridge_team, spec_for, django_assert_max_num_queries):
    for number in range(20):
        operation = lifecycle.request(spec_for(Kind.CLONE, name=f"Number {number}"), by=mara)
        lifecycle.claim(operation, bucket="clone", now=timezone.now())
        lifecycle.accepted(operation, imodel_id=str(uuid4()))
        lifecycle.failed(operation, code="failed")
    client.force_login(mara)

    with django_assert_max_num_queries(16):
        assert len(client.get(LIST).context["rows"]) == 20


@pytest.mark.django_db(transaction=True)
def test_its_poll_costs_nothing_until_something_changes(client, mara, left):
    operation = left()
    client.force_login(mara)
    seen = client.get(LIST).context["seen"]

    assert client.get(LIST, {"seen": seen}, headers={"HX-Request": "true"}).status_code == 204
    asked(operation, mara)
    answer = client.get(LIST, {"seen": seen}, headers={"HX-Request": "true"})
    assert b"<html" not in answer.content
    assert "Deleting" in text_of(answer)


def test_the_form_tells_whose_orphan_takes_the_name(client, mara, left):
    operation = left()
    client.force_login(mara)
    typed = {"itwin": "Harbour Bridge", "name": "Pier 7"}

    assert "A failed operation left this name taken" in text_of(client.get("/new/empty/checks/", typed))
    after(asked(operation, mara))
    cache.clear()
    assert "Name is free in Harbour Bridge" in text_of(client.get("/new/empty/checks/", typed))


# ---------- the question ----------


def test_the_question_names_the_imodel_and_needs_a_tick(client, mara, left, sandbox):
    operation = left()
    client.force_login(mara)

    assert "Delete the iModel “Pier 7” in Harbour Bridge" in text_of(client.get(question(operation)))
    answer = client.post(delete(operation))
    assert answer.status_code == 422
    assert "Tick the box if you mean it." in text_of(answer)
    assert after(operation).orphan.state == OrphanState.LEFT


def test_whoever_lacks_the_right_on_the_platform_is_told_before(client, mara, in_rail):
    client.force_login(mara)

    assert "You do not seem to have imodels_delete in Rail Corridor 2027" in text_of(client.get(question(in_rail)))


def test_what_can_be_used_needs_two_ticks(client, mara, left, sandbox):
    operation = left()
    sandbox.initialize(operation.imodel_id)
    client.force_login(mara)

    assert "This iModel can be used." in text_of(client.get(question(operation)))
    assert client.post(delete(operation), SURE).status_code == 422
    assert client.post(delete(operation), SURE | {"anyway": "on"}).status_code == 302
    assert after(operation).orphan.state == OrphanState.DELETED
    assert ids_at(sandbox) == []


def test_a_platform_that_does_not_answer_keeps_nobody_from_asking(client, mara, left, sandbox):
    operation = left()
    sandbox.fault("GET", r"/imodels/", status=503, times=9)
    client.force_login(mara)

    assert "It is checked again before anything is deleted." in text_of(client.get(question(operation)))


def test_a_second_spec_is_late(client, mara, tomas, left):
    operation = asked(left(), tomas)
    client.force_login(mara)

    answer = client.post(delete(operation), SURE)

    assert answer.status_code == 409
    assert "It is being deleted." in text_of(answer)


def test_it_needs_post(client, mara, left):
    client.force_login(mara)

    assert client.get(delete(left())).status_code == 405


# ---------- what becomes of it ----------


def test_it_is_deleted_and_its_name_is_free(client, mara, left, sandbox):
    operation = left()
    client.force_login(mara)
    client.post(delete(operation), SURE)
    assert "The orphaned iModel is being deleted." in page_of(client, operation)

    assert after(operation).orphan.state == OrphanState.DELETED
    assert ids_at(sandbox) == []
    page = page_of(client, operation)
    assert "Mara Lindqvist had it deleted, so the name “Pier 7” is free." in page
    assert "Try again" in page
    assert "Orphaned iModel deleted with Mara’s own permissions" in page
    assert "by Mara, the name “Pier 7” is free" in text_of(client.get(LIST))
    assert operation.events.filter(verb__startswith="orphan_").count() == 2


def test_it_is_deleted_with_the_rights_of_whoever_asked_for_it(ines, signed_in, in_rail, sandbox):
    asked(in_rail, signed_in(ines))

    assert after(in_rail).orphan.state == OrphanState.DELETED
    assert {call.person for call in sandbox.journal if call.method == "DELETE"} == {ines.subject}


def test_a_missing_right_is_explained_and_nothing_deleted(client, mara, in_rail, sandbox):
    asked(in_rail, mara)

    assert after(in_rail).orphan.state == OrphanState.LEFT
    assert len(ids_at(sandbox, itwin=RAIL)) == 1
    client.force_login(mara)
    page = page_of(client, in_rail)
    assert "Mara Lindqvist may not delete it. It needs imodels_delete in Rail Corridor 2027." in page
    assert "Delete the orphaned iModel" in page


def test_what_turned_out_usable_meanwhile_is_not_deleted(client, mara, left, sandbox):
    operation = asked(left(), mara)
    sandbox.initialize(operation.imodel_id)

    assert after(operation).orphan.state == OrphanState.USABLE
    assert ids_at(sandbox) == [operation.imodel_id]
    client.force_login(mara)
    assert "The orphaned iModel can be used." in page_of(client, operation)
    with pytest.raises(lifecycle.Conflict):
        lifecycle.delete_orphan(operation, by=mara)
    assert after(asked(operation, mara, even_if_usable=True)).orphan.state == OrphanState.DELETED


def test_what_somebody_deleted_on_the_platform_is_gone(client, mara, left, sandbox):
    operation = asked(left(), mara)
    sandbox.world.delete_imodel(operation.imodel_id)

    assert after(operation).orphan.state == OrphanState.GONE
    assert deletions(sandbox) == 0
    client.force_login(mara)
    assert "Somebody deleted it on the platform" in page_of(client, operation)


def test_what_a_person_cannot_see_is_not_called_gone(otto, signed_in, left, sandbox):
    otto.is_staff = True
    otto.save()
    operation = asked(left(), signed_in(otto))

    assert after(operation).orphan.state == OrphanState.LEFT
    assert "cannot see it" in operation.orphan.note
    assert ids_at(sandbox) == [operation.imodel_id]


@pytest.mark.parametrize("status", [409, 422])
def test_another_no_is_told_in_the_platforms_words(client, mara, left, sandbox, status):
    operation = asked(left(), mara)
    body = {"error": {"code": "InvalidChange", "message": "The iModel is being created."}}
    sandbox.fault("DELETE", r"/imodels/", status=status, body=body)

    assert after(operation).orphan.state == OrphanState.LEFT
    client.force_login(mara)
    assert "The platform said: “The iModel is being created.”" in page_of(client, operation)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"status": 429, "retry_after": 17}, "rate limit is reached"),
        ({"status": 503, "body": "<html>Oh</html>"}, "503"),
        ({"cut": True}, "cut"),
        ({"lost_answer": True}, "cut"),
    ],
    ids=["429", "503", "cut", "lost"],
)
def test_what_is_no_answer_is_tried_again_later(client, mara, left, sandbox, fault, why):
    operation = asked(left(), mara)
    sandbox.fault("DELETE", r"/imodels/", times=1, **fault)

    assert after(operation).orphan.state == OrphanState.DELETING
    assert operation.orphan.due_at > timezone.now() + timedelta(seconds=9)
    client.force_login(mara)
    assert "It is retried." in page_of(client, operation)
    assert why in operation.orphan.note
    Orphan.objects.update(due_at=clock.now())
    Bucket.objects.update(frozen_until=None)
    assert after(operation).orphan.state == OrphanState.DELETED
    assert ids_at(sandbox) == []


def test_a_platform_that_is_down_is_left_alone(mara, left, sandbox):
    operation = asked(left(), mara)
    later = timezone.now() + timedelta(seconds=15)
    CircuitBreaker.objects.update_or_create(
        name="platform", defaults={"failures": 9, "failing_since": timezone.now(), "open_until": later}
    )

    assert after(operation).orphan.state == OrphanState.DELETING
    assert deletions(sandbox) == 0


def test_a_token_that_is_refused_is_refreshed(mara, left, sandbox):
    operation = asked(left(), mara)
    mara.tokens.obtained_at = timezone.now() - timedelta(minutes=30)
    mara.tokens.save()
    sandbox.expire_tokens()
    after(operation)
    Orphan.objects.update(due_at=clock.now())

    assert after(operation).orphan.state == OrphanState.DELETED


def test_nobody_is_surprised_days_later(mara, left, sandbox):
    operation = asked(left(), mara)
    mara.tokens.expires_at = timezone.now()
    mara.tokens.save()
    sandbox.revoke("mara")

    assert after(operation).orphan.state == OrphanState.LEFT
    assert "must sign in again" in operation.orphan.note


def test_two_workers_delete_it_once(mara, left, sandbox):
    operation = asked(left(), mara)

    cleanup.delete(operation.pk)
    cleanup.delete(operation.pk)

    assert deletions(sandbox) == 1
    assert operation.events.filter(verb="orphan_deleted").count() == 1


def test_a_worker_that_died_between_request_and_answer_is_followed_by_another(mara, left, sandbox, redis_url):
    operation = asked(left(), mara)
    lifecycle.deleting_orphan(operation.orphan, retry_at=timezone.now())
    sandbox.world.delete_imodel(operation.imodel_id)

    assert Orphan.objects.due(timezone.now()).get() == operation.orphan
    sweep_orphans()
    assert after(operation).orphan.state == OrphanState.DELETED


def test_no_secret_is_in_what_is_kept(mara, left, sandbox):
    secret = sandbox.tokens_for("mara")["access_token"]
    operation = after(asked(left(), mara))

    kept = str(list(operation.events.values())) + str(Orphan.objects.values().get())

    assert secret[:40] not in kept
    assert "Bearer" not in kept
