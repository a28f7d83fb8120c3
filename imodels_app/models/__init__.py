"""Rows: people, teams, operations and their history. Columns, constraints, indexes, queryset adjectives.

States change in lifecycle/ only, tokens in accounts/tokens.py only, and sessions in accounts/sessions.py only.
"""

from imodels_app.models.attempts import Attempt
from imodels_app.models.changes import About, Change, Mark
from imodels_app.models.decisions import Decision
from imodels_app.models.destinations import Destination, DestinationQuerySet
from imodels_app.models.events import Event
from imodels_app.models.figures import DailyFigure, Figure, SummedDay
from imodels_app.models.known import KnownITwin, KnownSource
from imodels_app.models.limits import Bucket, CircuitBreaker, ITwinList, LookupShare
from imodels_app.models.log import LogHead, LogLeaf, UnloggedEvent
from imodels_app.models.looks import Look
from imodels_app.models.notifications import ChatMessage, Notification, NotificationQuerySet
from imodels_app.models.operations import DECIDED_AT_SOURCE, Operation, OperationQuerySet
from imodels_app.models.orphans import Orphan, OrphanQuerySet
from imodels_app.models.outside import SeenIModel, Watch, WatchedITwin, WatchedITwinQuerySet, WatchQuerySet
from imodels_app.models.people import User
from imodels_app.models.presets import Preset, PresetQuerySet
from imodels_app.models.refused_access import RefusedAccess
from imodels_app.models.rules import ApprovalRule, ApprovalRuleQuerySet
from imodels_app.models.saved_filters import SavedFilter
from imodels_app.models.sessions import Session
from imodels_app.models.subscriptions import Subscription
from imodels_app.models.teams import Absence, Membership, Team, TeamITwin, Webhook
from imodels_app.models.tokens import TokenSet
from imodels_app.models.uploads import STAGED_FOR, StagedFile, StagedFileQuerySet, Upload, UploadedBlock, UploadQuerySet

__all__ = [
    "DECIDED_AT_SOURCE",
    "STAGED_FOR",
    "About",
    "Absence",
    "ApprovalRule",
    "ApprovalRuleQuerySet",
    "Attempt",
    "Bucket",
    "Change",
    "ChatMessage",
    "CircuitBreaker",
    "DailyFigure",
    "Decision",
    "Destination",
    "DestinationQuerySet",
    "Event",
    "Figure",
    "ITwinList",
    "KnownITwin",
    "KnownSource",
    "LogHead",
    "LogLeaf",
    "Look",
    "LookupShare",
    "Mark",
    "Membership",
    "Notification",
    "NotificationQuerySet",
    "Operation",
    "OperationQuerySet",
    "Orphan",
    "OrphanQuerySet",
    "Preset",
    "PresetQuerySet",
    "RefusedAccess",
    "SavedFilter",
    "SeenIModel",
    "Session",
    "StagedFile",
    "StagedFileQuerySet",
    "Subscription",
    "SummedDay",
    "Team",
    "TeamITwin",
    "TokenSet",
    "UnloggedEvent",
    "Upload",
    "UploadQuerySet",
    "UploadedBlock",
    "User",
    "Watch",
    "WatchQuerySet",
    "WatchedITwin",
    "WatchedITwinQuerySet",
    "Webhook",
]
