"""The audit's pages: numbers and the rows behind them, everything about one, the case, and saved filters."""

import re
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import rights
from imodels_app.audit import events, figures
from imodels_app.models import (
    ChatMessage,
    Event,
    Membership,
    Notification,
    Operation,
    SavedFilter,
    Team,
    TeamITwin,
    Webhook,
)
from imodels_app.runtime import clock
from imodels_app.states import Chat, Kind
from tests.exports import table
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]
FIGURE = re.compile(r'<a href="(/audit/[^"]*\?[^"]*)"[^>]*>\s*(\d+)\s*</a>')
BAR = re.compile(r'<a href="(/audit/[^"]*)"\s+aria-label="[^:]*: (\d+) [^"]*">')


@pytest.fixture
def admin(client, ines):
    client.force_login(ines)
    return client


@pytest.fixture
def a_day(failed_fork, succeeded_clone, mara, otto, tomas, spec_for):
    """What became of five operations in two iTwins, summed up."""
    for person in (mara, otto):
        lifecycle.cancel(lifecycle.request(spec_for(Kind.EMPTY), by=person), by=person)
    lifecycle.reject(lifecycle.request(spec_for(Kind.FORK), by=mara), by=tomas, comment="Not now.")
    figures.sum_up()


def total_on(answer) -> str:
    return answer.context["rows"].total


@pytest.mark.parametrize("zone", [None, "America/Los_Angeles", "Pacific/Kiritimati"])
def test_each_figure_and_each_bar_leads_to_exactly_its_rows(admin, ines, a_day, zone):
    """By the desk's days, whoever looks: their own day may have begun, or not."""
    ines.time_zone = zone
    ines.save()
    page = admin.get("/audit/numbers/").text
    links = FIGURE.findall(page) + BAR.findall(page)

    assert len(links) > 40
    wrong = {address: number for address, number in links if total_on(admin.get(unescape(address))) != number}
    assert wrong == {}


def numbers_lead_to(admin, *words: str) -> dict[str, Any]:
    """The rows behind the links whose address has these words."""
    addresses = map(unescape, re.findall(r'<a href="(/audit/[^"]*)"', admin.get("/audit/numbers/").text))
    chosen = [one for one in addresses if all(word in one for word in words)]
    return {one: admin.get(one).context["rows"] for one in chosen}


def test_what_a_lead_asked_for_and_others_approved_is_none_of_theirs(admin, a_day, tomas, otto, bridge_team, spec_for):
    Membership.objects.create(team=bridge_team, user=otto, email=otto.email, role=Membership.Role.LEAD)
    lifecycle.approve(lifecycle.request(spec_for(Kind.FORK, name="By Tomas"), by=tomas), by=otto)
    figures.sum_up()

    rows = numbers_lead_to(admin, "approvals-given", f"by={tomas.pk}")

    assert [{event.actor for event, _, _ in found} for found in rows.values()] == [{tomas}]


def test_what_failed_without_a_code_is_not_what_failed(admin, a_day, failed_fork, mara, spec_for):
    without = lifecycle.request(spec_for(Kind.EMPTY, name="No code"), by=mara)
    Operation.objects.filter(pk=without.pk).update(state="failed", finished_at=clock.now(), due_at=None)
    figures.sum_up()

    rows = numbers_lead_to(admin, "code=none")

    assert [[operation.pk for operation, _ in found] for found in rows.values()] == [[without.pk]]


def test_medians_and_buckets_lead_to_their_rows(admin, a_day):
    for words in (("sort=-duration", "kind=clone"), ("event=decisions", "kind=fork")):
        assert numbers_lead_to(admin, *words)
    [claimed] = numbers_lead_to(admin, "event=claimed", "kind=clone").values()
    assert claimed.total == "1"


def test_a_code_is_found_where_the_platform_said_it(admin, queued_clone):
    events.record("called", at=clock.now(), operation=queued_clone, note="x", code="RateLimitExceeded", status=429)

    rows = admin.get("/audit/", {"code": "RateLimitExceeded"}).context["rows"]

    assert [event.verb for event, _, _ in rows] == ["called"]


def test_an_id_in_what_is_known_of_an_event_is_found_by_text(admin, ines):
    imodel, itwin = "11110000-0000-4000-8000-00000000000a", "22220000-0000-4000-8000-00000000000b"
    events.record("made_outside", at=clock.now(), note="Jetty", itwin=itwin, imodel=imodel)
    events.record("signed_in", at=clock.now(), by=ines, request_id="ab" * 16)

    for word, verb in ((imodel.upper(), "made_outside"), (itwin, "made_outside"), ("ab" * 16, "signed_in")):
        assert [event.verb for event, _, _ in admin.get("/audit/", {"q": word}).context["rows"]] == [verb]


def test_a_team_has_what_it_did_under_another_name_and_nothing_of_another_team(
    admin, bridge_team, mara, ines, spec_for
):
    lifecycle.request(spec_for(Kind.FORK), by=mara)
    old = bridge_team.name
    bridge_team.name = "Renamed team"
    rights.save(bridge_team, by=ines)
    other = rights.save(Team(name=old), by=ines) or Team.objects.get(name=old)

    rows = admin.get("/audit/", {"team": "Renamed team"}).context["rows"]

    assert {event.verb for event, _, _ in rows} == {"requested", "team_renamed"}
    assert {event.data["team"] for event, _, _ in rows} == {bridge_team.pk}
    assert [event.data["team"] for event, _, _ in admin.get("/audit/", {"team": old}).context["rows"]] == [other.pk]


def test_numbers_ask_only_for_sums(admin, a_day, django_assert_max_num_queries):
    Operation.objects.update(finished_at=None)

    with django_assert_max_num_queries(30):
        answer = admin.get("/audit/numbers/")

    assert answer.context["figures"]["ended"] == 5


def test_the_menu_of_events_has_the_words_of_the_lines(admin, a_day):
    answer = admin.get("/audit/")
    menu = dict(answer.context["verbs"])
    lines = {event.verb: entry.badge for event, entry, _ in answer.context["rows"]}

    assert len(set(menu.values())) == len(menu)
    for verb in ("requested", "approved", "rejected", "succeeded"):
        assert menu[verb] == lines[verb]
    assert (menu["itwin_given"], menu["accepted"], menu["completed"]) == ("iTwin given", "Accepted", "Completed")


@pytest.mark.parametrize("days", ["since=2024-01-01", "since=2026-01-01&until=2026-06-30", "since=2030-01-01&until=x"])
def test_any_days_make_a_picture(admin, a_day, days):
    assert admin.get(f"/audit/numbers/?{days}").status_code == 200


def test_approvals_and_sign_ins_can_be_asked_for(admin, a_day, mara):
    events.record("signed_in", at=clock.now(), by=mara)

    for word, verbs in (("approvals", {"approved", "rejected"}), ("sign-ins", {"signed_in"})):
        shown = {event.verb for event, _, _ in admin.get("/audit/", {"event": word}).context["rows"]}
        assert shown == verbs


def test_a_person_has_all_that_they_did_asked_for_and_were_given(admin, a_day, tomas, bridge_team, otto):
    place = Membership(team=bridge_team, email=otto.email, role=Membership.Role.LEAD)
    rights.save(place, by=tomas)

    about_tomas, about_otto = (admin.get(f"/audit/people/{one.pk}/") for one in (tomas, otto))

    assert [event.verb for event, _, _ in about_tomas.context["rows"]] == ["role_given", "rejected", "approved"]
    assert {event.verb for event, _, _ in about_otto.context["rows"]} == {"role_given", "cancelled", "requested"}
    assert "Bridge team, lead" in about_otto.text


def test_an_itwin_has_its_operations_and_who_looked_after_it(admin, a_day, otto, tomas):
    team = otto.membership_set.get().team
    row = TeamITwin.objects.get(itwin_id=HARBOUR)
    row.team = team
    rights.save(row, by=tomas)

    answer = admin.get(f"/audit/itwins/{HARBOUR}/", follow=True)

    assert answer.context["events"].rows[0][0].verb == "itwin_moved"
    assert answer.context["events"].total == str(Event.objects.exclude(operation=None).count() + 1)
    assert "Transit team" in answer.text


def test_an_imodel_has_how_it_was_made_and_what_was_made_of_it(admin, a_day, succeeded_clone):
    made = admin.get(f"/audit/imodels/{succeeded_clone.imodel_id}/", follow=True)
    copied = admin.get(f"/audit/imodels/{MAIN_BRIDGE}/", follow=True)

    assert {event.operation_id for event, _, _ in made.context["events"]} == {succeeded_clone.pk}
    assert (made.context["name"], copied.context["name"]) == ("Pier 7 copy", "Main Bridge")
    assert {event.operation.kind for event, _, _ in copied.context["events"]} == {Kind.CLONE, Kind.FORK}


@pytest.mark.parametrize("sort", ["name", "-name", "age", "-age", "state", "-state", "duration", "-duration"])
def test_a_column_s_head_turns_its_order(admin, a_day, sort):
    answer = admin.get("/audit/operations/", {"sort": sort})
    column, way = sort.removeprefix("-"), "descending" if sort.startswith("-") else "ascending"

    asks, is_now = answer.context["sorts"][column]
    assert (asks.removeprefix("-"), is_now) == (column, way)
    assert asks != sort
    assert answer.text.count(f'aria-sort="{way}"') == 1


def test_the_case_has_it_all(admin, failed_fork, django_assert_max_num_queries):
    with django_assert_max_num_queries(25):
        page = admin.get(f"/audit/operations/{failed_fork.pk}/").text

    for told in (
        failed_fork.request_hash,
        failed_fork.imodel_id,
        "Try the seismic retrofit of pier 7.",
        "Fine.",
        "Leads of Bridge team now",
        "A request awaits approval",
        "Could decide on",
        '<span class="soft">(lead',
        "Forks need a lead",
        "mainIModelIsMissingFederationGuids",
    ):
        assert told in page


def test_the_case_says_who_was_told_and_in_which_chat_also_when_they_are_gone(
    admin, bridge_team, mara, tomas, ines, spec_for
):
    chat = Webhook.objects.create(team=bridge_team, chat=Chat.TEAMS, url="x", host="chat.example", fingerprint="1234")
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    [message] = ChatMessage.objects.all()
    chat.delete()
    tomas.messages.all().delete()
    Notification.objects.update(sent_at=clock.now())

    [told] = [one for one in admin.get(f"/audit/operations/{fork.pk}/").context["told"] if one.person is None]
    people = {one.person: one.message for one in admin.get(f"/audit/operations/{fork.pk}/").context["told"]}

    assert (told.name, told.message) == ("Microsoft Teams at chat.example", None)
    assert message.event.data["chats"] == [told.name]
    assert people[tomas.pk] is None


ASKED = ["event=approvals", "event=failed&kind=fork", "q=pier+fine", "q=mara", f"itwin={HARBOUR}", "person={tomas}"]


@pytest.mark.parametrize("query", ASKED)
def test_an_export_holds_what_the_page_of_events_shows(admin, a_day, tomas, query):
    query = query.format(tomas=tomas.pk)
    shown = [
        (event.verb, str(event.operation_id or "")) for event, _, _ in admin.get(f"/audit/?{query}").context["rows"]
    ]

    exported = [(row["verb"], row["operation_id"]) for row in table(admin.get(f"/audit/export?{query}"))]

    assert 0 < len(shown) < 25
    assert sorted(exported) == sorted(shown)


# ---------- saved filters ----------


def keep(client, name: str, query: str = "event=approvals&page=2&after=x"):
    return client.post(reverse("imodels:save-filter"), {"page": "events", "name": name, "query": query}, follow=True)


def test_a_filter_is_kept_under_a_name_that_means_one(admin, ines):
    for name, query in (("Approvals", "kind=fork"), ("approvals", "event=approvals&after=x"), ("  ", "q=1")):
        answer = keep(admin, name, query)

    assert list(ines.saved_filters.values_list("name", "query")) == [("approvals", "event=approvals")]
    assert "The filter needs a name" in answer.text
    assert "At most 100 characters; this has 101" in keep(admin, "x" * 101).text
    assert "Not saved. This has a hidden character" in keep(admin, "a\u202eb").text
    assert ines.saved_filters.count() == 1


def test_a_person_keeps_a_bounded_number_of_filters_and_only_their_own_are_there(admin, ines, tomas):
    SavedFilter.objects.create(owner=tomas, page="events", name="Of another", query="q=1")
    SavedFilter.objects.bulk_create(
        SavedFilter(owner=ines, page="events", name=f"Number {number}", query="q=1") for number in range(50)
    )

    answer = keep(admin, "One more")

    assert "you have 50 saved filters already" in answer.text
    assert "Of another" not in answer.text
    other = SavedFilter.objects.get(owner=tomas)
    assert admin.post(reverse("imodels:delete-filter", args=[other.pk])).status_code == 404


def test_anybody_keeps_views_of_the_table_of_operations_and_only_admins_of_the_audit(client, mara):
    client.force_login(mara)
    save, view = reverse("imodels:save-filter"), {"page": "table", "name": "My forks", "query": "whose=mine&kind=fork"}

    saved = client.post(save, view, follow=True)
    assert saved.request["QUERY_STRING"] == "whose=mine&kind=fork"
    [kept] = client.get(reverse("imodels:operation-list")).context["saved"]
    assert (kept.name, kept.query) == ("My forks", "whose=mine&kind=fork")
    assert client.post(save, view | {"page": "events"}).status_code == 404

    gone = client.post(reverse("imodels:delete-filter", args=[kept.pk]))
    assert gone["Location"] == reverse("imodels:operation-list")
    assert not mara.saved_filters.exists()
