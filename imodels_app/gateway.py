"""The only way to the platform's API, for workers' steps and for the pickers' catalog.

Before each request leaves: does the platform take calls at all, is the circuit closed, and this one is counted; what a
person looks up comes out of their share. After each call: what its answer means for circuit, rate limits and token, so
that no step has to know. What only means "later" is raised as MustWait. AnswerLost and Refused pass through: they are
for the step's own row.

The rate limits of creations, clones and forks are claimed with the attempt (rate_limits.acquire), in its transaction.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings

from imodels_app.accounts import encryption, tokens
from imodels_app.itwin import Platform, errors
from imodels_app.limits import circuit_breaker, rate_limits
from imodels_app.models import User
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import READ_TIMEOUT_S, WHILE_SIGNED_OUT
from imodels_app.states import WaitReason

log = logging.getLogger(__name__)
LIMIT_REACHED = "The platform’s rate limit is reached."
SHARE_USED = "You have looked up a lot in a short time."


class MustWait(Exception):
    """Nothing was done, and nothing can be before `until`.

    note    in words fit to be shown; empty when the reason says it all
    status  of the answer that says so; None when there was none
    """

    def __init__(self, reason: WaitReason, until: datetime, note: str = "", *, status: int | None = None) -> None:
        super().__init__(note or reason.label)
        self.reason, self.until, self.note, self.status = reason, until, note, status


def for_person(
    user: User, *, bucket: str = rate_limits.CALLS, is_lookup: bool = False, read_timeout_s: float = READ_TIMEOUT_S
) -> Platform:
    """The platform as this person sees it. Raises MustWait when there is no token; so do the calls of what it returns.

    bucket          the rate limit that a 429 is about which names none
    is_lookup       a person waits for the answer: it comes out of their share
    read_timeout_s  shorter where a person waits; its end then says nothing about the platform
    """
    token = _token(user)
    checkpoint = _Checkpoint(user, token, bucket, is_lookup=is_lookup, is_patient=read_timeout_s >= READ_TIMEOUT_S)
    return Platform(
        settings.ITWIN_API_URL,
        token,
        read_timeout_s=read_timeout_s,
        before_request=checkpoint.let_pass,
        around_call=checkpoint.judged,
    )


def require_open() -> None:
    """Raise MustWait while no call would pass: before something is claimed only to be given back."""
    now = clock.now()
    down = circuit_breaker.outage(now)
    if down and down.until > now:
        raise MustWait(WaitReason.PLATFORM_DOWN, down.until)
    _require_thaw(now)


class _Checkpoint:
    """What every request of one person's client passes, and what its answers are held against."""

    def __init__(self, user: User, token: str, bucket: str, *, is_lookup: bool, is_patient: bool) -> None:
        self._user, self._token, self._bucket = user, token, bucket
        self._is_lookup, self._is_patient = is_lookup, is_patient

    def let_pass(self) -> None:
        """Called before each request, repeats of a GET too. While the circuit is open one at a time passes."""
        now = clock.now()
        _require_thaw(now)
        until = circuit_breaker.open_until(now)
        if until:
            raise MustWait(WaitReason.PLATFORM_DOWN, until)
        self._count(now)
        failpoints.reach("gateway.counted")

    def _count(self, now: datetime) -> None:
        if not self._is_lookup:
            rate_limits.count_call(now)
            return
        try:
            rate_limits.count_lookup(self._user.pk, now)
        except rate_limits.RateLimited as used:
            raise MustWait(WaitReason.RATE_LIMIT, used.until, SHARE_USED) from used

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Around each call, its repeats included."""
        began_at = clock.now()
        try:
            yield
        except errors.TooMany as busy:
            circuit_breaker.record_success()
            until = _after(busy)
            rate_limits.freeze(rate_limits.bucket_named(busy.operation, self._bucket), until, clock.now())
            raise MustWait(WaitReason.RATE_LIMIT, until, LIMIT_REACHED, status=busy.status) from busy
        except errors.Unavailable as down:
            # Who waits three seconds, as in front of a picker, learns nothing about the platform.
            if self._is_patient or not isinstance(down, errors.TimedOut):
                circuit_breaker.record_failure(clock.now(), began_at=began_at)
            raise MustWait(WaitReason.PLATFORM_DOWN, _after(down), str(down)) from down
        except errors.AnswerLost:
            circuit_breaker.record_failure(clock.now(), began_at=began_at)
            raise
        except errors.SignedOut as no:
            circuit_breaker.record_success()
            tokens.refused(self._user, self._token)
            note = "The platform refused the token. It is being refreshed."
            raise MustWait(WaitReason.TOKEN, clock.now(), note, status=no.status) from no
        except errors.Refused:
            circuit_breaker.record_success()
            raise
        circuit_breaker.record_success()


def _token(user: User) -> str:
    try:
        return tokens.access_token(user)
    except tokens.SignInNeeded as gone:
        raise MustWait(WaitReason.SIGN_IN, clock.now() + WHILE_SIGNED_OUT) from gone
    except encryption.KeyMissing as missing:
        log.error("Token of person %s: %s", user.pk, missing)
        raise MustWait(WaitReason.KEY_MISSING, _after(missing), str(missing)) from missing
    except tokens.TokenUnavailable as later:
        raise MustWait(WaitReason.PROVIDER_DOWN, _after(later), str(later)) from later


def _require_thaw(now: datetime) -> None:
    frozen = rate_limits.frozen_until(now)
    if frozen:
        raise MustWait(WaitReason.RATE_LIMIT, frozen, LIMIT_REACHED)


def _after(later: errors.Unavailable) -> datetime:
    return clock.now() + timedelta(seconds=later.retry_after_s)
