"""Tokens and their keys under pressure: lines 13, 14 and 40."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from imodels_app import gateway, lifecycle, tasks
from imodels_app.accounts import encryption, oidc, tokens
from imodels_app.limits import circuit_breaker
from imodels_app.models import Notification, Operation, Orphan, TokenSet, Upload
from imodels_app.runtime import clock, timing
from imodels_app.states import Kind, NotificationKind, OrphanState, State, WaitReason
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.views.test_sign_in import choose, come_back
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 50


def together(number: int, work: Callable[[int], object]) -> None:
    """Run work(0), work(1) … at once, each with a connection of its own. The first trouble of any is raised."""
    start, troubles = threading.Barrier(number), []

    def run(index: int) -> None:
        start.wait()
        try:
            work(index)
        except Exception as trouble:  # noqa: BLE001 - told below
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[index]) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if troubles:
        raise troubles[0]


@pytest.fixture
def many_running(bridge_team, signed_in_mara, spec_for, sandbox) -> list[Operation]:
    """As many running operations as there are workers, all Mara's."""
    sandbox.advance_manually()
    sandbox.limits_off()
    running = []
    for _ in range(WORKERS):
        operation = lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara)
        lifecycle.claim(operation, bucket="clone", now=timezone.now() - timedelta(minutes=5))
        platform = gateway.for_person(signed_in_mara)
        made = platform.start(operation.request_path, operation.request_body, correlation_id=str(operation.pk))
        lifecycle.accepted(operation, imodel_id=made)
        running.append(operation)
    return running


def refreshes(sandbox) -> int:
    return sandbox.calls("POST", "/token")


# ---------- 13: expired token, 50 workers ----------


def test_13_fifty_workers_with_a_token_that_ran_out_refresh_it_once_and_all_go_on(many_running, sandbox):
    TokenSet.objects.update(expires_at=timezone.now(), obtained_at=timezone.now() - timedelta(hours=1))
    sandbox.expire_tokens()

    together(WORKERS, lambda index: poll(many_running[index].pk))

    assert refreshes(sandbox) == 1
    for operation in many_running:
        operation.refresh_from_db()
        assert (operation.state, operation.wait_reason) == (State.RUNNING, WaitReason.NONE)
        assert operation.polls == 1


def test_13_fifty_workers_whose_token_the_platform_refuses_refresh_it_once_and_all_go_on(many_running, sandbox):
    """Its time is not over by our clock: each of them learns it from a 401, some only after the refresh."""
    TokenSet.objects.update(obtained_at=timezone.now() - timedelta(minutes=30))
    sandbox.expire_tokens()

    together(WORKERS, lambda index: [poll(many_running[index].pk) for _ in range(3)])

    assert refreshes(sandbox) == 1
    assert not TokenSet.objects.get().sign_in_needed
    states = Operation.objects.values_list("state", "wait_reason").distinct()
    assert list(states) == [(State.RUNNING, WaitReason.NONE)]


# ---------- 14: rotated token lost, invalid_grant, provider slow or down ----------


@pytest.fixture
def mara_expired(signed_in_mara):
    TokenSet.objects.update(expires_at=timezone.now(), obtained_at=timezone.now() - timedelta(hours=1))
    return signed_in_mara


def goes_on_after_sign_in(operation, mara, sandbox) -> None:
    """The reason is told, and after the next sign-in everything goes its way by itself."""
    operation.refresh_from_db()
    assert (operation.state, operation.wait_reason) == (State.QUEUED, WaitReason.SIGN_IN)
    assert [one.kind for one in Notification.objects.filter(to=mara)] == [NotificationKind.SIGN_IN]

    tokens.store(mara, sandbox.tokens_for("mara"))
    lifecycle.wake_after_sign_in(mara)
    submit(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING


def test_14_a_rotated_token_whose_answer_was_lost_waits_for_the_next_sign_in(
    mara_expired, queued_clone, sandbox, goes_by, client
):
    sandbox.fault("POST", r"/connect/token$", lost_answer=True, times=1)
    submit(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert (queued_clone.state, queued_clone.wait_reason) == (State.QUEUED, WaitReason.PROVIDER_DOWN)

    goes_by(20)
    submit(queued_clone.pk)  # with the token that was rotated away: invalid_grant

    client.force_login(mara_expired)
    assert (
        "Sign in again: one of your operations is waiting for it" in client.get(reverse("imodels:operation-list")).text
    )
    goes_on_after_sign_in(queued_clone, mara_expired, sandbox)
    assert sandbox.calls("POST", "/clone") == 1


def test_14_invalid_grant_waits_for_the_next_sign_in_and_is_asked_once(mara_expired, queued_clone, sandbox):
    sandbox.revoke("mara")

    for _ in range(3):
        submit(queued_clone.pk)

    assert refreshes(sandbox) == 1
    goes_on_after_sign_in(queued_clone, mara_expired, sandbox)


def test_14_what_runs_is_followed_again_after_the_next_sign_in(many_running, mara, sandbox):
    TokenSet.objects.update(expires_at=timezone.now())
    sandbox.revoke("mara")
    for operation in many_running[:3]:
        poll(operation.pk)
    assert Operation.objects.filter(state=State.RUNNING, wait_reason=WaitReason.SIGN_IN).count() == 3
    assert Notification.objects.filter(to=mara, kind=NotificationKind.SIGN_IN).count() == 1

    tokens.store(mara, sandbox.tokens_for("mara"))
    lifecycle.wake_after_sign_in(mara)

    assert Operation.objects.due_for_poll(timezone.now()).count() == WORKERS
    assert not Operation.objects.filter(wait_reason=WaitReason.SIGN_IN).exists()


@pytest.mark.parametrize("how", [{"status": 503}, {"cut": True}, {"status": 200, "body": "<html>Sorry</html>"}])
def test_14_a_provider_that_is_down_is_waited_for_and_is_not_the_platform(
    mara_expired, queued_clone, sandbox, goes_by, how
):
    sandbox.fault("POST", r"/connect/token$", times=8, **how)

    for _ in range(8):
        submit(queued_clone.pk)
        queued_clone.refresh_from_db()
        assert (queued_clone.state, queued_clone.wait_reason) == (State.QUEUED, WaitReason.PROVIDER_DOWN)
        goes_by(16)
    assert circuit_breaker.outage(timezone.now()) is None
    assert not Notification.objects.filter(to=mara_expired).exists()
    submit(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert queued_clone.state == State.RUNNING


@pytest.mark.soak
def test_14_a_provider_that_hangs_is_given_up_after_ten_seconds(mara_expired, queued_clone, sandbox, goes_by):
    held = sandbox.fault("POST", r"/connect/token$", cut=True, held=True)

    submit(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert held.holding
    assert queued_clone.wait_reason == WaitReason.PROVIDER_DOWN
    goes_by(20)
    submit(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert queued_clone.state == State.RUNNING


def test_14_who_signs_in_while_a_refresh_fails_is_not_asked_to_sign_in(mara_expired, queued_clone, sandbox, goes_by):
    sandbox.revoke("mara")
    held = sandbox.fault("POST", r"/connect/token$", held=True)
    worker = threading.Thread(target=lambda: (submit(queued_clone.pk), connection.close()))
    worker.start()
    wait_until(lambda: held.holding, what="the refresh")

    tokens.store(mara_expired, sandbox.tokens_for("mara"))
    lifecycle.wake_after_sign_in(mara_expired)  # nothing waits yet
    held.release()
    worker.join()

    queued_clone.refresh_from_db()
    assert queued_clone.wait_reason == WaitReason.PROVIDER_DOWN
    goes_by(5)
    submit(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert queued_clone.state == State.RUNNING
    assert not Notification.objects.filter(kind=NotificationKind.SIGN_IN).exists()


def test_14_who_signs_in_while_a_worker_finds_no_refresh_token_is_not_asked_either(mara_expired, sandbox):
    TokenSet.objects.update(refresh_token="")
    updates = []

    def meanwhile(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and TokenSet._meta.db_table in sql:
            updates.append(sql)
            if len(updates) == 2:  # the first took the lease
                tokens.store(mara_expired, sandbox.tokens_for("mara"))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(meanwhile), pytest.raises(tokens.TokenUnavailable):
        tokens.access_token(mara_expired)

    assert tokens.access_token(mara_expired)


def test_14_who_signs_in_a_moment_before_the_wait_is_written_down_is_not_waited_for(queued_clone, signed_in_mara):
    later = timezone.now() + timing.SIGN_IN_PATIENCE
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, later)

    tasks.sweep_submitting()

    queued_clone.refresh_from_db()
    assert queued_clone.wait_reason == WaitReason.NONE
    assert queued_clone.expires_at is None


def test_14_what_waits_for_a_sign_in_for_good_reason_is_not_tried_again_and_again(queued_clone, many_running, sandbox):
    TokenSet.objects.update(expires_at=timezone.now())
    sandbox.revoke("mara")

    for _ in range(3):
        submit(queued_clone.pk)
        poll(many_running[0].pk)
        tasks.sweep_submitting()

    assert refreshes(sandbox) == 1
    for operation in (queued_clone, many_running[0]):
        operation.refresh_from_db()
        assert operation.wait_reason == WaitReason.SIGN_IN
        assert not operation.events.filter(verb="resumed").exists()


SHORT_S = 0.3


@pytest.fixture
def forgetful(monkeypatch) -> None:
    """A process that has not asked the provider for its endpoints and keys yet."""
    monkeypatch.setattr(oidc.oauth.itwin, "server_metadata", {})


@pytest.fixture
def impatient(forgetful, monkeypatch) -> None:
    """The provider's time-out is short wherever it is given to Authlib; and the ID token tells no e-mail address."""
    given = oidc.oauth.itwin.client_kwargs
    shorter = {name: SHORT_S if value == timing.PROVIDER_TIMEOUT_S else value for name, value in given.items()}
    monkeypatch.setattr(oidc, "PROVIDER_TIMEOUT_S", SHORT_S)
    monkeypatch.setattr(oidc.oauth.itwin, "client_kwargs", shorter | {"scope": "openid profile"})


@pytest.mark.parametrize(
    ("method", "endpoint"),
    [
        ("GET", r"/openid-configuration$"),
        ("POST", r"/connect/token$"),
        ("GET", r"/openid-configuration/jwks$"),
        ("GET", r"/connect/userinfo$"),
    ],
)
def test_14_a_provider_that_stays_silent_holds_no_sign_in_longer_than_its_time_out(
    impatient, client, sandbox, method, endpoint
):
    held = sandbox.fault(method, endpoint, cut=True, held=True)

    answer = client.get(reverse("imodels:sign-in-start"))
    if answer.status_code == 302:
        answer = come_back(client, choose(answer["Location"], "mara"))

    assert answer.status_code == 503
    assert held.holding


@pytest.mark.parametrize(("method", "endpoint"), [("GET", r"/openid-configuration$"), ("POST", r"/connect/token$")])
def test_14_a_provider_that_stays_silent_holds_no_worker_longer_than_its_time_out(
    impatient, mara_expired, queued_clone, sandbox, method, endpoint
):
    held = sandbox.fault(method, endpoint, cut=True, held=True)

    submit(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert queued_clone.wait_reason == WaitReason.PROVIDER_DOWN
    assert held.holding


def test_14_the_lease_to_refresh_is_not_spent_on_asking_where(forgetful, mara_expired, sandbox):
    held = sandbox.fault("GET", r"/openid-configuration$", held=True)
    slow = threading.Thread(target=lambda: (tokens.access_token(mara_expired), connection.close()))

    slow.start()
    wait_until(lambda: held.holding, what="the question")
    leased = TokenSet.objects.exclude(refreshing_until=None).exists()
    held.release()
    slow.join()

    assert not leased
    assert refreshes(sandbox) == 1


# ---------- 40: encryption key rotated while tokens are in use ----------


def test_40_a_new_key_under_load_loses_no_token(mara, tomas, ines, otto, sandbox, settings):
    """Twenty workers use and refresh tokens while the key is changed, all is sealed anew, and the old key goes."""
    people = {"mara": mara, "tomas": tomas, "ines": ines, "otto": otto}
    for name, person in people.items():
        tokens.store(person, sandbox.tokens_for(name))
    old, new = settings.TOKEN_KEYS[0], Fernet.generate_key().decode()
    over, used = threading.Event(), []

    def use(index: int) -> None:
        person = list(people.values())[index % 4]
        while not over.is_set():
            if index < 4:  # one of each person's five makes the token run out now and then
                TokenSet.objects.filter(user=person).update(expires_at=timezone.now())
            gateway.for_person(person).itwins()
            used.append(index)

    def all_went_on(since: int) -> bool:
        return all(used[since:].count(one) > 1 for one in range(20))

    def rotate() -> None:
        try:
            for keys, reencrypt in (([old, new], False), ([new, old], False), ([new, old], True), ([new], False)):
                # Twice each: what a worker had begun with the keys before is over then, however slow it is.
                wait_until(partial(all_went_on, len(used)))
                settings.TOKEN_KEYS = keys
                if reencrypt:
                    call_command("reencrypt_tokens", stdout=io.StringIO())
        finally:
            over.set()

    together(21, lambda index: rotate() if index == 20 else use(index))

    assert not TokenSet.objects.filter(sign_in_needed=True).exists()
    for person in people.values():
        assert tokens.access_token(person)
    settings.TOKEN_KEYS = [old, new]
    tokens.reencrypt()


@pytest.fixture
def without_the_key(settings) -> Callable:
    """with without_the_key(): the work of a worker whose TOKEN_KEYS were not changed yet, and to whom nothing else is
    wrong. Nobody is told to sign in again."""

    @contextmanager
    def worker() -> Iterator[None]:
        keys = settings.TOKEN_KEYS
        settings.TOKEN_KEYS = [Fernet.generate_key().decode()]
        yield
        settings.TOKEN_KEYS = keys
        assert not Notification.objects.filter(kind=NotificationKind.SIGN_IN).exists()
        assert not Operation.objects.filter(wait_reason=WaitReason.SIGN_IN).exists()

    return worker


def test_40_a_worker_without_the_key_leaves_what_is_queued_to_one_that_has_it(
    queued_clone, signed_in_mara, sandbox, goes_by, without_the_key
):
    with without_the_key():
        submit(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert (queued_clone.state, queued_clone.wait_reason) == (State.QUEUED, WaitReason.KEY_MISSING)

    goes_by(120)
    submit(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert queued_clone.state == State.RUNNING


def test_40_a_worker_without_the_key_leaves_what_runs_to_one_that_has_it(
    queued_clone, signed_in_mara, sandbox, goes_by, without_the_key
):
    sandbox.advance_manually()
    submit(queued_clone.pk)
    with without_the_key():
        poll(queued_clone.pk)
    assert not Operation.objects.due_for_poll(timezone.now()).exists()

    goes_by(120)

    assert Operation.objects.due_for_poll(timezone.now()).exists()
    poll(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert (queued_clone.state, queued_clone.wait_reason) == (State.RUNNING, WaitReason.NONE)


def test_40_a_worker_without_the_key_leaves_a_lost_answer_to_one_that_has_it(
    queued_clone, signed_in_mara, sandbox, goes_by, without_the_key
):
    sandbox.fault("POST", r"/clone$", lost_answer=True)
    submit(queued_clone.pk)
    goes_by(20)
    with without_the_key():
        reconcile(queued_clone.pk)

    goes_by(120)
    reconcile(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert queued_clone.state == State.RUNNING


def test_40_a_worker_without_the_key_leaves_an_orphan_to_one_that_has_it(
    queued_clone, signed_in_mara, sandbox, without_the_key
):
    sandbox.next_outcome("failed")
    sandbox.advance_by_polls(0)
    submit(queued_clone.pk)
    poll(queued_clone.pk)
    failed = lifecycle.operation_for(queued_clone.pk)
    lifecycle.delete_orphan(failed, by=signed_in_mara)
    with without_the_key():
        cleanup.delete(failed.pk)
    failed.refresh_from_db()
    assert failed.orphan.state == OrphanState.DELETING
    assert failed.orphan.due_at < timezone.now() + timedelta(seconds=61)

    Orphan.objects.update(due_at=clock.now())
    cleanup.delete(failed.pk)

    failed.refresh_from_db()
    assert failed.orphan.state == OrphanState.DELETED


def test_40_a_worker_without_the_key_leaves_a_file_to_one_that_has_it(
    baseline_of, signed_in_mara, sandbox, goes_by, without_the_key
):
    operation = baseline_of(b"SQLite format 3\0" + bytes(100))
    submit(operation.pk)
    Upload.objects.update(link="")  # another one has to be asked for, with the token
    with without_the_key():
        upload(operation.pk)

    goes_by(120)
    sandbox.switch(new_upload_link=True)
    upload(operation.pk)
    upload(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING


def test_40_a_worker_without_the_key_spoils_nothing_for_those_who_have_it(mara_expired, settings):
    keys = settings.TOKEN_KEYS
    settings.TOKEN_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(encryption.KeyMissing):
        tokens.access_token(mara_expired)

    settings.TOKEN_KEYS = keys

    assert tokens.access_token(mara_expired)
