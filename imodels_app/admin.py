"""Django's admin: set up teams; look at everything else. No state is edited here."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import CharField, QuerySet
from django.http import HttpRequest

from imodels_app.accounts import rights, sessions
from imodels_app.decorators import person
from imodels_app.models import Attempt, Decision, Event, Membership, Operation, Orphan, Preset, Team, TeamITwin, User
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, SignInNeeded
from imodels_app.requesting.fields import TypedText
from imodels_app.requesting.lookups import ITwinLookup

admin.site.site_header = "iModel Desk"
admin.site.site_title = "iModel Desk"
admin.site.index_title = "Teams and records"
# Groups and permissions are not used.
admin.site.unregister(Group)
# All look-ups of a page that is saved.
LOOK_UP_WITHIN_S = 20.0


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


class ForRights(ForAdmins):
    """Who may what: written by accounts.rights alone."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        rights.save(obj, by=person(request))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        rows = formset.save(commit=False)
        for row in formset.deleted_objects:
            rights.delete(row, by=person(request))
        for row in rows:
            rights.save(row, by=person(request))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        rights.delete(obj, by=person(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            rights.delete(row, by=person(request))


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


class _TeamITwinLookup(ITwinLookup):
    remedy = "Type its full name or number, or paste its id or link."


class TeamITwinForm(forms.ModelForm):
    """An iTwin by its name, number, id or a link. It is looked up: a wrong id would send forks to the wrong team."""

    catalog: ClassVar[Catalog]
    itwin_id = forms.CharField(
        label="iTwin",
        max_length=1000,
        help_text="Its name, number, id or a link to it.",
        error_messages={"unique": "A team looks after this iTwin already."},
    )

    class Meta:
        model = TeamITwin
        fields = ("itwin_id",)

    def clean_itwin_id(self) -> str:
        typed: str = self.cleaned_data["itwin_id"]
        if typed.lower() == self.initial.get("itwin_id") or TeamITwin.objects.filter(itwin_id=typed.lower()).exists():
            return typed.lower()
        try:
            return _TeamITwinLookup(self.catalog).find(typed, picked_id="").id
        except CatalogUnavailable as down:
            raise forms.ValidationError(f"{down} The iTwin could not be looked up: save it again later.") from down
        except SignInNeeded as ended:
            raise forms.ValidationError("Sign in again before you add an iTwin: it has to be looked up.") from ended


class TeamITwinInline(Inline):
    model = TeamITwin

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        catalog = Catalog(request.user, max_age_s=0, within_s=LOOK_UP_WITHIN_S)
        return super().get_formset(request, obj, form=type("Form", (TeamITwinForm,), {"catalog": catalog}), **kwargs)


@admin.register(Team)
class TeamAdmin(ForRights):
    list_display = ("name", "is_default", "approval_days")
    readonly_fields = ("is_default",)
    inlines = (MembershipInline, TeamITwinInline)

    def has_delete_permission(self, request: HttpRequest, obj: Team | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.is_default)


@admin.register(User)
class UserAdmin(ForRights):
    """Only whether a person is an admin, and whether they may enter at all, is set here."""

    list_display = ("name", "email", "is_staff", "is_active", "last_login")
    search_fields = ("first_name", "last_name", "email")
    fields = ("first_name", "last_name", "email", "issuer", "subject", "last_login", "is_staff", "is_active")
    readonly_fields = ("first_name", "last_name", "email", "issuer", "subject", "last_login")
    actions = ("sign_out_everywhere",)

    @admin.action(description="Sign out everywhere")
    def sign_out_everywhere(self, request: HttpRequest, people: QuerySet[User]) -> None:
        ended = sum(sessions.end(one, by=person(request)) for one in people)
        self.message_user(request, f"Sessions ended: {ended}.")

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
