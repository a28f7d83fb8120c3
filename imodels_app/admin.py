"""Django's admin: set up teams; look at everything else. No state is edited here."""

from typing import Any

from django.contrib import admin
from django.db.models import CharField
from django.http import HttpRequest

from imodels_app.accounts import sign_in
from imodels_app.models import Attempt, Decision, Event, Membership, Operation, Orphan, Preset, Team, TeamITwin, User
from imodels_app.requesting.fields import TypedText

admin.site.site_header = "iModel Desk"
admin.site.site_title = "iModel Desk"
admin.site.index_title = "Teams and records"


class ForAdmins(admin.ModelAdmin):
    """Open to the dashboard's admins; Django's own permissions are not used."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_admin(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_admin(request)

    has_add_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """What is typed here passes the same checks as on our own pages."""
        if type(db_field) is CharField and not db_field.choices:
            options["form_class"] = TypedText
        return super().formfield_for_dbfield(db_field, request, **options)


class ReadOnly(ForAdmins):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Inline(admin.TabularInline):
    extra = 1

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_admin(request)

    has_add_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission


class MembershipInline(Inline):
    model = Membership
    # Whom the place is bound to: an address alone would not say that nobody has come with it yet.
    readonly_fields = ("user",)


class TeamITwinInline(Inline):
    model = TeamITwin


@admin.register(Team)
class TeamAdmin(ForAdmins):
    list_display = ("name", "is_default", "approval_days")
    readonly_fields = ("is_default",)
    inlines = (MembershipInline, TeamITwinInline)

    def has_delete_permission(self, request: HttpRequest, obj: Team | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.is_default)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Bind places to people who have signed in before; one whose address was changed leaves whoever had it."""
        super().save_formset(request, form, formset, change)
        if formset.model is Membership:
            readdressed = [place for place, fields in formset.changed_objects if "email" in fields]
            for place in formset.new_objects + readdressed:
                place.user = sign_in.holder_of(place.email)
                place.save(update_fields=["user"])


@admin.register(User)
class UserAdmin(ForAdmins):
    """Only whether a person is an admin, and whether they may enter at all, is set here."""

    list_display = ("name", "email", "is_staff", "is_active", "last_login")
    search_fields = ("first_name", "last_name", "email")
    fields = ("first_name", "last_name", "email", "issuer", "subject", "last_login", "is_staff", "is_active")
    readonly_fields = ("first_name", "last_name", "email", "issuer", "subject", "last_login")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
    """One that nobody needs any more, because its owner has left, can be deleted here."""

    list_display = ("name", "kind", "owner", "team", "created_at")
    has_delete_permission = ForAdmins.has_view_permission


def _is_admin(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_admin
