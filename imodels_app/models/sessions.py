"""Signed-in browsers. Written in accounts/sessions.py only."""

from datetime import datetime
from typing import ClassVar, Self

from django.contrib.sessions.base_session import AbstractBaseSession, BaseSessionManager
from django.db import models
from django.utils.crypto import salted_hmac

from imodels_app.models.people import User


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self, now: datetime) -> Self:
        return self.filter(expire_date__gt=now)


class Session(AbstractBaseSession):
    """One browser of one person, until expire_date."""

    person = models.ForeignKey(User, models.CASCADE, null=True, related_name="sessions")
    signed_in_at = models.DateTimeField()
    used_at = models.DateTimeField(help_text="The last click or form, to the minute; a page's own polls are no use.")
    address = models.CharField(max_length=45, blank=True, help_text="Where the sign-in came from.")
    client = models.CharField(max_length=255, blank=True, help_text="The browser's own words.")

    objects: ClassVar = BaseSessionManager.from_queryset(SessionQuerySet)()

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        indexes: ClassVar = [models.Index(name="session_of_person", fields=["person", "expire_date"])]

    @property
    def public_id(self) -> str:
        """What a page may say: the key itself opens the session."""
        return salted_hmac("imodels_app.session", self.session_key).hexdigest()[:16]
