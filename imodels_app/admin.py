"""Django's admin: rows as they are stored, for admins to look at. Nothing is changed here."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from imodels_app.accounts import permissions
from imodels_app.models import Attempt, Decision, Event, Membership, Operation, Orphan, Preset, Team, TeamITwin, User

admin.site.site_header = "iModel Desk"
admin.site.site_title = "iModel Desk"
admin.site.index_title = "Records"
# Groups and permissions are not used.
admin.site.unregister(Group)


class _Reading:
    """Open to the dashboard's admins, who may look; Django's own permissions are not used."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and permissions.may_administer(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnly(_Reading, admin.ModelAdmin):
    """One kind of row."""


class MembershipInline(_Reading, admin.TabularInline):
    model = Membership
    # Whom the place is bound to: an address alone would not say that nobody has come with it yet.
    readonly_fields = ("user",)


class TeamITwinInline(_Reading, admin.TabularInline):
    model = TeamITwin


@admin.register(Team)
class TeamAdmin(ReadOnly):
    list_display = ("name", "is_default", "approval_days")
    inlines = (MembershipInline, TeamITwinInline)


@admin.register(User)
class UserAdmin(ReadOnly):
    list_display = ("name", "email", "is_staff", "is_active", "last_login")
    search_fields = ("first_name", "last_name", "email")
    fields = ("first_name", "last_name", "email", "issuer", "subject", "last_login", "is_staff", "is_active")


@admin.register(Operation)
class OperationAdmin(ReadOnly):
    list_display = ("name", "kind", "state", "requested_by_name", "itwin_name", "created_at")
    list_filter = ("state", "kind")
    search_fields = ("name", "imodel_id", "id")


@admin.register(Orphan)
class OrphanAdmin(ReadOnly):
    list_display = ("operation", "state", "requested_by_name", "changed_at")
    list_filter = ("state",)


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ("at", "verb", "operation_name", "actor_name", "note")
    list_filter = ("verb",)


@admin.register(Decision)
class DecisionAdmin(ReadOnly):
    list_display = ("operation", "verdict", "by_name", "decided_at", "comment")
    list_filter = ("verdict",)


@admin.register(Attempt)
class AttemptAdmin(ReadOnly):
    list_display = ("operation", "number", "sent_at", "outcome", "status")


@admin.register(Preset)
class PresetAdmin(ReadOnly):
    list_display = ("name", "kind", "owner", "team", "created_at")
