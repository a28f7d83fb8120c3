"""Approval rules: who sees and changes them, versions, and a request to try them with."""

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import rights
from imodels_app.models import ApprovalRule, Event
from imodels_app.states import Kind, State, Verb

pytestmark = pytest.mark.django_db

LIST, NEW = "/approvals/rules/", "/approvals/rules/new"
ONE_LEAD = {"level_1-who": "leads", "level_1-count": "1"}
TWO_ADMINS = {"level_1-who": "admins", "level_1-count": "2"}


def typed(**fields) -> dict[str, object]:
    """The form of a rule for squashed forks, as a browser sends it."""
    usual = {"name": "No history, two eyes", "team": "", "kinds": ["fork"], "squashed": "on", "asks": "people"}
    return usual | {"use_days": "3"} | ONE_LEAD | fields


@pytest.fixture
def rule(bridge_team, ines) -> ApprovalRule:
    """For all teams: an administrator has to agree to squashed forks."""
    level = {"who": "admins", "count": 1, "people": [], "comment": True, "sign_in": False}
    made = ApprovalRule(name="Squashed", kinds=["fork"], squashed=True, levels=[level])
    rights.save(made, by=ines)
    return made


def test_an_admin_makes_a_rule_that_holds_for_the_next_request_and_not_for_what_waits(
    client, ines, mara, bridge_team, waiting_fork, spec_for
):
    client.force_login(ines)

    answer = client.post(NEW, typed(**{"level_2-who": "admins", "level_2-count": "1"}))

    assert answer.headers["Location"] == LIST
    made = ApprovalRule.objects.get(name="No history, two eyes")
    assert [level["who"] for level in made.levels] == ["leads", "admins"]
    waiting_fork.refresh_from_db()
    assert len(waiting_fork.plan.levels) == 1
    assert len(lifecycle.request(spec_for(Kind.FORK, preserve_history=False), by=mara).plan.levels) == 2


def test_a_lead_makes_rules_for_their_team_only(client, tomas, bridge_team):
    client.force_login(tomas)

    refused = client.post(NEW, typed())
    made = client.post(NEW, typed(team=str(bridge_team.pk)))

    assert refused.status_code == 403
    assert made.status_code == 302
    assert ApprovalRule.objects.get(name="No history, two eyes").team == bridge_team


@pytest.mark.parametrize("who", ["mara", "tomas", "otto"])
def test_only_whoever_manages_a_rule_finds_its_form(client, request, rule, who):
    client.force_login(request.getfixturevalue(who))

    assert client.get(reverse("imodels:rule-detail", args=[rule.pk])).status_code == 404
    assert client.post(reverse("imodels:switch-rule", args=[rule.pk]), {"on": "no"}).status_code == 404
    assert reverse("imodels:rule-detail", args=[rule.pk]) not in client.get(LIST).text


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param(TWO_ADMINS, "level_1-who", id="first level"),
        pytest.param({"level_2-who": "admins", "level_2-count": "2"}, "level_2-who", id="second level"),
        pytest.param({"level_1-count": "0"}, "level_1-count", id="count"),
        pytest.param({"level_1-who": "people"}, "level_1-people", id="nobody named"),
        pytest.param({"level_1-who": "people", "level_1-people": "x@y.example"}, "level_1-people", id="a stranger"),
        pytest.param({"name": ""}, "name", id="name"),
        pytest.param({"asks": ""}, "asks", id="asks"),
        pytest.param({"more_changesets_than": "many"}, "more_changesets_than", id="changesets"),
    ],
)
def test_a_rule_that_nobody_could_meet_or_that_says_nothing_is_refused_at_its_field(
    client, ines, bridge_team, fields, field
):
    client.force_login(ines)

    answer = client.post(NEW, typed(**fields))

    assert answer.status_code == 422
    form = answer.context["form"]
    wrong = {one.html_name for part in (form, *form.levels) for one in part if part.is_bound and one.errors}
    assert wrong == {field}
    assert not ApprovalRule.objects.filter(name="No history, two eyes").exists()


def test_a_change_is_a_new_version_with_its_event_and_an_old_form_overwrites_nothing(client, ines, rule):
    client.force_login(ines)
    address = reverse("imodels:rule-detail", args=[rule.pk])
    form = typed(name="Squashed", version="1", **{"level_1-who": "admins"})

    assert client.post(address, form).status_code == 302
    late = client.post(address, form | {"name": "Mine"})

    rule.refresh_from_db()
    assert (rule.version, rule.name, late.status_code) == (2, "Squashed", 409)
    assert 'value="Mine"' in late.text
    assert Event.objects.filter(verb=Verb.RULE_CHANGED, data__rule=rule.pk).count() == 1
    assert "Versions" in client.get(address).text


def test_a_rule_is_switched_off_and_on(client, ines, mara, rule, spec_for):
    client.force_login(ines)
    address = reverse("imodels:switch-rule", args=[rule.pk])

    client.post(address, {"on": "no"})
    assert len(lifecycle.request(spec_for(Kind.FORK, preserve_history=False), by=mara).plan.matches) == 1
    client.post(address, {"on": "yes"})
    assert len(lifecycle.request(spec_for(Kind.FORK, preserve_history=False), by=mara).plan.matches) == 2


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        pytest.param({"kind": "clone"}, "It would be let through.", id="no rule"),
        pytest.param({"kind": "fork"}, "1 lead of Bridge team", id="the default"),
        pytest.param(
            {"kind": "fork", "squashed": "on"}, "1 lead of Bridge team and 1 administrator with a comment", id="both"
        ),
    ],
)
def test_a_request_that_is_tried_says_which_rules_match_and_what_they_ask(
    client, tomas, bridge_team, rule, tried, said
):
    client.force_login(tomas)

    answer = client.get(LIST, {"team": bridge_team.pk, **tried})

    assert said in " ".join(answer.text.split())
    assert answer.context["outcome"]["matches"] or tried["kind"] == "clone"


def test_a_rule_that_refuses_beats_the_others(client, ines, bridge_team, rule):
    client.force_login(ines)
    client.post(NEW, typed(name="Never", asks="refuse"))

    answer = client.get(LIST, {"team": bridge_team.pk, "kind": "fork", "squashed": "on"})

    assert "It would be refused." in answer.text
    assert State.AWAITING_APPROVAL not in answer.text


def test_whoever_was_signed_out_finds_what_they_typed(client, rule):
    for address in (NEW, reverse("imodels:rule-detail", args=[rule.pk])):
        answer = client.post(address, typed(name="Typed for an hour"))
        assert answer.status_code == 422
        assert "Typed for an hour" in answer.text
        assert "Squashed" not in answer.text
