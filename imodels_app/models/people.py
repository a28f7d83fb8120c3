"""People, as the identity provider knows them."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q


class User(AbstractUser):
    """A person, known by the identity provider's issuer and subject; e-mail and name are what it said last.

    An e-mail address that the provider calls unverified is not kept (sign_in.sign_in).
    """

    issuer = models.CharField(max_length=255, blank=True)
    subject = models.CharField(max_length=255, blank=True, help_text="The provider's lasting id of this person (sub).")
    # The database knows the default too: an older version of the program may still add people.
    wants_mail = models.BooleanField(default=True, db_default=True, help_text="Sent by e-mail.")
    admin_given_by = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        help_text="Nobody: DASHBOARD_ADMINS gives and takes it.",
    )
    admin_given_at = models.DateTimeField(null=True, editable=False)

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="user_one_per_subject", condition=~Q(subject=""))
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The full name, or the e-mail address when the provider told no name; as much as its copies may have."""
        return (self.get_full_name() or self.email or self.subject or self.username)[:255]

    @property
    def lasting_key(self) -> str:
        """issuer|subject: who this is, whatever becomes of names, addresses and rows.

        Unambiguous: an issuer is a URL, and no URL has a bar.
        """
        return f"{self.issuer}|{self.subject}"

    @property
    def initials(self) -> str:
        words = self.name.split()
        return "".join(word[0] for word in (words[0], words[-1])).upper() if len(words) > 1 else self.name[:2].upper()

    def has_usable_password(self) -> bool:
        """Never: the provider knows who a person is, and no page asks for a password."""
        return False

    @property
    def is_admin(self) -> bool:
        """May audit everything and set up teams. Never a right on the platform; to decide only where a rule says so."""
        return self.is_active and self.is_staff
