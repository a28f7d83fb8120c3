"""Who may what: whoever changes it, by whatever door, leaves an event, and those it concerns are told."""

import ast
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from imodels_app.accounts import rights, sign_in, tokens
from imodels_app.models import (
    Event,
    Look,
    Membership,
    Notification,
    Preset,
    SavedFilter,
    SeenIModel,
    Session,
    Team,
    TeamITwin,
    TokenSet,
    User,
)
from imodels_app.runtime import clock
from imodels_app.states import Verb
from tests.people import HARBOUR, OLD_QUAY, SUBJECTS
from tests.settings import BASE_DIR
from tests.views.test_sign_in import sign_in_as

pytestmark = pytest.mark.django_db
RAIL = "b2b00000-0000-4000-8000-000000000002"


def events() -> list[tuple[str, str, str]]:
    return list(Event.objects.exclude(verb="signed_in").values_list("verb", "actor_name", "note"))


@pytest.fixture
def as_ines(client, ines, bridge_team, sandbox):
    """as_ines("give-place", team, email=...): Ines sends the form of this act."""
    tokens.store(ines, sandbox.tokens_for("ines"))
    client.force_login(ines)

    def send(act, row, **body):
        answer = client.post(reverse(f"imodels:{act}", args=[row.pk]), body)
        assert answer.status_code == 302, answer.context["form"].errors

    return send


def settings_of(name="Bridge team", days=7):
    return {"name": name, "approval_days": days, "initial-name": "Bridge team", "initial-approval_days": 7}


@pytest.mark.parametrize(
    ("act", "body", "verb", "note"),
    [
        ("change-team", settings_of(name="Bridges"), Verb.TEAM_RENAMED, "Bridges: Bridge team → Bridges"),
        ("change-team", settings_of(days=3), Verb.DAYS_CHANGED, "Bridge team: 7 → 3"),
        (
            "give-place",
            {"email": "ines.duarte@harbour.example", "role": "lead"},
            Verb.ROLE_GIVEN,
            "ines.duarte@harbour.example: lead",
        ),
        (
            "change-place of mara",
            {"role": "lead"},
            Verb.ROLE_CHANGED,
            "mara.lindqvist@harbour.example: member → lead",
        ),
        (
            "change-place of tomas",
            {"remove": "yes", "sure": "yes"},
            Verb.ROLE_REMOVED,
            "tomas.novak@harbour.example: lead",
        ),
        ("give-itwin", {"itwin": "Rail Corridor 2027"}, Verb.ITWIN_GIVEN, f"{RAIL}: Bridge team"),
        ("take-itwin", {"sure": "yes"}, Verb.ITWIN_REMOVED, f"{HARBOUR}: Bridge team"),
    ],
    ids=lambda value: str(value) if isinstance(value, Verb) else "",
)
def test_a_change_of_a_team_is_an_event_and_the_lead_is_told(as_ines, bridge_team, tomas, act, body, verb, note):
    act, _, whose = act.partition(" of ")
    place = bridge_team.membership_set.filter(email__startswith=whose).first()

    as_ines(act, place if whose else bridge_team.itwins.get() if act == "take-itwin" else bridge_team, **body)

    assert events() == [(verb, "Ines Duarte", note)]
    assert Notification.objects.filter(to=tomas, event__verb=verb).exists()
    assert not Notification.objects.filter(to__email="ines.duarte@harbour.example").exists()


def test_what_stays_as_it_was_is_no_event(as_ines, bridge_team):
    as_ines("change-team", bridge_team, **settings_of())

    assert events() == []


def test_a_deleted_team_leaves_its_people_and_its_itwins_in_the_record(as_ines, bridge_team, tomas):
    as_ines("delete-team", bridge_team)

    assert not Team.objects.filter(name="Bridge team").exists()
    assert sorted(events()) == [
        (Verb.ITWIN_REMOVED, "Ines Duarte", f"{HARBOUR}: Bridge team"),
        (Verb.ROLE_REMOVED, "Ines Duarte", "mara.lindqvist@harbour.example: member"),
        (Verb.ROLE_REMOVED, "Ines Duarte", "tomas.novak@harbour.example: lead"),
        (Verb.TEAM_DELETED, "Ines Duarte", "Bridge team: Bridge team"),
    ]
    assert Notification.objects.filter(to=tomas, event__verb=Verb.TEAM_DELETED).exists()


@pytest.mark.parametrize(
    ("before", "act", "on", "verb"),
    [
        ({}, "set-admin", "yes", Verb.ADMIN_GIVEN),
        ({"is_staff": True}, "set-admin", "no", Verb.ADMIN_REMOVED),
        ({}, "set-account", "no", Verb.ACCOUNT_CLOSED),
        ({"is_active": False}, "set-account", "yes", Verb.ACCOUNT_OPENED),
    ],
    ids=str,
)
def test_what_an_admin_does_to_an_account_is_an_event(as_ines, ines, mara, tomas, before, act, on, verb):
    User.objects.filter(pk=mara.pk).update(**before)

    as_ines(act, mara, on=on)

    event = Event.objects.get()
    assert (event.verb, event.actor, event.actor_email) == (verb, ines, ines.email)
    assert (event.data["person"], event.data["subject"]) == (mara.pk, mara.subject)
    assert Notification.objects.filter(to=tomas, event=event).exists()


def test_a_closed_account_keeps_no_tokens(signed_in_mara, ines, sandbox):
    signed_in_mara.is_active = False

    rights.save(signed_in_mara, by=ines)

    assert not TokenSet.objects.exists()


def test_who_comes_to_a_closed_account_leaves_nothing(mara, sandbox):
    User.objects.update(is_active=False)
    claims = {
        "sub": mara.subject,
        "name": "Tomas Novak",
        "email": "tomas.novak@harbour.example",
        "email_verified": True,
    }

    with pytest.raises(sign_in.AccountClosed):
        sign_in.sign_in(claims, sandbox.tokens_for("mara"))

    mara.refresh_from_db()
    assert (mara.name, TokenSet.objects.count(), Event.objects.count()) == ("Mara Lindqvist", 0, 0)


def test_a_team_from_the_command_line_is_in_the_record():
    team = ("Bridge team", "--itwin", HARBOUR.upper(), "--lead", "Tomas.Novak@harbour.example")
    call_command("set_up_team", *team)
    call_command("set_up_team", *team)
    call_command("set_up_team", "Rail team", itwin=[HARBOUR])

    assert events() == [
        (Verb.TEAM_MADE, "", "Bridge team: Bridge team"),
        (Verb.ITWIN_GIVEN, "", f"{HARBOUR}: Bridge team"),
        (Verb.ROLE_GIVEN, "", "tomas.novak@harbour.example: lead"),
        (Verb.TEAM_MADE, "", "Rail team: Rail team"),
        (Verb.ITWIN_MOVED, "", f"{HARBOUR}: Bridge team → Rail team"),
    ]
    assert TeamITwin.objects.get().team.name == "Rail team"


@pytest.mark.parametrize(
    ("name", "address", "why"),
    [
        ("Bridge\u202e team", "tomas@harbour.example", "changes the direction of text"),
        ("Bridge\nteam", "tomas@harbour.example", "line break"),
        ("Bridge team", "tomas@harbour", "not an e-mail address"),
        ("Bridge team", "tomas\n@harbour.example", "not an e-mail address"),
    ],
)
def test_the_command_line_takes_no_name_or_address_that_a_page_refuses(name, address, why):
    with pytest.raises(CommandError, match=why):
        call_command("set_up_team", name, lead=[address])

    assert not Membership.objects.exists()
    assert not Event.objects.exists()


def test_the_command_line_refuses_what_is_known_to_be_an_imodel_and_says_what_it_cannot_know(succeeded_clone, capsys):
    SeenIModel.objects.create(pk=OLD_QUAY, itwin_id=HARBOUR, name="Old Quay")
    for imodel_id in (succeeded_clone.imodel_id, succeeded_clone.source_id.upper(), OLD_QUAY):
        with pytest.raises(CommandError, match="is the id of an iModel"):
            call_command("set_up_team", "Rail team", itwin=[imodel_id])
    call_command("set_up_team", "Rail team", itwin=[HARBOUR, SUBJECTS["mara"]])

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [SUBJECTS["mara"]]


def test_the_leads_there_before_are_told_of_what_comes_from_the_command_line(bridge_team, tomas):
    call_command("set_up_team", "Bridge team", lead=["ines.duarte@harbour.example"])
    call_command("set_up_team", "Rail team", itwin=[HARBOUR])

    told = Notification.objects.filter(to=tomas).order_by("event").values_list("event__verb", flat=True)
    assert list(told) == [Verb.ROLE_GIVEN, Verb.ITWIN_MOVED]


# Somebody who has left


def test_a_person_who_left_is_forgotten_but_not_by_the_record(
    signed_in_mara, succeeded_clone, ines, tomas, bridge_team
):
    signed_in_mara.presets.create(kind="clone", name="Mine", created_at=clock.now())
    signed_in_mara.saved_filters.create(page="table", name="Mine", query="q=mara")
    Look.objects.create(operation=succeeded_clone, person=signed_in_mara, until=clock.now())
    signed_in_mara.time_zone, signed_in_mara.muted_mail = "Europe/Lisbon", "succeeded"
    signed_in_mara.save()
    Membership.objects.create(team=Team.objects.get(is_default=True), email=signed_in_mara.email.upper())
    signed_in_mara.is_active = False
    rights.save(signed_in_mara, by=ines)
    before = list(Event.objects.values())

    call_command("forget_person", str(signed_in_mara.pk))

    left: list[Any] = [list(model.objects.values()) for model in (Membership, Preset, Notification, SavedFilter)]
    person = list(User.objects.values_list("first_name", "last_name", "email", "time_zone", "muted_mail"))
    assert ("", "", "", None, None) in person
    assert not Look.objects.exists()
    assert not re.search(r"mara|lindqvist", str(left), re.IGNORECASE)
    [event] = Event.objects.filter(pk__gt=before[-1]["id"])
    assert (event.verb, event.note) == (Verb.PERSON_FORGOTTEN, f"Person {signed_in_mara.pk}")
    assert list(Event.objects.exclude(pk=event.pk).values()) == before
    succeeded_clone.refresh_from_db()
    assert succeeded_clone.requested_by_name == "Mara Lindqvist"


def test_who_was_forgotten_stays_out(client, mara, sandbox):
    mara.is_active = False
    mara.save()
    call_command("forget_person", str(mara.pk))

    assert sign_in_as(client).status_code == 403
    assert (User.objects.get().name, Session.objects.exists()) == (SUBJECTS["mara"], False)


@pytest.mark.parametrize("number", ["", "0", "x", "²", "9" * 30, "mara"])
def test_nobody_is_forgotten_by_mistake(mara, number):
    with pytest.raises(CommandError, match="No person has the number"):
        call_command("forget_person", number)


def test_an_account_is_closed_before_its_person_is_forgotten(mara):
    with pytest.raises(CommandError, match="Close the account of Mara Lindqvist on its page first"):
        call_command("forget_person", str(mara.pk))

    assert User.objects.get().name == "Mara Lindqvist"


# Sign-in


def signed_in(person: User, **said: Any) -> list[tuple[str, str, str]]:
    usual: dict[str, Any] = {
        "name": (person.first_name, person.last_name),
        "email": person.email,
        "is_admin": person.is_staff,
    }
    rights.signed_in(person, **usual | said)
    return events()


def test_a_new_name_is_an_event_and_the_lead_is_told(bridge_team, mara, tomas):
    assert signed_in(mara, name=("Tomas", "Novak")) == [
        (Verb.NAME_CHANGED, "Tomas Novak", "mara.lindqvist@harbour.example: Mara Lindqvist → Tomas Novak")
    ]
    assert Notification.objects.get().to == tomas


@pytest.mark.parametrize(("email", "to"), [("mara@elsewhere.example", "mara@elsewhere.example"), ("", "")])
def test_a_new_address_is_an_event(mara, email, to):
    (verb, _, note), *_ = signed_in(mara, email=email)

    assert verb == Verb.ADDRESS_CHANGED
    assert "mara.lindqvist@harbour.example" in note
    assert note.endswith(to)


def test_a_first_sign_in_changes_nothing(db):
    new = User.objects.create(username="new", subject="new")

    assert signed_in(new, name=("New", "Comer"), email="new@harbour.example") == []


def test_what_the_list_of_admins_gave_goes_with_it(ines):
    """Taken out of the list, or no longer at the address that is in it."""
    assert signed_in(ines, is_admin=False) == [(Verb.ADMIN_REMOVED, "", "ines.duarte@harbour.example")]
    assert not User.objects.get().is_admin

    signed_in(ines, is_admin=True)
    assert User.objects.get().is_admin


def test_what_an_admin_gave_stays(mara, ines):
    mara.is_staff = True
    rights.save(mara, by=ines)

    signed_in(mara, is_admin=False)

    assert User.objects.get(pk=mara.pk).is_admin


def test_a_place_that_waited_is_taken_with_an_event(bridge_team, otto):
    rights.save(Membership(team=bridge_team, email="Otto@new.example", role="lead"), by=None)

    signed_in(otto, email="otto@new.example")

    assert Membership.objects.get(team=bridge_team, user=otto)
    assert events()[-1] == (Verb.PLACE_TAKEN, "Otto Brandt", "Otto@new.example: nobody → Otto Brandt")


# Nobody else writes

WRITES = {"create", "update", "delete", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "save"}
COLUMNS = {"is_staff", "is_active", "is_superuser", "role", "approval_days", "first_name", "last_name"}
ROWS = {"User", "Team", "Membership", "TeamITwin"}
MAY_WRITE = {"imodels_app/accounts/rights.py", "imodels_app/models/teams.py"}


def writers(tree: ast.AST) -> list[str]:
    """Calls that write rows of who may what, past rights."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            names = {one.id for one in ast.walk(node.func) if isinstance(one, ast.Name)}
            sets = {one.attr for one in ast.walk(node.func) if isinstance(one, ast.Attribute)}
            given = {one.arg for one in node.keywords}
            if "rights" not in names and (names & ROWS or sets & {"membership_set", "itwins"} or given & COLUMNS):
                found.append(ast.unparse(node))
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [ast.unparse(node) for one in targets if isinstance(one, ast.Attribute) and one.attr in COLUMNS]
    return found


def test_nobody_else_writes_who_may_what():
    files = [path for package in ("imodels_app", "dashboard", "demo") for path in (BASE_DIR / package).rglob("*.py")]
    found = {
        str(path.relative_to(BASE_DIR)): writers(ast.parse(path.read_text()))
        for path in files
        if "migrations" not in path.parts
    }
    others = {path: calls for path, calls in found.items() if calls and path not in MAY_WRITE}

    assert found["imodels_app/accounts/rights.py"]
    # A row of which nothing is known yet; and rows that are handed to rights.save().
    assert others.pop("imodels_app/accounts/sign_in.py")[0].startswith("User.objects.get_or_create(issuer=")
    assert others == {
        "imodels_app/management/commands/set_up_team.py": ["place.role = role"],
        "imodels_app/views/people.py": [
            "user.is_staff = request.POST.get('on') == 'yes'",
            "user.is_active = request.POST.get('on') == 'yes'",
        ],
        "imodels_app/views/teams.py": ["place.role = request.POST['role']"],
        "imodels_app/views/rules.py": ["rule.is_active = request.POST.get('on') == 'yes'"],
    }
