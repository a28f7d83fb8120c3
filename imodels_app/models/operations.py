"""Operations: one request of one person to make one iModel, from request to end."""

import uuid
from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, Subquery, When, Window
from django.db.models.functions import Coalesce, Lower, RowNumber

from imodels_app.approvals.plan import INSTEAD, Plan, Standing, open_level, standing
from imodels_app.models.decisions import Decision
from imodels_app.models.events import Event
from imodels_app.models.people import User
from imodels_app.models.teams import Absence, Membership, Team, TeamITwin
from imodels_app.models.uploads import StagedFile
from imodels_app.runtime import clock
from imodels_app.states import (
    CANCELLABLE,
    DUE,
    FINISHED,
    IN_FLIGHT,
    MAYBE_THERE,
    UNDECIDED,
    ChangesetSelection,
    Kind,
    State,
    Verdict,
    WaitReason,
    Who,
)

# What leaves an iTwin is decided by the team that looks after that one.
DECIDED_AT_SOURCE = (Kind.FORK, Kind.CLONE)
MOST_NAMED = 1000


class OperationQuerySet(models.QuerySet["Operation"]):
    def visible_to(self, user: User) -> Self:
        """What a person may see: their own, their teams', what a rule names them for, and for admins everything."""
        if user.is_admin:
            return self
        named = Q(pk__in=user.named_in.values("pk"))
        return self.filter(Q(requested_by=user) | Q(team__in=user.membership_set.values("team")) | named)

    def ways_to_see(self, user: User) -> list[Self]:
        """The same in parts without a row in common, each for an index of its own, where their OR has none."""
        if user.is_admin:
            return [self]
        own, teams = Q(requested_by=user), user.team_ids
        parts = [self.filter(own)]
        if teams:
            parts.append(self.filter(~own, team__in=teams))
        if named := _named_besides(user, teams):
            parts.append(self.filter(pk__in=named))
        return parts

    def of_teams(self, user: User) -> Self:
        """What a person sees besides their own: their teams', and what a rule names them for."""
        teams = user.team_ids
        named = _named_besides(user, teams)
        return self.filter(Q(team__in=teams) | Q(pk__in=named) if named else Q(team__in=teams))

    def to_show(self) -> Self:
        """With what the wording of a row needs: the team, the decisions, upload and orphan, and who called it off."""
        cancelled = Event.objects.filter(operation=OuterRef("pk"), verb="cancelled").values("actor_name")[:1]
        rows = self.select_related("team", "upload", "orphan").prefetch_related("decisions")
        return rows.annotate(cancelled_by=Subquery(cancelled))

    def waiting_for(self, user: User) -> Self:
        """What this person is asked to decide and has not, but never their own."""
        led = user.membership_set.filter(role=Membership.Role.LEAD).values("team")
        asked = (Q(team__in=led) | Exists(_stood_in_for(user))) & Q(asked__contains=f" {Who.LEADS} ")
        asked |= Q(asked__contains=f" {user.pk} ")
        if user.is_admin:
            asked |= Q(asked__contains=f" {Who.ADMINS} ")
        same = Q(by=user) | Q(stands_for=user) | (Q(by_email__iexact=user.email) if user.email else Q())
        given = Decision.objects.filter(same, operation=OuterRef("pk"), request_hash=OuterRef("request_hash"))
        waiting = self.filter(asked, ~Exists(given), state=State.AWAITING_APPROVAL).exclude(requested_by=user)
        return waiting.exclude(requester_email__iexact=user.email) if user.email else waiting

    def of_closed_accounts(self) -> Self:
        """What has not been sent, and is not to be sent any more."""
        return self.filter(state__in=sorted(CANCELLABLE), requested_by__is_active=False)

    def undecided(self) -> Self:
        return self.filter(state__in=sorted(UNDECIDED))

    def misplaced(self) -> Self:
        """Waiting for a team that does not look after the iTwin any more that decides (Operation.deciding_itwin_id)."""
        copies = Q(is_decided_at_source=None, kind__in=DECIDED_AT_SOURCE) & ~Q(source_itwin_id="")
        at_source = Q(is_decided_at_source=True) | copies
        waiting = self.undecided().annotate(deciding=Case(When(at_source, "source_itwin_id"), default="itwin_id"))
        own = TeamITwin.objects.filter(itwin_id=OuterRef("deciding")).values("team")[:1]
        default = Team.objects.filter(is_default=True).values("pk")[:1]
        return waiting.exclude(team=Coalesce(Subquery(own), Subquery(default)))

    def to_remind(self, now: datetime) -> Self:
        return self.undecided().filter(remind_at__lte=now, expires_at__gt=now)

    def lapsed(self, now: datetime) -> Self:
        """Approved, and not used in time; but not what may have been sent, though its answer was lost."""
        return self.filter(state=State.QUEUED, use_by__lte=now).exclude(attempts__outcome__in=sorted(MAYBE_THERE))

    def ready(self, now: datetime) -> Self:
        """Queued, and the time to try has come; first come, first served."""
        return self.filter(state=State.QUEUED, due_at__lte=now).order_by("due_at", "created_at")

    def due_for_poll(self, now: datetime) -> Self:
        """Running, and due: everybody's longest due first, then everybody's second one, however many one person has."""
        due = self.filter(state=State.RUNNING, due_at__lte=now)
        turn = Window(RowNumber(), partition_by="requested_by", order_by="due_at")
        return due.annotate(turn=turn).order_by("turn", "due_at")

    def due_for_reconcile(self, now: datetime) -> Self:
        """Submitting, and the time to look for what became of the request has come."""
        return self.filter(state=State.SUBMITTING, due_at__lte=now).order_by("due_at")

    def overdue(self, now: datetime) -> Self:
        """Waiting for a person who did not come in time."""
        signed_out = Q(state=State.UPLOADING, wait_reason=WaitReason.SIGN_IN)
        return self.filter(Q(state__in=[*sorted(UNDECIDED), State.QUEUED]) | signed_out, expires_at__lte=now)


def _named_besides(user: User, teams: list[int]) -> Any:
    """What a rule names a person for that is neither their own nor of their teams, by id.

    As they are, if they are few, as they mostly are: of a subquery a planner believes that it has many rows.
    """
    named = user.named_in.exclude(Q(requested_by=user) | Q(team__in=teams)).values_list("pk", flat=True)
    ids = list(named[: MOST_NAMED + 1])
    return ids if len(ids) <= MOST_NAMED else named


def _stood_in_for(user: User) -> models.QuerySet[Absence]:
    """Of a request's team, the leads in whose place this person decides now, and who have not: not the requester."""
    given = Decision.objects.filter(
        Q(by=OuterRef("lead")) | Q(stands_for=OuterRef("lead")),
        operation=OuterRef(OuterRef("pk")),
        request_hash=OuterRef(OuterRef("request_hash")),
    )
    absences = Absence.objects.now(clock.now()).filter(~Exists(given), deputy=user, team=OuterRef("team"))
    return absences.exclude(lead=OuterRef("requested_by"))


class Operation(models.Model):
    """One request of one person to make one iModel, from request to end."""

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
    requester_email = models.EmailField(blank=True, db_default="", help_text="As it was then; a verified one.")
    team = models.ForeignKey(Team, models.PROTECT, related_name="operations")
    is_decided_at_source = models.BooleanField(
        null=True, help_text="Whether the team of its source’s iTwin decides. Empty, of before: if it has a source."
    )
    reason = models.TextField(blank=True, help_text="For the approvers.")
    again_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="again")

    # What is wished.
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=255, blank=True)
    itwin_id = models.CharField(max_length=36)
    itwin_name = models.CharField(max_length=255, blank=True)
    itwin_number = models.CharField(max_length=255, blank=True, db_default="")
    source_id = models.CharField(max_length=36, blank=True, help_text="The source or main iModel.")
    source_name = models.CharField(max_length=255, blank=True)
    source_itwin_id = models.CharField(max_length=36, blank=True)
    source_itwin_name = models.CharField(max_length=255, blank=True)
    elsewhere = models.CharField(
        max_length=20, blank=True, db_default="", help_text="In what the two iTwins differ: account, region or both."
    )
    changeset_selection = models.CharField(max_length=12, choices=ChangesetSelection.choices, blank=True)
    changeset_id = models.CharField(max_length=40, blank=True)
    changeset_index = models.PositiveBigIntegerField(null=True)
    preserve_history = models.BooleanField(null=True)

    # The exact request. Text, not JSON: PostgreSQL would reorder the keys, and what was approved is what runs.
    # Once it is decided, the database refuses to change it (migrations/_approval_triggers.py).
    request_path = models.CharField(max_length=255)
    request_body = models.TextField()
    request_hash = models.CharField(max_length=64)

    # The rules that matched, as they were then (approvals.plan). Empty: of before there were any.
    approval_plan = models.JSONField(default=dict, db_default={})
    named = models.ManyToManyField(User, related_name="named_in", help_text="Those whom its rules name.")
    asked = models.TextField(
        default=f" {Who.LEADS} ",
        db_default=f" {Who.LEADS} ",
        help_text="Who may decide now: words of states.Who, ids of named people, and “instead”; between spaces.",
    )
    remind_at = models.DateTimeField(null=True, help_text="When those who have to act are reminded next.")
    not_before = models.DateTimeField(null=True, help_text="It is not sent earlier, and its use-by counts from then.")
    use_by = models.DateTimeField(null=True, help_text="When its approval lapses unless it is sent.")

    # The baseline file. Its name and size stay when the bytes are gone.
    staged_file = models.OneToOneField(StagedFile, models.SET_NULL, null=True, related_name="operation")
    file_name = models.CharField(max_length=255, blank=True, db_default="")
    file_size = models.PositiveBigIntegerField(null=True)

    # Waiting, and when to act next. Columns rather than countdowns: visible, sortable, and they survive a restart.
    expires_at = models.DateTimeField(null=True, help_text="When waiting for a person ends.")
    wait_reason = models.CharField(max_length=20, choices=WaitReason.choices, blank=True)
    wait_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(
        null=True, help_text="Queued: to be sent; submitting: to be looked up; running: to be polled. Empty otherwise."
    )
    polls = models.PositiveIntegerField(default=0)
    polled_at = models.DateTimeField(null=True, help_text="When it was last known to run.")
    listed_at = models.DateTimeField(
        null=True, help_text="Since when a list shows that it is being made, so that it is rarely polled itself."
    )
    bad_polls = models.PositiveSmallIntegerField(null=True, help_text="In a row, that told nothing; empty: none.")
    missing_since = models.DateTimeField(null=True, help_text="Since when the platform answers 404.")

    # What the platform said.
    imodel_id = models.CharField(max_length=36, blank=True)
    accepted_at = models.DateTimeField(null=True)
    platform_state = models.CharField(max_length=64, blank=True)
    baseline_state = models.CharField(max_length=64, blank=True, db_default="")
    usable_at = models.DateTimeField(
        null=True, help_text="The iModel is initialized; the operation may still be running."
    )
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
            # Read by its numbers: what is not over, and what ended today.
            models.Index(name="operation_open", fields=["state"], condition=~Q(state__in=sorted(FINISHED))),
            models.Index(name="operation_ended", fields=["finished_at"]),
            # Read by the table's filters (tables.filters), and by its other orders.
            models.Index(name="operation_itwin", fields=["itwin_id", "-created_at"]),
            models.Index(name="operation_kind", fields=["kind", "-created_at"]),
            models.Index(name="operation_kind_ended", fields=["kind", "-finished_at"]),
            models.Index(name="operation_kind_state", fields=["kind", "state", "-created_at"]),
            models.Index(name="operation_source", fields=["source_id"], condition=~Q(source_id="")),
            models.Index(name="operation_code", fields=["failure_code", "-created_at"], condition=~Q(failure_code="")),
            models.Index(name="operation_state", fields=["state", "created_at", "id"]),
            models.Index(name="operation_name", fields=["name", "id"]),
            # The same of one team and of one person, and the menus of whom and which iTwins they have.
            models.Index(name="operation_team_name", fields=["team", "name", "id"]),
            models.Index(name="operation_my_name", fields=["requested_by", "name", "id"]),
            models.Index(name="operation_team_state", fields=["team", "state", "created_at", "id"]),
            models.Index(name="operation_my_state", fields=["requested_by", "state", "created_at", "id"]),
            models.Index(name="operation_team_kind", fields=["team", "kind", "-created_at"]),
            models.Index(name="operation_team_person", fields=["team", "requested_by", "-created_at"]),
            models.Index(name="operation_team_itwin", fields=["team", "itwin_id", "-created_at"]),
            models.Index(name="operation_my_itwin", fields=["requested_by", "itwin_id", "-created_at"]),
            # Read by the page of an iModel, and by the search for one: what was made from it, alone and as one sees it.
            models.Index(name="operation_made_of", fields=["source_id", "-created_at"], condition=~Q(source_id="")),
            models.Index(
                name="operation_team_made_of", fields=["team", "source_id", "-created_at"], condition=~Q(source_id="")
            ),
            models.Index(
                name="operation_my_made_of",
                fields=["requested_by", "source_id", "-created_at"],
                condition=~Q(source_id=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def is_undecided(self) -> bool:
        return self.state in UNDECIDED

    @property
    def is_usable(self) -> bool:
        """Its iModel can be opened and copied, though it may still be finishing."""
        is_there = self.state == State.SUCCEEDED or (self.state == State.RUNNING and self.usable_at is not None)
        return is_there and bool(self.imodel_id)

    @property
    def last_decision(self) -> "Decision | None":
        """The newest answer. Reads all of them, so that a list that has prefetched them costs no query a row."""
        decisions = list(self.decisions.all())
        return decisions[-1] if decisions else None

    @property
    def answers(self) -> list["Decision"]:
        """The decisions about the request as it is now; what came before an edit is void."""
        return [one for one in self.decisions.all() if one.request_hash == self.request_hash]

    @property
    def approvals(self) -> list["Decision"]:
        return [one for one in self.answers if one.verdict in (Verdict.APPROVED, Verdict.BYPASSED)]

    @property
    def plan(self) -> Plan:
        """What it needs before it is sent."""
        return Plan.from_json(self.approval_plan, self.kind)

    @property
    def levels(self) -> list[list[Standing]]:
        """How it stands with each level of its plan."""
        return standing(self.plan, self.answers)

    @property
    def open_level(self) -> int:
        """The level that is decided now, from 1; 0 when nobody has to agree any more."""
        return open_level(self.plan, self.answers)

    @property
    def stage(self) -> str:
        """What is decided now, round and level: 1.2. A page sends the one that it showed along with each decision."""
        return f"{self.plan.number}.{self.open_level}"

    @property
    def is_asked_of_admins_instead(self) -> bool:
        """Whether administrators may decide in the place of people who have left."""
        return INSTEAD in self.asked.split()

    @property
    def deciding_itwin_id(self) -> str:
        """Whose team decides about it."""
        is_copy = self.kind in DECIDED_AT_SOURCE and self.source_itwin_id
        at_source = is_copy if self.is_decided_at_source is None else self.is_decided_at_source
        return self.source_itwin_id if at_source else self.itwin_id
