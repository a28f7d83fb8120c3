"""Authority is checked when it is used: closed accounts, twins, rights that came too late, iTwins that change hands."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from imodels_app import eligibility, lifecycle
from imodels_app.accounts import permissions, rights, tokens
from imodels_app.models import Decision, Membership, Notification, Operation, Team, TeamITwin, User
from imodels_app.runtime import clock
from imodels_app.states import Kind, State, WaitReason
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.people import HARBOUR
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db
_BY_LEADS: dict[str, Callable[..., None]] = {
    "approve": lifecycle.approve,
    "reject": lifecycle.reject,
    "request changes": partial(lifecycle.request_changes, comment="Use a clone."),
}
_bypass = partial(lifecycle.bypass, reason="Both leads are away.")
DECISIONS = pytest.mark.parametrize("decide", _BY_LEADS.values(), ids=_BY_LEADS)
ALL_WAYS = pytest.mark.parametrize("decide", [*_BY_LEADS.values(), _bypass], ids=[*_BY_LEADS, "bypass"])


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def close(person: User, by: User | None = None) -> None:
    person.is_active = False
    rights.save(person, by=by)


def lead(team: Team, person: User, by: User | None) -> None:
    rights.save(Membership(team=team, email=person.email, role=Membership.Role.LEAD), by=by)


# A closed account


def test_what_a_closed_account_asked_for_is_called_off_and_says_why(client, queued_clone, waiting_fork, mara, ines):
    close(mara, by=ines)

    client.force_login(ines)
    for operation in (queued_clone, waiting_fork):
        assert fresh(operation).state == State.CANCELLED
        page = client.get(reverse("imodels:operation-detail", args=[operation.pk])).text
        assert "the account of Mara is closed" in page
        assert operation.events.last().actor == ines


def test_the_sweep_finds_what_nobody_called_off(queued_clone):
    User.objects.update(is_active=False)

    lifecycle.follow_rights()

    assert fresh(queued_clone).state == State.CANCELLED


def test_what_a_closed_account_queued_is_not_sent(queued_clone, signed_in_mara, sandbox):
    User.objects.update(is_active=False)

    submit(queued_clone.pk)

    assert sandbox.calls("POST", "/clone") == 0
    assert fresh(queued_clone).state == State.CANCELLED


def test_an_account_that_closes_after_the_claim_sends_nothing(queued_clone, mara):
    attempt = lifecycle.claim(queued_clone, bucket="clone", now=timezone.now())
    close(mara)

    with pytest.raises(lifecycle.Conflict):
        lifecycle.confirm_claim(queued_clone, attempt)


@DECISIONS
def test_nobody_decides_for_a_closed_account(waiting_fork, tomas, decide):
    User.objects.filter(pk=waiting_fork.requested_by_id).update(is_active=False)

    with pytest.raises(permissions.Denied, match="account of Mara Lindqvist is closed"):
        decide(fresh(waiting_fork), by=tomas)


def test_nobody_acts_with_the_tokens_of_a_closed_account(signed_in_mara):
    User.objects.update(is_active=False)

    with pytest.raises(tokens.SignInNeeded):
        tokens.access_token(signed_in_mara)


@pytest.fixture
def made_by_mara(queued_clone, signed_in_mara, sandbox):
    """A clone of Mara's that the platform has made, and her account closed meanwhile."""
    sandbox.advance_manually()
    submit(queued_clone.pk)
    sandbox.finish(fresh(queued_clone).imodel_id)
    close(signed_in_mara)
    return queued_clone


@pytest.mark.parametrize("person", ["tomas", "ines"])
def test_what_the_platform_makes_is_followed_by_whoever_may_look(made_by_mara, person, request, sandbox):
    """A lead of the team, or an admin."""
    tokens.store(request.getfixturevalue(person), sandbox.tokens_for(person))

    poll(made_by_mara.pk)

    assert fresh(made_by_mara).state == State.SUCCEEDED


def test_what_nobody_may_look_at_waits_and_says_so(client, made_by_mara, ines, tomas, otto, bridge_team, sandbox):
    """Tomas is not signed in, and Otto sees nothing of this iTwin: that is no reason to call the iModel vanished."""
    lead(bridge_team, otto, by=ines)
    tokens.store(otto, sandbox.tokens_for("otto"))

    poll(made_by_mara.pk)

    found = fresh(made_by_mara)
    assert (found.state, found.wait_reason) == (State.RUNNING, WaitReason.ACCOUNT_CLOSED)
    client.force_login(ines)
    page = client.get(reverse("imodels:operation-detail", args=[found.pk])).text
    assert "the account of Mara is closed, and no lead or administrator who is signed in may view it" in page


def test_a_lost_answer_of_a_closed_account_is_looked_up_by_a_lead(queued_clone, signed_in_mara, tomas, sandbox):
    sandbox.fault("POST", r"/clone$", lost_answer=True, times=1)
    submit(queued_clone.pk)
    close(signed_in_mara)
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    Operation.objects.update(due_at=clock.now())

    reconcile(queued_clone.pk)

    assert fresh(queued_clone).state == State.RUNNING


def test_a_file_of_a_closed_account_is_not_uploaded(baseline_of, signed_in_mara, sandbox):
    uploading = baseline_of(b"SQLite format 3\0")
    submit(uploading.pk)
    close(signed_in_mara)

    upload(uploading.pk)

    found = fresh(uploading)
    assert (found.state, found.failure_code) == (State.FAILED, "accountClosed")
    assert found.orphan
    assert sandbox.calls("PUT", "/") == 0


# One person, two accounts


@pytest.fixture
def twin(tomas, ida):
    """Another account with Tomas' address."""
    return User.objects.create(username="twin", issuer=tomas.issuer, subject="another", email=tomas.email.upper())


@DECISIONS
def test_nobody_decides_about_a_request_from_their_second_account(twin, tomas, spec_for, decide):
    fork = lifecycle.request(spec_for(Kind.FORK), by=twin)

    with pytest.raises(permissions.Denied, match="another account with your address"):
        decide(fork, by=tomas)
    assert not Operation.objects.waiting_for(tomas).exists()


@pytest.mark.parametrize("when", ["then", "now"])
def test_an_address_that_was_shared_at_any_time_counts(twin, tomas, spec_for, when):
    User.objects.filter(pk=twin.pk).update(email=tomas.email if when == "then" else "")
    fork = lifecycle.request(spec_for(Kind.FORK), by=fresh_user(twin))
    User.objects.filter(pk=twin.pk).update(email=tomas.email if when == "now" else "")

    with pytest.raises(permissions.Denied, match="another account with your address"):
        lifecycle.approve(fresh(fork), by=tomas)


def test_an_address_that_the_decider_gave_up_since_counts_too(twin, tomas, spec_for):
    fork = lifecycle.request(spec_for(Kind.FORK), by=twin)
    rights.signed_in(tomas, name=("Tomas", "Novak"), email="tomas.new@harbour.example", is_admin=False)

    with pytest.raises(permissions.Denied, match=r"with your address tomas\.novak@harbour\.example"):
        lifecycle.approve(fresh(fork), by=tomas)
    assert not eligibility.waiting_for(tomas).exists()
    later = lifecycle.request(spec_for(Kind.FORK), by=twin)
    assert list(eligibility.waiting_for(tomas)) == [later]


def fresh_user(person: User) -> User:
    return User.objects.get(pk=person.pk)


def decision(fork: Operation, by: User) -> Decision:
    """As somebody would write it who knows nothing of the lifecycle."""
    asked = {name: getattr(fork, name) for name in ("requested_by", "requester_key", "request_hash")}
    who = {"by": by, "by_name": by.name, "by_key": by.lasting_key}
    return Decision.objects.create(operation=fork, verdict="approved", decided_at=timezone.now(), **who, **asked)


@pytest.mark.parametrize("case", ["twin", "no lead", "closed", "own right", "requester’s right"])
def test_the_database_refuses_such_a_decision(twin, tomas, mara, bridge_team, spec_for, case):
    fork = lifecycle.request(spec_for(Kind.FORK), by=twin if case == "twin" else mara)
    if case == "no lead":
        Membership.objects.filter(user=tomas).delete()
    if case == "closed":
        User.objects.filter(pk=tomas.pk).update(is_active=False)
    if "right" in case:
        giver = tomas if case == "own right" else mara
        Membership.objects.update(given_at=fork.created_at + timedelta(seconds=1), given_by=giver)

    with pytest.raises(IntegrityError), transaction.atomic():
        decision(fork, tomas)


# Rights that came after the request


@DECISIONS
def test_an_admin_does_not_decide_by_a_right_of_her_own_making(waiting_fork, bridge_team, ines, decide):
    lead(bridge_team, ines, by=ines)

    with pytest.raises(permissions.Denied, match="gave yourself this right"):
        decide(waiting_fork, by=ines)


@pytest.mark.parametrize("way", ["a lead", "member to lead", "account opened again"])
def test_nobody_decides_by_a_right_that_the_requester_gave(bridge_team, otto, ines, tomas, spec_for, way):
    place = Membership(team=bridge_team, email=otto.email)
    if way != "a lead":
        rights.save(place, by=tomas)
    fork = lifecycle.request(spec_for(Kind.FORK), by=ines)
    if "lead" in way:
        place.role = Membership.Role.LEAD
        rights.save(place, by=ines)
    else:
        Membership.objects.filter(pk=place.pk).update(role=Membership.Role.LEAD)
        close(otto, by=tomas)
        otto.is_active = True
        rights.save(otto, by=ines)

    with pytest.raises(permissions.Denied, match="requester gave you"):
        lifecycle.approve(fresh(fork), by=fresh_user(otto))


def test_what_its_requester_moves_to_another_team_nobody_decides(bridge_team, otto, ines, spec_for):
    fork = lifecycle.request(spec_for(Kind.FORK), by=ines)
    looked_after = TeamITwin.objects.get(itwin_id=HARBOUR)
    looked_after.team = Team.objects.get(name="Transit team")

    rights.save(looked_after, by=ines)

    assert (fresh(fork).state, fresh(fork).wait_reason) == (State.EXPIRED, WaitReason.NOBODY_DECIDES)


@pytest.mark.parametrize("giver", ["before", "somebody else", "the command line"])
def test_a_right_that_somebody_else_gave_is_one(bridge_team, mara, ines, tomas, spec_for, giver):
    if giver == "before":
        lead(bridge_team, ines, by=ines)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    if giver != "before":
        lead(bridge_team, ines, by=tomas if giver == "somebody else" else None)

    lifecycle.approve(fork, by=ines)

    assert fork.state == State.QUEUED


# The last moment


@ALL_WAYS
def test_after_the_deadline_nobody_decides(waiting_fork, tomas, decide):
    Operation.objects.update(expires_at=clock.now())
    User.objects.filter(pk=tomas.pk).update(is_staff=True)

    with pytest.raises(lifecycle.Conflict, match="passed"):
        decide(fresh(waiting_fork), by=fresh_user(tomas))


@pytest.mark.on_postgres
@pytest.mark.django_db(transaction=True)
@DECISIONS
@pytest.mark.parametrize("lost", ["removed", "a member now", "closed"])
def test_a_lead_who_is_removed_before_the_decision_is_written_does_not_decide(
    waiting_fork, ida, tomas, ines, decide, lost
):

    def lose() -> None:
        place = Membership.objects.get(user=tomas)
        if lost == "closed":
            close(fresh_user(tomas), by=ines)
        elif lost == "removed":
            rights.delete(place, by=ines)
        else:
            place.role = Membership.Role.MEMBER
            rights.save(place, by=ines)

    assert why_not_after(lose, decide, waiting_fork, tomas) == ["Only leads of Bridge team can decide this."]


@pytest.mark.on_postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lost", ["is_staff", "is_active"])
def test_an_admin_who_is_removed_before_the_bypass_is_written_does_not_bypass(waiting_fork, tomas, ines, lost):
    def lose() -> None:
        admin = fresh_user(ines)
        setattr(admin, lost, False)
        rights.save(admin, by=tomas)

    why_not = why_not_after(lose, _bypass, waiting_fork, ines)

    assert why_not == ["Only administrators can bypass an approval."]


def why_not_after(lose: Callable[[], None], decide: Callable[..., None], fork: Operation, person: User) -> list[str]:
    """Let another connection decide while this one has taken the right away, and not committed. Why it was denied."""
    outcome: list[str] = []

    def try_it() -> None:
        try:
            decide(fresh(fork), by=fresh_user(person))
        except permissions.Denied as no:
            outcome.append(str(no))
        finally:
            connection.close()

    deciding = threading.Thread(target=try_it)
    with transaction.atomic():
        lose()
        deciding.start()
        wait_until(lambda: is_waiting_for_a_lock() or not deciding.is_alive(), what="the decision")
    deciding.join(PATIENCE_S)
    return outcome


@pytest.mark.on_postgres
@pytest.mark.django_db(transaction=True)
def test_whoever_moves_an_itwin_is_known_though_its_request_is_written_meanwhile(waiting_fork, bridge_team, ines, otto):
    """Else a sweep would move the request, and she would decide by a right of her own making."""
    own = Team.objects.create(name="A team of her own")
    lead(own, ines, by=None)
    lead(own, otto, by=None)

    def move() -> None:
        itwin = TeamITwin.objects.get(team=bridge_team)
        itwin.team = own
        rights.save(itwin, by=fresh_user(ines))
        connection.close()

    moving = threading.Thread(target=move)
    with transaction.atomic():
        Operation.objects.update(version=waiting_fork.version + 1)
        moving.start()
        wait_until(lambda: is_waiting_for_a_lock() or not moving.is_alive(), what="the move")
    moving.join(PATIENCE_S)
    lifecycle.follow_rights()

    assert fresh(waiting_fork).team == own
    with pytest.raises(permissions.Denied, match="You gave yourself this right"):
        lifecycle.approve(fresh(waiting_fork), by=fresh_user(ines))
    assert fresh(waiting_fork).state == State.AWAITING_APPROVAL


def is_waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() is not None


# An iTwin that changes hands


@pytest.mark.parametrize("way", ["admin", "command", "past rights"])
def test_a_request_moves_with_its_itwin_and_the_new_lead_is_told(client, waiting_fork, otto, tomas, ines, way):
    transit, looked_after = Team.objects.get(name="Transit team"), TeamITwin.objects.get(itwin_id=HARBOUR)
    if way == "admin":
        looked_after.team = transit
        rights.save(looked_after, by=ines)
    elif way == "command":
        call_command("set_up_team", "Transit team", itwin=[HARBOUR])
    else:
        TeamITwin.objects.update(team=transit)
        with pytest.raises(permissions.Denied, match="no longer looks after"):
            lifecycle.approve(fresh(waiting_fork), by=tomas)
        lifecycle.follow_rights()

    card = reverse("imodels:approval-detail", args=[waiting_fork.pk])
    client.force_login(tomas)
    assert client.get(card).status_code == 404
    client.force_login(otto)
    assert client.get(card).status_code == 200
    assert Notification.objects.filter(to=otto, operation=waiting_fork, kind="requested").exists()
    assert waiting_fork.events.last().note == "Bridge team → Transit team"
    lifecycle.approve(fresh(waiting_fork), by=otto)


def test_an_itwin_that_nobody_looks_after_any_more_is_the_default_teams(waiting_fork, ines):
    rights.delete(TeamITwin.objects.get(itwin_id=HARBOUR), by=ines)

    assert fresh(waiting_fork).team.is_default


# However many are asked about


def test_the_record_is_read_once_however_many_leads_a_request_is_for(bridge_team, mara, spec_for):
    def reads() -> int:
        with CaptureQueriesContext(connection) as queries:
            lifecycle.request(spec_for(Kind.FORK, name=uuid4().hex), by=mara)
        return sum('FROM "imodels_app_event"' in query["sql"] for query in queries)

    before = reads()
    for number in range(8):
        person = User.objects.create(username=f"p{number}", subject=f"p{number}", email=f"p{number}@harbour.example")
        Membership.objects.create(team=bridge_team, email=person.email, user=person, role=Membership.Role.LEAD)

    assert reads() == before
