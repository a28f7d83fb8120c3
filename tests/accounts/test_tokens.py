"""Tokens: encrypted at rest, refreshed by one process at a time, rotated tokens kept, never in a message."""

import threading
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from imodels_app.accounts import encryption, oidc, tokens
from imodels_app.itwin import errors
from imodels_app.models import TokenSet
from imodels_app.runtime import clock
from imodels_app.runtime.timing import REFUSED_TOKEN_FIRST

pytestmark = pytest.mark.django_db


@pytest.fixture
def mara_expired(signed_in_mara):
    """Mara, whose access token has run out."""
    TokenSet.objects.update(expires_at=timezone.now())
    return signed_in_mara


def test_tokens_are_not_readable_in_the_database(signed_in_mara):
    held = TokenSet.objects.get()

    assert tokens.access_token(signed_in_mara) not in (held.access_token, held.refresh_token, held.id_token)
    assert held.access_token.startswith("gAAAA")


def test_a_token_that_lasts_is_used_as_it_is(signed_in_mara, sandbox):
    tokens.access_token(signed_in_mara)

    assert sandbox.calls("POST", "/token") == 0


def test_a_token_is_refreshed_before_it_ends(signed_in_mara, sandbox):
    TokenSet.objects.update(expires_at=timezone.now() + timedelta(seconds=30))

    tokens.access_token(signed_in_mara)

    assert sandbox.calls("POST", "/token") == 1


def test_the_rotated_token_is_the_one_used_next(mara_expired, sandbox):
    for _ in range(3):
        tokens.access_token(mara_expired)
        TokenSet.objects.update(expires_at=timezone.now())

    assert tokens.access_token(mara_expired)
    assert sandbox.calls("POST", "/token") == 4


def test_a_revoked_grant_asks_for_a_sign_in_and_is_not_tried_again(mara_expired, sandbox):
    sandbox.revoke("mara")

    for _ in range(2):
        with pytest.raises(tokens.SignInNeeded):
            tokens.access_token(mara_expired)

    assert sandbox.calls("POST", "/token") == 1


def test_signing_in_again_makes_up_for_it(mara_expired, sandbox):
    sandbox.revoke("mara")
    with pytest.raises(tokens.SignInNeeded):
        tokens.access_token(mara_expired)

    tokens.store(mara_expired, sandbox.tokens_for("mara"))

    assert tokens.access_token(mara_expired)


def test_a_provider_that_is_down_is_no_reason_to_sign_in_again(mara_expired, sandbox):
    sandbox.fault("POST", r"/token$", status=503, times=1)

    with pytest.raises(errors.Unavailable):
        tokens.access_token(mara_expired)

    assert tokens.access_token(mara_expired)


def test_somebody_who_never_signed_in_has_to(otto):
    with pytest.raises(tokens.SignInNeeded):
        tokens.access_token(otto)


def refuse(person) -> timedelta:
    """The platform refuses the person's token; how long to wait before it is shown again."""
    return tokens.refused(person, tokens.access_token(person)) - clock.now()


@pytest.mark.parametrize("age", [timedelta(0), timedelta(seconds=76), timedelta(minutes=30)])
def test_a_refused_token_is_refreshed_at_once_however_young_it_is_and_then_only_shown_again(
    signed_in_mara, sandbox, age
):
    TokenSet.objects.update(obtained_at=timezone.now() - age)

    assert refuse(signed_in_mara) <= timedelta(0)
    for _ in range(3):
        assert timedelta(0) < refuse(signed_in_mara) <= REFUSED_TOKEN_FIRST

    assert tokens.access_token(signed_in_mara)
    assert sandbox.calls("POST", "/token") == 1


def refused_for(person, minutes: float, *, refreshed_ago: timedelta = timedelta(0)) -> None:
    """The platform has refused this person's refreshed tokens for so long."""
    now = clock.now()
    TokenSet.objects.filter(user=person).update(
        refused_since=now - timedelta(minutes=minutes), refreshed_at=now - refreshed_ago
    )


def test_a_token_that_is_refused_for_longer_is_shown_more_seldom_and_refreshed_each_minute(signed_in_mara, sandbox):
    refused_for(signed_in_mara, 4)
    assert timedelta(seconds=14) < refuse(signed_in_mara) <= timedelta(seconds=15)

    refused_for(signed_in_mara, 4, refreshed_ago=timedelta(seconds=61))
    assert refuse(signed_in_mara) <= timedelta(0)

    assert tokens.access_token(signed_in_mara)
    assert sandbox.calls("POST", "/token") == 1


def test_after_minutes_of_refusals_a_sign_in_is_asked_for_and_one_token_that_is_taken_ends_it(signed_in_mara):
    refused_for(signed_in_mara, 5.1)
    with pytest.raises(tokens.SignInNeeded):
        refuse(signed_in_mara)
    assert tokens.access_token(signed_in_mara)

    tokens.taken(signed_in_mara)

    assert refuse(signed_in_mara) <= REFUSED_TOKEN_FIRST


def test_a_refusal_of_a_token_that_cannot_be_refreshed_passes_too(signed_in_mara):
    TokenSet.objects.update(refresh_token="")

    assert timedelta(0) < refuse(signed_in_mara) <= REFUSED_TOKEN_FIRST

    assert tokens.access_token(signed_in_mara)


@pytest.mark.parametrize("expires_in", [None, "", "soon", "3600.5", 3600.5, -1, 10**30, [], {"s": 1}, True])
def test_a_rotated_token_is_kept_whatever_is_said_of_its_life(mara_expired, sandbox, expires_in):
    rotated = sandbox.tokens_for("mara") | {"expires_in": expires_in}
    sandbox.fault("POST", r"/token$", status=200, body=rotated, times=1)

    assert tokens.access_token(mara_expired) == rotated["access_token"]

    TokenSet.objects.update(expires_at=timezone.now())
    assert tokens.access_token(mara_expired)


@pytest.mark.parametrize(
    "body", [{}, {"access_token": None}, {"access_token": 7}, [], [1], "7", "null", '"x"', "<html>", ""], ids=repr
)
def test_an_answer_without_a_token_is_none_and_is_asked_for_again(mara_expired, sandbox, body):
    sandbox.fault("POST", r"/token$", status=200, body=body, times=1)

    with pytest.raises(tokens.TokenUnavailable):
        tokens.access_token(mara_expired)

    assert tokens.access_token(mara_expired)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error", "invalid_client", "slow_down", ""])
def test_only_invalid_grant_asks_for_a_sign_in(mara_expired, sandbox, status, error):
    sandbox.fault("POST", r"/token$", status=status, body={"error": error}, times=1)

    with pytest.raises(tokens.TokenUnavailable):
        tokens.access_token(mara_expired)

    assert tokens.access_token(mara_expired)


def test_an_answer_that_comes_later_than_other_answers_of_the_provider_is_waited_for(
    mara_expired, sandbox, monkeypatch
):
    monkeypatch.setattr(oidc, "PROVIDER_TIMEOUT_S", 0.5)
    sandbox.fault("POST", r"/token$", slow_s=1.0, times=1)

    tokens.access_token(mara_expired)
    TokenSet.objects.update(expires_at=timezone.now())

    assert tokens.access_token(mara_expired)
    assert sandbox.calls("POST", "/token") == 2


def test_a_new_key_reads_what_the_old_one_sealed(signed_in_mara, settings):
    settings.TOKEN_KEYS = [Fernet.generate_key().decode(), *settings.TOKEN_KEYS]

    assert tokens.access_token(signed_in_mara)


def test_a_key_that_is_missing_here_is_waited_for_and_a_new_sign_in_does_without_it(signed_in_mara, sandbox, settings):
    settings.TOKEN_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(encryption.KeyMissing) as raised:
        tokens.access_token(signed_in_mara)
    assert raised.value.retry_after_s == 60

    tokens.store(signed_in_mara, sandbox.tokens_for("mara"))

    assert tokens.access_token(signed_in_mara)


@pytest.mark.django_db(transaction=True)
def test_ten_workers_with_one_expired_token_refresh_it_once(mara_expired, sandbox):
    got: list[str] = []
    together = threading.Barrier(10)

    def work() -> None:
        together.wait()
        try:
            got.append(tokens.access_token(mara_expired))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 10
    assert len(set(got)) == 1
    assert sandbox.calls("POST", "/token") == 1
