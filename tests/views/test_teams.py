"""Teams and people: an admin sets them up with names that are looked up, and nobody else does."""

import re

import pytest
from django.urls import reverse

from imodels_app import eligibility
from imodels_app.accounts import rights, tokens
from imodels_app.models import KnownITwin, Membership, Notification, Preset, Team, TeamITwin, User
from imodels_app.runtime import clock
from tests.people import HARBOUR

pytestmark = pytest.mark.django_db


@pytest.fixture
def at_desk(client, ines, sandbox):
    """Ines's browser."""
    tokens.store(ines, sandbox.tokens_for("ines"))
    client.force_login(ines)
    return client


@pytest.fixture
def give(at_desk, sandbox, bridge_team):
    """give("Rail …"): Ines gives the Bridge team this iTwin; what it answers. {rail-corridor}: the id of that one."""
    known = sandbox.ids | {name.upper(): item_id.upper() for name, item_id in sandbox.ids.items()}

    def send(typed, **more):
        text = re.sub(r"\{([\w-]+)\}", lambda named: known[named[1]], typed)
        return at_desk.post(reverse("imodels:give-itwin", args=[bridge_team.pk]), {"itwin": text} | more)

    return send


def ids():
    return set(TeamITwin.objects.values_list("itwin_id", flat=True))


def errors_of(answer):
    return " ".join(error for errors in answer.context["form"].errors.values() for error in errors)


@pytest.mark.parametrize(
    "typed",
    [
        "{rail-corridor}",
        "{RAIL-CORRIDOR}",
        "  {RAIL-CORRIDOR}\n",
        "Rail Corridor 2027",
        "rail corridor 2027",
        "rc-2027",
        "https://x.example/itwins/{RAIL-CORRIDOR}/",
    ],
)
def test_an_itwin_of_a_team_is_found_by_id_link_name_or_number(give, sandbox, typed):
    answer = give(typed)

    assert answer.status_code == 302, errors_of(answer)
    assert ids() == {HARBOUR, sandbox.ids["rail-corridor"]}
    assert KnownITwin.objects.get(pk=sandbox.ids["rail-corridor"]).name == "Rail Corridor 2027"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Main Bridge", "No iTwin “Main Bridge” that you can see."),
        ("b2b00000-0000-4000-8000-00000000000", "No iTwin “b2b00000-0000-4000-8000-00000000000” that you can see."),
        ("b2b00000-0000-4000-8000-0000000000020", "No iTwin"),
        ("{main-bridge}", "No iTwin with this id, or you cannot see it."),
        ("https://x.example/imodels/{main-bridge}", "No iTwin with this id, or you cannot see it."),
        ("11111111-1111-4111-8111-111111111111", "No iTwin with this id, or you cannot see it."),
        ("rail", "The only iTwin like “rail” is “Rail Corridor 2027” (RC-2027)."),
        ("x" * 1001, "At most 1000 characters"),
        ("{HARBOUR-BRIDGE}", "The team looks after this iTwin already."),
        ("Harbour Bridge", "The team looks after this iTwin already."),
        ("", "Pick an iTwin."),
    ],
)
def test_what_is_no_other_itwin_is_refused_in_a_sentence(give, typed, said):
    answer = give(typed)

    assert answer.status_code == 422
    assert said in errors_of(answer)
    assert ids() == {HARBOUR}


def test_an_itwin_of_another_team_is_taken_over_only_on_purpose(give, bridge_team, otto, sandbox):
    rail = sandbox.ids["rail-corridor"]
    TeamITwin.objects.create(team=Team.objects.get(name="Transit team"), itwin_id=rail)

    asked = give("Rail Corridor 2027")
    assert "Transit team looks after this iTwin." in errors_of(asked)
    assert 'name="take_over"' in asked.text
    assert give("Rail Corridor 2027", take_over="on").status_code == 302

    assert TeamITwin.objects.get(itwin_id=rail).team == bridge_team
    assert Notification.objects.filter(to=otto, event__verb="itwin_moved").exists()


def test_while_the_platform_is_down_a_team_can_be_changed_but_gets_no_itwin_that_nobody_looked_up(
    give, at_desk, bridge_team, sandbox
):
    sandbox.fault("GET", r"/", status=503, times=50)

    settings = {"name": "Bridge team", "approval_days": "9"} | {
        f"initial-{name}": value for name, value in (("name", "Bridge team"), ("approval_days", "7"))
    }
    assert at_desk.post(reverse("imodels:change-team", args=[bridge_team.pk]), settings).status_code == 302
    assert at_desk.get(reverse("imodels:team-detail", args=[bridge_team.pk])).status_code == 200
    refused = give("{rail-corridor}")
    assert "The platform is not answering. The iTwin could not be looked up: try again later." in errors_of(refused)
    assert ids() == {HARBOUR}


def test_a_stale_form_changes_only_what_was_typed_in_it(at_desk, bridge_team):
    Team.objects.update(approval_days=3)
    stale = {"name": "Bridges", "approval_days": "7", "initial-name": "Bridge team", "initial-approval_days": "7"}

    at_desk.post(reverse("imodels:change-team", args=[bridge_team.pk]), stale)

    bridge_team.refresh_from_db()
    assert (bridge_team.name, bridge_team.approval_days) == ("Bridges", 3)


def test_a_team_is_made_with_its_people(at_desk, mara):
    made = at_desk.post(reverse("imodels:new-team"), {"name": "Rail team", "approval_days": "5"})
    team = Team.objects.get(name="Rail team")
    assert made["Location"] == reverse("imodels:team-detail", args=[team.pk])

    for email, role in ((mara.email.upper(), "lead"), ("soon@harbour.example", "member")):
        at_desk.post(reverse("imodels:give-place", args=[team.pk]), {"email": email, "role": role})

    places = list(team.membership_set.order_by("pk").values_list("email", "user", "role", "given_by__email"))
    assert places == [
        (mara.email, mara.pk, "lead", "ines.duarte@harbour.example"),
        ("soon@harbour.example", None, "member", "ines.duarte@harbour.example"),
    ]


@pytest.mark.parametrize(
    ("act", "body", "said"),
    [
        ("new-team", {"name": "bridge TEAM", "approval_days": "7"}, "Another team has this name."),
        ("new-team", {"name": "", "approval_days": "0"}, "Enter a whole number from 1 to 365."),
        ("give-place", {"email": "Mara.Lindqvist@harbour.example", "role": "lead"}, "has a place in the team already"),
        ("give-place", {"email": "mara", "role": "lead"}, "This is not an e-mail address."),
        ("give-place", {"email": "x@harbour.example", "role": "king"}, "Select a valid choice."),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(at_desk, bridge_team, act, body, said):
    before = list(Membership.objects.values()), Team.objects.count()

    answer = at_desk.post(reverse(f"imodels:{act}", args=[] if act == "new-team" else [bridge_team.pk]), body)

    assert answer.status_code == 422
    assert said in errors_of(answer)
    assert (list(Membership.objects.values()), Team.objects.count()) == before


def test_a_team_in_whose_care_something_was_requested_stays(at_desk, bridge_team, waiting_fork):
    answer = at_desk.post(reverse("imodels:delete-team", args=[bridge_team.pk]), follow=True)

    assert "Nothing was deleted. Operations were requested in its care" in answer.text
    assert bridge_team.membership_set.count() == 2


def test_a_team_is_told_apart_from_one_for_which_nobody_can_decide(at_desk, bridge_team, tomas):
    page = reverse("imodels:team-detail", args=[bridge_team.pk])
    assert "Nobody can decide" not in at_desk.get(page).text

    place = bridge_team.membership_set.get(user=tomas)
    at_desk.post(reverse("imodels:change-place", args=[place.pk]), {"role": "member"})

    assert "Nobody can decide all that is asked of this team." in at_desk.get(page).text
    assert "1 lead of Bridge team" in at_desk.get(page).text


def test_people_and_itwins_leave_a_team_once_one_is_sure(at_desk, bridge_team, tomas):
    place, itwin = bridge_team.membership_set.get(user=tomas), bridge_team.itwins.get()
    for address, sends in (("change-place", {"remove": "yes"}), ("take-itwin", {})):
        row = place if sends else itwin
        asked = at_desk.post(reverse(f"imodels:{address}", args=[row.pk]), sends)
        assert "from Bridge team?" in asked.context["heading"]
        row.refresh_from_db()

        at_desk.post(asked.context["address"], dict(asked.context["sends"]))

        assert not type(row).objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize(("who", "sees_addresses"), [("mara", False), ("tomas", True)])
def test_who_is_in_a_team_reads_its_page_and_changes_nothing(client, bridge_team, request, who, sees_addresses):
    Membership.objects.create(team=bridge_team, email="soon@harbour.example")
    client.force_login(request.getfixturevalue(who))

    page = client.get(reverse("imodels:team-detail", args=[bridge_team.pk]))

    assert "Tomas Novak" in page.text
    assert ("soon@harbour.example" in page.text) == sees_addresses
    assert 'method="post" action="/teams/' not in " ".join(page.text.split())
    listed = client.get(reverse("imodels:team-list")).context["rows"]
    assert [row["team"] for row in listed] == [bridge_team]


def test_who_gave_themselves_a_place_does_not_decide_what_was_requested_before(at_desk, waiting_fork, ines):
    team = waiting_fork.team
    at_desk.post(reverse("imodels:give-place", args=[team.pk]), {"email": ines.email, "role": "lead"})

    assert eligibility.why_not_decide(ines, waiting_fork).startswith("You gave yourself this right")


# People


def test_people_are_found_by_any_word_of_name_or_address(at_desk, mara, otto, bridge_team):
    def found(text):
        return {row.first_name for row in at_desk.get(reverse("imodels:person-list"), {"q": text}).context["rows"]}

    assert found("lindq MARA") == {"Mara"}
    assert found("citytransit") == {"Otto"}
    assert found("nobody at all") == set()
    assert found("") == {"Ines", "Mara", "Tomas", "Otto"}


@pytest.mark.parametrize(("act", "column"), [("set-admin", "is_staff"), ("set-account", "is_active")])
def test_an_admin_shuts_nobody_out_but_others(at_desk, ines, mara, act, column):
    User.objects.update(is_staff=True)

    refused = at_desk.post(reverse(f"imodels:{act}", args=[ines.pk]), {"on": "no"}, follow=True)
    at_desk.post(reverse(f"imodels:{act}", args=[mara.pk]), {"on": "no"})

    assert "Nothing was changed. This is your own account" in refused.text
    assert [getattr(User.objects.get(pk=one.pk), column) for one in (ines, mara)] == [True, False]


def test_nobody_ends_their_own_sessions_from_an_unlocked_browser_here(at_desk, ines):
    answer = at_desk.post(reverse("imodels:end-sessions", args=[ines.pk]))

    assert answer["Location"] == reverse("imodels:session-list")
    assert ines.sessions.exists()


def test_an_admin_deletes_a_preset_whose_owner_has_left_with_an_event(at_desk, mara, bridge_team):
    preset = Preset.objects.create(owner=mara, team=bridge_team, name="Old", kind="clone", created_at=clock.now())
    page = reverse("imodels:person-detail", args=[mara.pk])
    assert "Old" in at_desk.get(page).text

    answer = at_desk.post(reverse("imodels:delete-preset", args=[preset.pk]), {"next": page})

    assert answer["Location"] == page
    assert not Preset.objects.exists()


def test_the_page_of_a_person_says_by_whom_they_are_what_they_are(at_desk, mara, ines, bridge_team):
    mara.is_staff = True
    rights.save(mara, by=ines)

    page = at_desk.get(reverse("imodels:person-detail", args=[mara.pk])).text

    assert "by Ines Duarte" in page
    assert "Bridge team" in page
