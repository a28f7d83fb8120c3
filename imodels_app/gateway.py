"""The only way to the platform's API, for workers' steps and for the pickers' catalog.

Before each request leaves: does the platform take calls at all, is the circuit closed, and this one is counted; what a
person looks up comes out of their share. After each call: what its answer means for circuit, rate limits and token, so
that no step has to know. What only means "later" is raised as MustWait. AnswerLost and Refused pass through: they are
for the step's own row.

The rate limits of creations, clones and forks are claimed with the attempt (submit.py), in its transaction.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings

from imodels_app.accounts import encryption, permissions, tokens
from imodels_app.audit import events
from imodels_app.itwin import Call, Platform, errors
from imodels_app.limits import circuit_breaker, rate_limits
from imodels_app.models import Operation, User
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import (
    READ_TIMEOUT_S,
    SIGN_IN_READ_TIMEOUT_S,
    WHILE_NOT_PERMITTED,
    WHILE_REFUSED,
    WHILE_SIGNED_OUT,
)
from imodels_app.states import WaitReason

log = logging.getLogger(__name__)
SHARE_USED = "You have looked up a lot in a short time."


class MustWait(Exception):
    """Nothing was done, and nothing can be before `until`.

    note      in words fit to be shown; empty when the reason says it all
    status    of the answer that says so; None when there was none
    is_guess  nobody said until when: whoever only looks may look sooner
    """

    def __init__(
        self, reason: WaitReason, until: datetime, note: str = "", *, status: int | None = None, is_guess: bool = False
    ) -> None:
        super().__init__(note or reason.label)
        self.reason, self.until, self.note, self.status, self.is_guess = reason, until, note, status, is_guess


def for_operation(operation: Operation, *, by: User | None = None, bucket: str = rate_limits.CALLS) -> Platform:
    """The platform as whoever acts sees it. Each call carries the operation's GUID.

    by  nobody: it is only looked how far it is, as its requester or, once their account is closed, as a colleague;
        MustWait when nobody can look
    """
    if by is None and not operation.requested_by.is_active:
        return _as_colleague(operation)
    return for_person(by or operation.requested_by, bucket=bucket, operation=operation)


def for_person(
    user: User,
    *,
    bucket: str = rate_limits.CALLS,
    read_timeout_s: float = READ_TIMEOUT_S,
    operation: Operation | None = None,
    looker: User | None = None,
) -> Platform:
    """The platform as this person sees it. Raises MustWait when there is no token; so do the calls of what it returns.

    bucket          the rate limit that a 429 is about which names none
    operation       whose id goes with each call, and whose history has what changes something
    looker          waits for the answer: it comes out of this person's share
    read_timeout_s  shorter where a person waits; its end then says nothing about the platform
    """
    is_patient = read_timeout_s >= READ_TIMEOUT_S
    checkpoint = _Checkpoint(user, _token(user), bucket, operation, looker=looker, is_patient=is_patient)
    return _client(checkpoint, read_timeout_s)


def confirm_grant(user: User) -> None:
    """Return if this person's grant was confirmed by the provider within minutes. Raises MustWait."""
    with _waits():
        tokens.confirm(user)


def address_of(access_token: str, subject: str) -> str | None:
    """The e-mail address by which the platform knows whoever has just signed in, None while it does not answer.

    "" also if it takes the token for somebody else's than the sign-in's subject.
    """
    try:
        checkpoint = _Checkpoint(None, access_token, rate_limits.CALLS, None, looker=None, is_patient=False)
        person_id, address = _client(checkpoint, SIGN_IN_READ_TIMEOUT_S).me()
    except (MustWait, errors.Refused) as no:
        log.warning("The platform does not say whose token it is: %s", no)
        return None if isinstance(no, MustWait) else ""
    return address if person_id == subject.lower() else ""


def require_open() -> None:
    """Raise MustWait while no call would pass: before something is claimed only to be given back."""
    now = clock.now()
    down = circuit_breaker.outage(now)
    if down and down.until > now:
        raise MustWait(WaitReason.PLATFORM_DOWN, down.until)
    _require_thaw(now)


def _as_colleague(operation: Operation) -> Platform:
    """Only as one who sees what is looked at: to others it is not there, which must not pass for "it has vanished"."""
    for person in permissions.followers(operation):
        try:
            platform = for_operation(operation, by=person)
            look = platform.imodel if operation.imodel_id else platform.itwin
            look(operation.imodel_id or operation.itwin_id)
        except errors.Refused:
            continue
        except MustWait as no:
            if no.reason in (WaitReason.PLATFORM_DOWN, WaitReason.RATE_LIMIT):
                raise
            continue
        return platform
    raise MustWait(WaitReason.ACCOUNT_CLOSED, clock.now() + WHILE_NOT_PERMITTED)


def _client(checkpoint: "_Checkpoint", read_timeout_s: float) -> Platform:
    return Platform(
        settings.ITWIN_API_URL,
        checkpoint.token,
        read_timeout_s=read_timeout_s,
        correlation_id=str(checkpoint.operation.pk) if checkpoint.operation else "",
        before_request=checkpoint.let_pass,
        around_call=checkpoint.judged,
    )


class _Checkpoint:
    """What every request of one person's client passes, and what its answers are held against.

    user  whose token it is; None at a sign-in, before that is known
    """

    def __init__(
        self,
        user: User | None,
        token: str,
        bucket: str,
        operation: Operation | None,
        *,
        looker: User | None,
        is_patient: bool,
    ) -> None:
        self._user, self.token, self._bucket, self.operation = user, token, bucket, operation
        self._looker, self._is_patient = looker, is_patient

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
        if self._looker is None:
            rate_limits.count_call(now)
            return
        try:
            rate_limits.count_lookup(self._looker.pk, now)
        except rate_limits.RateLimited as used:
            raise MustWait(WaitReason.RATE_LIMIT, used.until, SHARE_USED) from used

    @contextmanager
    def judged(self, call: Call) -> Iterator[None]:
        """Around each call, its repeats included. One that may have changed something becomes an event."""
        began_at = clock.now()
        try:
            with self._told_apart(began_at):
                yield
        except (errors.AnswerLost, errors.Refused, MustWait) as no:
            self._record(call, began_at, no)
            raise
        self._record(call, began_at)

    def _record(self, call: Call, began_at: datetime, no: Exception | None = None) -> None:
        if self.operation and call.has_left and call.method != "GET":
            events.record_call(
                self.operation,
                by=self._user,
                method=call.method,
                path=call.path,
                body=call.body,
                status=call.status,
                code=getattr(no, "code", ""),
                message=str(no.__cause__ or no) if no else "",
                began_at=began_at,
            )

    @contextmanager
    def _told_apart(self, began_at: datetime) -> Iterator[None]:
        """What an answer means for circuit, rate limits and token."""
        try:
            yield
        except errors.TooMany as busy:
            circuit_breaker.record_success()
            until = _after(busy)
            bucket = rate_limits.bucket_named(busy.operation, self._bucket)
            rate_limits.freeze(bucket, until, clock.now(), is_our_limit=busy.is_our_limit)
            raise MustWait(WaitReason.RATE_LIMIT, until, status=busy.status) from busy
        except errors.Unavailable as down:
            # Who waits three seconds, as in front of a picker, learns nothing about the platform.
            if self._is_patient or not isinstance(down, errors.TimedOut):
                circuit_breaker.record_failure(clock.now(), began_at=began_at)
            raise MustWait(WaitReason.PLATFORM_DOWN, _after(down), str(down), is_guess=not down.is_told) from down
        except errors.AnswerLost:
            circuit_breaker.record_failure(clock.now(), began_at=began_at)
            raise
        except errors.SignedOut as no:
            circuit_breaker.record_success()
            raise self._token_refused(no) from no
        except errors.Refused:
            self._answered()
            raise
        self._answered()

    def _answered(self) -> None:
        circuit_breaker.record_success()
        tokens.taken(self._user)

    def _token_refused(self, no: errors.SignedOut) -> MustWait:
        try:
            until = tokens.refused(self._user, self.token)
        except tokens.SignInNeeded:
            return MustWait(WaitReason.SIGN_IN, clock.now() + WHILE_REFUSED, status=no.status)
        return MustWait(WaitReason.TOKEN, until, "The platform refused the token.", status=no.status)


def _token(user: User) -> str:
    with _waits():
        return tokens.access_token(user)


@contextmanager
def _waits() -> Iterator[None]:
    """What keeps a person's token from being used, as MustWait."""
    try:
        yield
    except tokens.SignInNeeded as gone:
        raise MustWait(WaitReason.SIGN_IN, clock.now() + WHILE_SIGNED_OUT) from gone
    except encryption.KeyMissing as missing:
        log.error("Token of a person: %s", missing)
        raise MustWait(WaitReason.KEY_MISSING, _after(missing), str(missing)) from missing
    except tokens.BeingRefreshed as later:
        raise MustWait(WaitReason.TOKEN, _after(later), str(later)) from later
    except tokens.TokenUnavailable as later:
        raise MustWait(WaitReason.PROVIDER_DOWN, _after(later), str(later)) from later


def _require_thaw(now: datetime) -> None:
    frozen = rate_limits.frozen_until(now)
    if frozen:
        raise MustWait(WaitReason.RATE_LIMIT, frozen)


def _after(later: errors.Unavailable) -> datetime:
    return clock.now() + timedelta(seconds=later.retry_after_s)
