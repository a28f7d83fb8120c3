"""Tokens: encrypted at rest, refreshed by one process at a time, rotated tokens kept, never in a message."""

import threading
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from imodels_app.accounts import encryption, tokens
from imodels_app.itwin import errors
from imodels_app.models import TokenSet

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


def test_a_refused_token_is_refreshed_and_a_refused_fresh_one_means_sign_in(signed_in_mara):
    TokenSet.objects.update(obtained_at=timezone.now() - timedelta(minutes=30))
    tokens.refused(signed_in_mara, tokens.access_token(signed_in_mara))
    assert tokens.access_token(signed_in_mara)

    tokens.refused(signed_in_mara, tokens.access_token(signed_in_mara))
    with pytest.raises(tokens.SignInNeeded):
        tokens.access_token(signed_in_mara)


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
