"""Django's admin: which iTwins a team looks after is looked up before it is believed."""

import html
import re

import pytest
from django.urls import reverse

from imodels_app.accounts import tokens
from imodels_app.models import TeamITwin

pytestmark = pytest.mark.django_db


@pytest.fixture
def save(client, ines, sandbox, bridge_team):
    """save("Harbour Bridge", "Rail ..."): Ines sends the page of the Bridge team with these iTwins; what it answers."""
    tokens.store(ines, sandbox.tokens_for("ines"))
    client.force_login(ines)

    def send(*typed, **more):
        [known] = bridge_team.itwins.all()
        fields = {"name": "Bridge team", "approval_days": "7", "membership_set-TOTAL_FORMS": "0"}
        fields |= {
            "membership_set-INITIAL_FORMS": "0",
            "itwins-TOTAL_FORMS": str(len(typed)),
            "itwins-INITIAL_FORMS": "1",
        }
        fields |= {f"itwins-{number}-itwin_id": text for number, text in enumerate(typed)}
        fields |= {f"itwins-{number}-team": str(bridge_team.pk) for number in range(len(typed))}
        fields |= {"itwins-0-id": str(known.pk)}
        return client.post(reverse("admin:imodels_app_team_change", args=[bridge_team.pk]), fields | more)

    return send


def ids():
    return set(TeamITwin.objects.values_list("itwin_id", flat=True))


def errors_of(answer):
    """The errors in the page."""
    return html.unescape(" ".join(re.findall(r'class="errorlist[^>]*>(.*?)</ul>', answer.text, re.DOTALL)))


@pytest.mark.parametrize(
    "typed",
    [
        "{id}",
        "{ID}",
        "  {ID}\n",
        "Rail Corridor 2027",
        "rail corridor 2027",
        "rc-2027",
        "https://x.example/itwins/{ID}/",
    ],
)
def test_an_itwin_of_a_team_is_found_by_id_link_name_or_number(save, sandbox, typed):
    harbour, rail = sandbox.ids["harbour-bridge"], sandbox.ids["rail-corridor"]

    answer = save(harbour.upper(), typed.format(id=rail, ID=rail.upper()))
    assert answer.status_code == 302, errors_of(answer)
    assert ids() == {harbour, rail}


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
        ("x" * 1001, "at most 1000 characters"),
        ("{HARBOUR-BRIDGE}", "A team looks after this iTwin already."),
        ("Harbour Bridge", "A team looks after this iTwin already."),
    ],
)
def test_what_is_no_other_itwin_is_refused_in_a_sentence(save, sandbox, typed, said):
    known = sandbox.ids | {name.upper(): item_id.upper() for name, item_id in sandbox.ids.items()}
    before = ids()

    answer = save(sandbox.ids["harbour-bridge"], re.sub(r"\{([\w-]+)\}", lambda named: known[named[1]], typed))
    assert answer.status_code == 200
    assert said in errors_of(answer)
    assert ids() == before


def test_a_team_can_be_saved_while_the_platform_is_down_but_gets_no_itwin_that_nobody_looked_up(save, sandbox):
    sandbox.fault("GET", r"/", status=503, times=50)

    assert save(sandbox.ids["harbour-bridge"], approval_days="9").status_code == 302
    refused = save(sandbox.ids["harbour-bridge"], sandbox.ids["rail-corridor"])
    assert "The platform is not answering. The iTwin could not be looked up: save it again later." in errors_of(refused)
    assert ids() == {sandbox.ids["harbour-bridge"]}
