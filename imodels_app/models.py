"""Rows: people, teams, operations and their history. Columns, constraints, indexes, queryset adjectives.

States change in lifecycle.py only, and tokens in tokens.py only.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Lower

from imodels_app.states import (
    DUE,
    FINISHED,
    IN_FLIGHT,
    NO_LONGER_THERE,
    Kind,
    News,
    OrphanState,
    Outcome,
    State,
    Verdict,
    Wait,
    Wish,
)


class User(AbstractUser):
    """A person, known by the identity provider's issuer and subject; e-mail and name are what it said last.

    An e-mail address that the provider calls unverified is not kept (sign_in.sign_in).
    """

    issuer = models.CharField(max_length=255, blank=True)
    subject = models.CharField(max_length=255, blank=True, help_text="The provider's lasting id of this person (sub).")
    # The database knows the default too: an older version of the program may still add people.
    wants_mail = models.BooleanField(default=True, db_default=True, help_text="Sent by e-mail.")

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="user_one_per_subject", condition=~Q(subject=""))
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The full name, or the e-mail address when the provider told no name."""
        return self.get_full_name() or self.email or self.subject or self.username

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

    @property
    def is_admin(self) -> bool:
        """May audit everything and set up teams. Never a right on the platform, never the right to decide."""
        return self.is_active and self.is_staff


class Team(models.Model):
    """People who look after certain iTwins. iTwins nobody looks after belong to the default team.

    That one comes with the first migration, and the database refuses to be without it.
    """

    name = models.CharField(max_length=100, unique=True)
    is_default = models.BooleanField(default=False, help_text="Looks after every iTwin that no other team does.")
    approval_days = models.PositiveSmallIntegerField(
        default=7, help_text="A request for approval expires after this many days."
    )

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["is_default"], name="team_one_default", condition=Q(is_default=True))
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def looking_after(cls, itwin_id: str) -> "Team":
        """The team that looks after an iTwin: its own, or the default one."""
        charge = ITwinCharge.objects.select_related("team").filter(itwin_id=itwin_id.lower()).first()
        return charge.team if charge else cls.objects.get(is_default=True)

    def leads(self) -> models.QuerySet[User]:
        """The people who may decide for this team."""
        return User.objects.filter(
            is_active=True, membership__team=self, membership__role=Membership.Role.LEAD
        ).order_by("first_name", "last_name")


class Membership(models.Model):
    """A person's place in a team, given to an e-mail address and bound to the person at the first sign-in."""

    class Role(models.TextChoices):
        MEMBER = "member", "Member"
        LEAD = "lead", "Lead"

    team = models.ForeignKey(Team, models.CASCADE)
    email = models.EmailField(help_text="As the identity provider knows it.")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, editable=False)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("team", Lower("email"), name="membership_once_per_team")]

    def __str__(self) -> str:
        return f"{self.email}, {self.role} of {self.team}"


class ITwinCharge(models.Model):
    """One iTwin in the care of one team."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="charges")
    itwin_id = models.CharField("iTwin id", max_length=36, unique=True)

    class Meta:
        verbose_name = "iTwin"

    def __str__(self) -> str:
        return self.itwin_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.itwin_id = self.itwin_id.lower()
        super().save(*args, **kwargs)


class TokenSet(models.Model):
    """A person's tokens, encrypted (tokens.py), with the lease that lets one process at a time refresh them."""

    user = models.OneToOneField(User, models.CASCADE, related_name="tokens")
    access_token = models.TextField()
    refresh_token = models.TextField(blank=True)
    id_token = models.TextField(blank=True, help_text="Shown to the provider at sign-out.")
    expires_at = models.DateTimeField()
    obtained_at = models.DateTimeField()
    refreshing_by = models.UUIDField(null=True, help_text="Who holds the lease to refresh.")
    refreshing_until = models.DateTimeField(null=True)
    sign_in_needed = models.BooleanField(default=False, help_text="The provider takes the refresh token no more.")

    def __str__(self) -> str:
        return f"tokens of {self.user_id}"  # never their values


class OperationQuerySet(models.QuerySet["Operation"]):
    def visible_to(self, user: User) -> Self:
        """What a person may see: their own, their teams', and for admins everything."""
        if user.is_admin:
            return self
        return self.filter(Q(requested_by=user) | Q(team__in=user.membership_set.values("team")))

    def of_teams(self, user: User) -> Self:
        return self.filter(team__in=user.membership_set.values("team"))

    def to_show(self) -> Self:
        """With what the wording of a row needs: the team, the decisions, upload and orphan, and who called it off."""
        cancelled = Event.objects.filter(operation=OuterRef("pk"), verb="cancelled").values("actor_name")[:1]
        rows = self.select_related("team", "upload", "orphan").prefetch_related("decisions")
        return rows.annotate(cancelled_by=Subquery(cancelled))

    def approved(self, request_hash: str) -> Self:
        """With an approval of exactly this request (one lead is enough here)."""
        of_this = Decision.objects.filter(operation=OuterRef("pk"), request_hash=request_hash)
        return self.filter(Exists(of_this.filter(verdict=Verdict.APPROVED)), request_hash=request_hash)

    def waiting_for(self, user: User) -> Self:
        """What this person is asked to decide: forks of teams they lead, but never their own."""
        led = user.membership_set.filter(role=Membership.Role.LEAD).values("team")
        return self.filter(state=State.AWAITING_APPROVAL, team__in=led).exclude(requested_by=user)

    def ready(self, now: datetime) -> Self:
        """Queued, and the time to try has come; first come, first served."""
        return self.filter(state=State.QUEUED, due_at__lte=now).order_by("due_at", "created_at")

    def due_for_poll(self, now: datetime) -> Self:
        return self.filter(state=State.RUNNING, due_at__lte=now).order_by("due_at")

    def lost(self, now: datetime) -> Self:
        """Submitting, and the time to look for what became of the request has come."""
        return self.filter(state=State.SUBMITTING, due_at__lte=now).order_by("due_at")

    def overdue(self, now: datetime) -> Self:
        """Waiting for a person who did not come in time."""
        signed_out = Q(state=State.UPLOADING, wait_reason=Wait.SIGN_IN)
        return self.filter(Q(state__in=[State.AWAITING_APPROVAL, State.QUEUED]) | signed_out, expires_at__lte=now)


# How long a staged file is kept that nobody adds to or uses.
STAGED_FOR = timedelta(days=1)


class StagedFileQuerySet(models.QuerySet["StagedFile"]):
    def free(self) -> Self:
        """Used by no operation, or by one that is over."""
        return self.filter(Q(operation=None) | Q(operation__state__in=FINISHED))

    def stale(self, now: datetime) -> Self:
        """Nobody needs it any more: what became an iModel, and what nobody added to or tried again for a day."""
        untouched_since = now - STAGED_FOR
        return self.filter(
            Q(operation__state=State.SUCCEEDED)
            | Q(operation=None, touched_at__lte=untouched_since)
            | Q(operation__state__in=FINISHED, operation__finished_at__lte=untouched_since)
        )


class StagedFile(models.Model):
    """A baseline file between a browser and the platform: what is known of it here, its bytes in STAGING_DIR.

    received  bytes that are safe on disk, so where the browser goes on after a cut
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="staged_files")
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField(help_text="In bytes, as announced.")
    received = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField()
    touched_at = models.DateTimeField(db_index=True, help_text="When its last piece came.")
    arrived_at = models.DateTimeField(null=True, help_text="Whole, and looked at.")

    objects = StagedFileQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def kept_until(self) -> datetime:
        """When it is forgotten if nothing more happens to it, nor to an operation that was made of it."""
        operation = getattr(self, "operation", None)
        last = operation.finished_at if operation and operation.finished_at else self.touched_at
        return last + STAGED_FOR


class Operation(models.Model):
    """One wish of one person to make one iModel, from request to end."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=20, choices=State.choices)
    # Rises with every change of the row: what a live page has shown, and the fence against late writers.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    # Who asked, and whose business it is. Names are copied: history must read after both are gone.
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="operations")
    requested_by_name = models.CharField(max_length=255)
    requester_key = models.CharField(max_length=511, help_text="User.lasting_key, as it was then.")
    team = models.ForeignKey(Team, models.PROTECT, related_name="operations")
    reason = models.TextField(blank=True, help_text="For the approvers.")
    again_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="again")

    # What is wished.
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=255, blank=True)
    itwin_id = models.CharField(max_length=36)
    itwin_name = models.CharField(max_length=255, blank=True)
    source_id = models.CharField(max_length=36, blank=True, help_text="The source or main iModel.")
    source_name = models.CharField(max_length=255, blank=True)
    source_itwin_id = models.CharField(max_length=36, blank=True)
    source_itwin_name = models.CharField(max_length=255, blank=True)
    changeset_wish = models.CharField(max_length=12, choices=Wish.choices, blank=True)
    changeset_id = models.CharField(max_length=40, blank=True)
    changeset_index = models.PositiveBigIntegerField(null=True)
    preserve_history = models.BooleanField(null=True)

    # The exact request. Text, not JSON: PostgreSQL would reorder the keys, and what was approved is what runs.
    # Written once: the database refuses to change it (migrations/_data_and_triggers.py).
    request_path = models.CharField(max_length=255)
    request_body = models.TextField()
    request_hash = models.CharField(max_length=64)

    # The baseline file. Its name and size stay when the bytes are gone.
    staged_file = models.OneToOneField(StagedFile, models.SET_NULL, null=True, related_name="operation")
    file_name = models.CharField(max_length=255, blank=True, db_default="")
    file_size = models.PositiveBigIntegerField(null=True)

    # Waiting, and when to act next. Columns rather than countdowns: visible, sortable, and they survive a restart.
    expires_at = models.DateTimeField(null=True, help_text="When waiting for a person ends.")
    wait_reason = models.CharField(max_length=20, choices=Wait.choices, blank=True)
    wait_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(
        null=True, help_text="Queued: to be sent; submitting: to be looked up; running: to be polled. Empty otherwise."
    )
    polls = models.PositiveIntegerField(default=0)
    missing_since = models.DateTimeField(null=True, help_text="Since when the platform answers 404.")

    # What the platform said.
    imodel_id = models.CharField(max_length=36, blank=True)
    accepted_at = models.DateTimeField(null=True)
    platform_state = models.CharField(max_length=64, blank=True)
    baseline_state = models.CharField(max_length=64, blank=True, db_default="")
    usable_at = models.DateTimeField(null=True, help_text="The iModel is initialized; the operation may go on.")
    relationship_id = models.CharField(max_length=64, blank=True)
    failure_code = models.CharField(max_length=64, blank=True)
    failure_message = models.TextField(blank=True)
    failure_details = models.JSONField(default=list)

    objects = OperationQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            # While a request is out, its name is how a lost answer is settled. Two of ours must not share it.
            models.UniqueConstraint(
                "itwin_id",
                Lower("name"),
                name="operation_one_name_in_flight",
                condition=Q(state__in=sorted(IN_FLIGHT)),
            ),
            models.UniqueConstraint(fields=["imodel_id"], name="operation_one_per_imodel", condition=~Q(imodel_id="")),
        ]
        indexes: ClassVar = [
            # Read by the sweeps: ready(), due_for_poll() and lost().
            models.Index(name="operation_due", fields=["state", "due_at"], condition=Q(state__in=sorted(DUE))),
            # Read by the live table: newest first, alone, by person and by team.
            models.Index(name="operation_newest", fields=["-created_at"]),
            models.Index(name="operation_mine", fields=["requested_by", "-created_at"]),
            models.Index(name="operation_team", fields=["team", "-created_at"]),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def last_decision(self) -> "Decision | None":
        """The newest answer. Reads all of them, so that a list that has prefetched them costs no query a row."""
        decisions = list(self.decisions.all())
        return decisions[-1] if decisions else None

    @property
    def approvals(self) -> list["Decision"]:
        return [one for one in self.decisions.all() if one.verdict == Verdict.APPROVED]


class Decision(models.Model):
    """One person's answer to one request, bound to its hash. Never edited.

    A CHECK sees one row only. So what it compares is copied here, and a trigger (migrations/_data_and_triggers.py)
    refuses a row whose requester or hash is not its operation's.
    """

    operation = models.ForeignKey(Operation, models.PROTECT, related_name="decisions")
    verdict = models.CharField(max_length=20, choices=Verdict.choices)
    by = models.ForeignKey(User, models.PROTECT, related_name="decisions")
    by_name = models.CharField(max_length=255)
    by_key = models.CharField(max_length=511, help_text="User.lasting_key, as it was then.")
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    requester_key = models.CharField(max_length=511)
    request_hash = models.CharField(max_length=64)
    comment = models.TextField(blank=True)
    decided_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["decided_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="decision_by_somebody_else",
                condition=~Q(by=F("requested_by")) & ~Q(by_key=F("requester_key")),
            ),
            models.UniqueConstraint(fields=["operation", "by_key"], name="decision_once_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id} {self.verdict} by {self.by_name}"


class Attempt(models.Model):
    """One POST for an operation. Committed before the socket opens, so that a crash leaves a trace."""

    operation = models.ForeignKey(Operation, models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    bucket = models.CharField(max_length=10, help_text="The budget it was charged to (rate_limits.py).")
    body_hash = models.CharField(max_length=64, help_text="wishes.fingerprint of the bytes that were sent.")
    sent_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.PENDING)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True, help_text="The platform's code and message, without secrets.")

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["operation", "number"], name="attempt_numbered_once")]
        # Read by rate_limits.py: the latest sends of a bucket.
        indexes: ClassVar = [models.Index(name="attempt_budget", fields=["bucket", "-sent_at"])]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.operation_id}"


class UploadQuerySet(models.QuerySet["Upload"]):
    def due(self, now: datetime) -> Self:
        """Nobody is at it; or whoever was has not been heard of since its lease ended."""
        return self.filter(due_at__lte=now).order_by("due_at")


class Upload(models.Model):
    """The way of one baseline file to the platform's storage, from the platform's answer until it has been told.

    due_at  when to go on, or when the lease of whoever uploads it ends; empty once it is over
    """

    operation = models.OneToOneField(Operation, models.PROTECT, primary_key=True, related_name="upload")
    # Rises with every change of the row: the fence against whoever slept through their lease.
    version = models.PositiveIntegerField(default=1)
    due_at = models.DateTimeField(null=True)
    # A secret: encrypted (tokens.py), and emptied when it is of no use.
    link = models.TextField(blank=True)
    link_until = models.DateTimeField(null=True, help_text="When the link ends, if it says so.")
    storage_type = models.CharField(max_length=10, blank=True)
    sent_bytes = models.PositiveBigIntegerField(default=0, help_text="What the storage has acknowledged.")

    objects = UploadQuerySet.as_manager()

    class Meta:
        # Read by the sweep: due().
        indexes: ClassVar = [models.Index(name="upload_due", fields=["due_at"], condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.operation.file_name

    @property
    def is_sent(self) -> bool:
        """The storage has acknowledged the whole file, so there is only the platform to be told."""
        size = self.operation.file_size
        return size is not None and self.sent_bytes >= size


class UploadedBlock(models.Model):
    """One block of a baseline file that the platform's storage has acknowledged; not sent again after a cut."""

    upload = models.ForeignKey(Upload, models.CASCADE, related_name="blocks")
    number = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["upload", "number"], name="block_once")]

    def __str__(self) -> str:
        return f"block {self.number} of {self.upload_id}"


class OrphanQuerySet(models.QuerySet["Orphan"]):
    def visible_to(self, user: User) -> Self:
        """Those of the operations that a person may see."""
        return self.filter(operation__in=Operation.objects.visible_to(user))

    def still_there(self) -> Self:
        return self.exclude(state__in=NO_LONGER_THERE)

    def no_longer_there(self) -> Self:
        return self.filter(state__in=NO_LONGER_THERE)

    def due(self, now: datetime) -> Self:
        """To be deleted, and nobody is at it; or whoever was has not been heard of since its lease ended."""
        return self.filter(due_at__lte=now).order_by("due_at")


class Orphan(models.Model):
    """The iModel that an operation without success left on the platform, and whoever asked for it to be deleted.

    due_at  when to try to delete it next; empty unless it is being deleted
    """

    operation = models.OneToOneField(Operation, models.PROTECT, primary_key=True, related_name="orphan")
    state = models.CharField(max_length=10, choices=OrphanState.choices, default=OrphanState.LEFT)
    # Rises with every change of the row: what a live page has shown, and the fence against late writers.
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField(help_text="Since when it is so.")
    due_at = models.DateTimeField(null=True)
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="deletions")
    requested_by_name = models.CharField(max_length=255, blank=True)
    even_if_usable = models.BooleanField(default=False)
    sent_at = models.DateTimeField(null=True, help_text="When the platform was asked to delete it.")
    note = models.TextField(blank=True, help_text="What is in the way.")

    objects = OrphanQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="orphan_due_while_deleting",
                condition=Q(state=OrphanState.DELETING, due_at__isnull=False)
                | (~Q(state=OrphanState.DELETING) & Q(due_at=None)),
            )
        ]
        # Read by the sweep: due().
        indexes: ClassVar = [models.Index(name="orphan_due", fields=["due_at"], condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.operation.name


class Bucket(models.Model):
    """One budget of the platform's rate limits. Its row is the lock under which claims are counted."""

    name = models.CharField(max_length=10, primary_key=True)
    frozen_until = models.DateTimeField(null=True, help_text="Retry-After of the last 429.")
    one_at_a_time_until = models.DateTimeField(null=True, help_text="After a 429, each answer is waited for.")
    # The bucket of all calls drips; those of creations, clones and forks count their attempts instead.
    tokens = models.FloatField(default=0)
    dripped_at = models.DateTimeField(null=True)
    counted = models.PositiveBigIntegerField(default=0, help_text="Requests of any kind that have left so far.")

    def __str__(self) -> str:
        return self.name


class Circuit(models.Model):
    """Whether something outside answers (circuit_breaker.py)."""

    name = models.CharField(max_length=20, primary_key=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    failing_since = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True, help_text="Since when, or since the last try that failed.")
    open_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class PresetQuerySet(models.QuerySet["Preset"]):
    def visible_to(self, user: User) -> Self:
        """A person's own, and what their teams share."""
        return self.filter(Q(owner=user) | Q(team__in=user.membership_set.values("team")))


class Preset(models.Model):
    """A request form filled in, kept under a name by one person, and perhaps shared with a team (presets.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="presets")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, related_name="presets", help_text="Who else may use it.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=100)
    values = models.JSONField(default=dict, help_text="What is typed, by the form's field names.")
    created_at = models.DateTimeField()

    objects = PresetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = [Lower("name"), "created_at"]
        constraints: ClassVar = [models.UniqueConstraint("owner", Lower("name"), name="preset_one_name_per_owner")]

    def __str__(self) -> str:
        return self.name


class MessageQuerySet(models.QuerySet["Message"]):
    def due(self, now: datetime) -> Self:
        return self.filter(sent_at=None, due_at__lte=now)


class Message(models.Model):
    """One e-mail to one person (outbox.py), written with the change it tells of."""

    to = models.ForeignKey(User, models.CASCADE, related_name="messages")
    operation = models.ForeignKey(Operation, models.CASCADE, related_name="messages")
    news = models.CharField(max_length=12, choices=News.choices)
    written_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="When to try next; empty: never again.")
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        # Read by outbox.py: what is due.
        indexes: ClassVar = [models.Index(name="message_due", fields=["due_at"], condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return f"{self.news} to {self.to_id}"


class Event(models.Model):
    """One line of history, written with the change it tells of. The database refuses to change or delete it."""

    at = models.DateTimeField(db_index=True)
    verb = models.CharField(max_length=24)
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=255, blank=True, help_text="Empty: the desk itself, or the platform.")
    operation = models.ForeignKey(Operation, models.PROTECT, null=True, related_name="events")
    operation_name = models.CharField(max_length=255, blank=True)
    team_name = models.CharField(max_length=100, blank=True)
    came_from = models.CharField(max_length=20, blank=True)
    to = models.CharField(max_length=20, blank=True)
    note = models.TextField(blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.verb} {self.operation_name}".strip()

    @classmethod
    def record(
        cls,
        verb: str,
        *,
        at: datetime,
        by: User | None = None,
        operation: Operation | None = None,
        came_from: str = "",
        to: str = "",
        note: str = "",
        **data: object,
    ) -> "Event":
        """Write one line. `data` must be plain JSON values, and never a secret."""
        return cls.objects.create(
            verb=verb,
            at=at,
            actor=by,
            actor_name=by.name if by else "",
            operation=operation,
            operation_name=operation.name if operation else "",
            team_name=operation.team.name if operation else "",
            came_from=came_from,
            to=to,
            note=note,
            data=data,
        )
