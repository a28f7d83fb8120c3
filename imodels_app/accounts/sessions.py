"""Who is signed in where: Django's sessions in a table of ours, with an end that only use puts off (SESSION_ENGINE).

Two limits hold at once: so long without use, and so long after the sign-in. Both ends are in one column, expire_date.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.http import HttpRequest
from django.utils import timezone

from imodels_app.accounts import session_keys
from imodels_app.audit import events
from imodels_app.models import Session, User
from imodels_app.runtime import foreign_text
from imodels_app.runtime.timing import SIGN_IN_IS_FRESH
from imodels_app.states import Verb

# Use is written down once a minute: not each click is a write.
NOTED_EVERY = timedelta(minutes=1)
_SIGNED_IN, _USED, _ADDRESS, _CLIENT = "signed_in_at", "used_at", "address", "client"
_AUTHENTICATED = "authenticated_at"


class SessionStore(db.SessionStore):
    """Times are kept in the session itself, so that whatever saves it keeps them."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _get_new_session_key(self) -> str:
        """One that the web server knows for ours without a look into the table. Guessed ones are never in there."""
        return session_keys.new()

    def _get_session_from_db(self) -> Session | None:
        row = Session.objects.live(timezone.now()).filter(pk=session_keys.stored(self.session_key or "")).first()
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        return super().exists(session_keys.stored(session_key))

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            super().delete(session_keys.stored(key))

    def save(self, must_create: bool = False) -> None:
        """One that was ended meanwhile stays ended. Its request is still answered: Django would only say 400."""
        try:
            super().save(must_create)
        except UpdateError:
            if not has_ended(self):
                raise

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        for name in (_SIGNED_IN, _USED):
            data.setdefault(name, timezone.now().timestamp())
        row = super().create_model_instance(data)
        assert isinstance(row, Session)  # noqa: S101 - get_model_class says so
        row.session_key = session_keys.stored(row.session_key)
        row.person_id = data.get(SESSION_KEY)
        row.signed_in_at, row.used_at = (datetime.fromtimestamp(data[name], tz=UTC) for name in (_SIGNED_IN, _USED))
        row.address, row.client = data.get(_ADDRESS, ""), data.get(_CLIENT, "")
        return row

    def get_expiry_date(self, **_: Any) -> datetime:
        """The earlier of the two limits."""
        now = timezone.now().timestamp()
        idle = self.get(_USED, now) + settings.SESSION_IDLE_HOURS * 3600
        absolute = self.get(_SIGNED_IN, now) + settings.SESSION_HOURS * 3600
        return datetime.fromtimestamp(min(idle, absolute), tz=UTC)

    def get_expiry_age(self, **_: Any) -> int:
        """For the cookie's max-age."""
        return max(int((self.get_expiry_date() - timezone.now()).total_seconds()), 0)


def describe(session: SessionBase, *, address: str, client: str) -> None:
    """Write down in a new session where it comes from, for its owner to recognize it."""
    session[_ADDRESS], session[_CLIENT] = address, foreign_text.cleaned(client)


def renew(session: SessionBase) -> None:
    """This session has been used."""
    now = timezone.now().timestamp()
    if session.get(_USED, 0) < now - NOTED_EVERY.total_seconds():
        session[_USED] = now


def has_ended(session: SessionBase) -> bool:
    """Whether it was ended while its request was on the way: by somebody, or because the grant was revoked."""
    return not session.session_key or not session.exists(session.session_key)


def live_of(user: User) -> list[Session]:
    """The person's sessions, the last used first."""
    return list(Session.objects.live(timezone.now()).filter(person=user).order_by("-used_at"))


def current_id(request: HttpRequest) -> str:
    return Session(session_key=session_keys.stored(request.session.session_key or "")).public_id


def is_fresh(session: SessionBase) -> bool:
    """Whether it began with a sign-in of a moment ago: who has found an unlocked browser was not asked for that.

    Where the provider says when it asked for the person, that was a moment ago too.
    """
    began: float = session.get(_SIGNED_IN, 0)
    is_new = began > (timezone.now() - SIGN_IN_IS_FRESH).timestamp()
    return is_new and (not session.get(_AUTHENTICATED) or has_just_authenticated(session))


def note_authentication(session: SessionBase, at: float) -> None:
    """Write down when the provider says that it last asked the person who they are; 0: it does not say."""
    session[_AUTHENTICATED] = at


def has_just_authenticated(session: SessionBase) -> bool:
    """Whether the provider itself asked for the person a moment ago; that it remembered them is not enough."""
    asked: float = session.get(_AUTHENTICATED, 0)
    return asked > (timezone.now() - SIGN_IN_IS_FRESH).timestamp()


def end(user: User, *, by: User | None, only: str = "") -> int:
    """End all sessions of a person, or the one that a page called `only`; how many ended.

    by  who did it; None: iModel Desk, because the grant was revoked
    """
    ended = [row.pk for row in live_of(user) if only in ("", row.public_id)]
    count, _ = Session.objects.filter(pk__in=ended).delete()
    if count:
        whose = "own" if by == user else user.name
        events.record(Verb.SESSIONS_ENDED, at=timezone.now(), by=by, note=whose, count=count, person=user.pk)
    return count
