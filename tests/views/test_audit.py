"""The audit: for admins only, filtered by its address, exported exactly and safely."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.display import charts, formats
from imodels_app.models import Event, KnownITwin, Operation, User
from imodels_app.requesting.spec import ITwinRef
from imodels_app.states import Kind, State
from tests.exports import table

AUDIT, EXPORT = "/audit/", "/audit/export"


def verbs(answer) -> list[str]:
    return [event.verb for event, _, _ in answer.context["rows"]]


@pytest.mark.parametrize("address", [AUDIT, EXPORT])
def test_for_others_the_audit_does_not_exist(client, tomas, bridge_team, address):
    client.force_login(tomas)

    assert client.get(address).status_code == 404
    assert "Audit" not in client.get(reverse("imodels:operation-list")).content.decode()
    assert not Event.objects.filter(verb="exported").exists()


def test_an_admin_reads_events_newest_first(client, ines, failed_fork):
    client.force_login(ines)

    answer = client.get(AUDIT)

    assert verbs(answer) == ["failed", "accepted", "claimed", "approved", "requested"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=retrofit", 5),
        ("q=Fine", 1),
        ("q=mainIModelIsMissing", 5),
        ("q=nothing", 0),
        ("kind=fork", 5),
        ("kind=clone", 0),
        ("state=failed", 5),
        ("state=running", 0),
        ("team=Bridge team", 5),
        ("team=Transit team", 0),
        ("since=2020-01-01", 5),
        ("until=2020-01-01", 0),
        ("itwin=b2b00000-0000-4000-8000-000000000001", 5),
        ("person=x&kind=x&state=x&since=x", 5),
    ],
)
def test_filters_live_in_the_address(client, ines, failed_fork, query, found):
    client.force_login(ines)

    assert len(verbs(client.get(f"{AUDIT}?{query}"))) == found


@pytest.fixture
def more_than_the_lists_hold(queued_clone, mara, spec_for):
    """Operations in 201 iTwins and one that comes after them, and 201 people who come before Tomas."""
    User.objects.bulk_create(User(username=f"p{one}", first_name="Person", last_name=f"{one:03}") for one in range(201))
    facts = Operation.objects.filter(pk=queued_clone.pk).values().get()
    Operation.objects.bulk_create(
        Operation(**facts | {"id": uuid4(), "itwin_id": str(uuid4()), "itwin_name": f"iTwin {one:03}"})
        for one in range(201)
    )
    last = ITwinRef(id="b2b00000-0000-4000-8000-0000000000ff", name="Zeebrugge Lock")
    KnownITwin.objects.bulk_create(
        [KnownITwin(itwin_id=pk, name=name) for pk, name in Operation.objects.values_list("itwin_id", "itwin_name")],
        ignore_conflicts=True,
    )
    lifecycle.request(spec_for(Kind.EMPTY, name="Far", itwin=last), by=mara)


def test_the_export_says_who_decided_at_no_query_for_each_row(client, ines, failed_fork, django_assert_max_num_queries):
    client.force_login(ines)

    with django_assert_max_num_queries(32):
        lines = table(client.get(EXPORT))

    assert {line["decided_by"] for line in lines} == {"Tomas Novak"}


def test_a_list_that_is_not_whole_says_so_and_the_search_finds_the_rest(client, ines, more_than_the_lists_hold):
    client.force_login(ines)

    assert client.get(AUDIT).text.count("There are more: search to find them.") == 2
    assert [event.operation_name for event, _, _ in client.get(AUDIT, {"q": "zeebrugge"}).context["rows"]] == ["Far"]
    assert {row["operation"] for row in table(client.get(EXPORT, {"q": "zeebrugge"}))} == {"Far"}


def test_the_form_sends_again_what_is_picked_wherever_it_stands(client, ines, tomas, more_than_the_lists_hold):
    picked = {"itwin": "b2b00000-0000-4000-8000-0000000000ff", "person": str(tomas.pk), "team": "Dissolved team"}
    client.force_login(ines)

    answer = client.get(AUDIT, picked)

    assert f'<option value="{picked["itwin"]}" selected>Zeebrugge Lock</option>' in answer.text
    assert f'<option value="{tomas.pk}" selected>Tomas Novak</option>' in answer.text
    assert '<option value="Dissolved team" selected>Dissolved team</option>' in answer.text


def test_what_nobody_has_heard_of_stays_picked_too(client, ines, failed_fork):
    client.force_login(ines)

    answer = client.get(AUDIT, {"itwin": "no-such-itwin", "person": "999999"})

    assert '<option value="no-such-itwin" selected>no-such-itwin</option>' in answer.text
    assert '<option value="999999" selected>999999</option>' in answer.text


def test_a_person_is_who_acted_and_who_asked(client, ines, tomas, mara, failed_fork):
    client.force_login(ines)

    assert verbs(client.get(AUDIT, {"person": tomas.pk})) == ["approved"]
    assert len(verbs(client.get(AUDIT, {"person": mara.pk}))) == 5


def test_the_export_holds_exactly_the_filter_and_is_recorded(client, ines, failed_fork, otto, spec_for):
    lifecycle.request(spec_for(Kind.EMPTY, name="Not in the filter"), by=otto)
    client.force_login(ines)

    exported = table(client.get(EXPORT, {"kind": "fork"}))

    assert [row["verb"] for row in exported] == ["requested", "approved", "claimed", "accepted", "failed"]
    assert {row["operation"] for row in exported} == {"Pier 7 retrofit"}
    assert exported[0]["operation_id"] == str(failed_fork.pk)
    assert exported[-1]["code"] == "mainIModelIsMissingFederationGuids"
    record = Event.objects.get(verb="exported")
    assert (record.actor, record.data["rows"], record.note) == (ines, 5, "5 events: fork")


def test_a_head_of_an_export_takes_nothing_and_records_nothing(client, ines, failed_fork):
    client.force_login(ines)

    answer = client.head(EXPORT)

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert not Event.objects.filter(verb="exported").exists()


def test_a_cell_is_never_a_formula(client, ines, mara, bridge_team, spec_for):
    lifecycle.request(spec_for(Kind.EMPTY, name='=HYPERLINK("https://evil.example")'), by=mara)
    client.force_login(ines)

    assert table(client.get(EXPORT))[0]["operation"].startswith("'=HYPERLINK")


def test_a_chart_stacks_each_day_by_how_it_ended():
    monday, tuesday = date(2026, 11, 16), date(2026, 11, 17)

    picture = charts.days(
        monday,
        tuesday,
        [
            (monday, State.SUCCEEDED, 3),
            (monday, State.EXPIRED, 1),
            (monday, State.FAILED, 1),
            (tuesday, State.FAILED, 2),
        ],
    )

    assert [bar.tone for bar in picture.bars] == ["good", "calm", "bad", "bad"]
    assert (picture.total, picture.failed) == (7, 3)
    assert [tick.label for tick in picture.labels] == ["16", "17"]
    assert min(bar.y for bar in picture.bars) >= charts.TOP


@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 99, 101, 4321])
def test_a_chart_is_high_enough_for_its_days(number):
    day = date(2026, 11, 16)

    picture = charts.days(day, day, [(day, State.SUCCEEDED, number)] if number else [])

    assert all(charts.TOP <= bar.y <= charts.BOTTOM for bar in picture.bars)


@pytest.mark.parametrize("longest", [timedelta(seconds=3), timedelta(minutes=9), timedelta(hours=5), timedelta(0)])
def test_durations_fit_their_axis(longest):
    picture = charts.durations([("Fork", longest / 2, longest), ("Empty", timedelta(0), longest / 3)], formats.lasted)

    places = [place for one in picture.ranges for place in (one.median, one.p95)]
    assert all(picture.scale[0].at <= place <= picture.scale[-1].at for place in places)
    assert "fork" in picture.title
