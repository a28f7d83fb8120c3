"""What a date says: its year when it is not this one, and a deadline its zone, wherever it is read."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.db.models import DateTimeField, F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.display import formats
from imodels_app.models import Notification, Operation
from imodels_app.notifications import texts
from imodels_app.requesting import presets, staging
from imodels_app.states import Kind, NotificationKind
from imodels_app.tables import filters
from tests.pages import every_page
from tests.triggers import triggers_off

NOW = datetime(2026, 11, 18, 9, 42, 20, tzinfo=UTC)
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
A_DAY = re.compile(rf"\b\d{{1,2}} (?:{MONTHS})\b(?! \d{{4}})")
LONG_AGO = timedelta(days=800)


@pytest.fixture
def years_ago(waiting_fork, failed_fork, succeeded_clone, mara, tomas, ines, spec_for, settings, tmp_path):
    """Everything happened 800 days ago."""
    settings.STAGING_DIR = tmp_path
    lifecycle.request(spec_for(Kind.FORK, name="Undecided"), by=mara)
    staging.announce(name="pier.bim", size=1000, owner=mara)
    presets.save(Kind.CLONE, "Monthly", {"name": "Pier"}, by=mara, team=None)
    with triggers_off():
        for model in apps.get_app_config("imodels_app").get_models():
            times = [one.name for one in model._meta.local_fields if isinstance(one, DateTimeField)]
            model._default_manager.update(**{column: F(column) - LONG_AGO for column in times})
    return Operation.objects.all()


def visible(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<(script|style|template).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL))


@pytest.mark.django_db
def test_what_happened_in_another_year_says_the_year_on_every_page(years_ago, mara, tomas, ines):
    clients = {one: Client() for one in (mara, tomas, ines)}
    for one, client in clients.items():
        client.force_login(one)
    walked = every_page(clients)
    addresses = ["/operations/?since=2024-01-31&until=2024-02-28", "/operations/?ended=2024-02-29", "/new/baseline/"]
    for operation in years_ago:
        names = ("operation-detail", "lineage", "approval-detail", "orphan-detail", "audit-case")
        addresses += [reverse(f"imodels:{name}", args=[operation.pk]) for name in names]
        addresses.append(f"/new/{operation.kind}/?from={operation.pk}")
    # On which the test itself has signed in and looked.
    around = (timezone.now() + timedelta(days=days) for days in range(-9, 9))
    these_days, dates = {f"{day.day} {day:%b}" for day in around}, 0
    for one, client in clients.items():
        for address in [*walked[one], *(addresses if one == ines else ())]:
            page = visible(client.get(address).text)
            dates += len(re.findall(rf"\d{{1,2}} (?:{MONTHS}) 20\d\d", page))
            long_ago = {*A_DAY.findall(page)} - these_days
            assert not long_ago, f"{address}: {long_ago}"
    assert dates > 40


@pytest.mark.parametrize(
    ("write", "this_year", "another"),
    [
        (formats.day_time, "Fri 20 Nov 17:00", "Thu 20 Nov 2025 17:00"),
        (formats.audit_time, "20 Nov 17:00:05", "20 Nov 2025 17:00:05"),
        (formats.history_time, "20 Nov 17:00:05", "20 Nov 2025 17:00:05"),
        (formats.weekday, "Fri 20 Nov", "Thu 20 Nov 2025"),
        (formats.deadline, "Fri 20 Nov 17:00 UTC", "Thu 20 Nov 2025 17:00 UTC"),
        (formats.moment, "Fri 20 Nov 17:00", "20 Nov 2025"),
    ],
)
def test_every_way_to_write_a_date_has_the_year_when_it_is_another_one(write, this_year, another):
    assert write(datetime(2026, 11, 20, 17, 0, 5, tzinfo=UTC), NOW) == this_year
    assert write(datetime(2025, 11, 20, 17, 0, 5, tzinfo=UTC), NOW) == another


def test_the_next_year_is_another_one_too():
    silvester = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)

    assert formats.moment(silvester + timedelta(hours=9), silvester) == "Fri 1 Jan 2027 08:00"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"since": "2024-02-29"}, "Since Thu 29 Feb 2024"),
        ({"until": "2024-02-29"}, "Until Thu 29 Feb 2024"),
        ({"since": "2024-02-29", "until": "2024-03-01"}, "Thu 29 Feb 2024 to Fri 1 Mar 2024"),
        ({"ended": "2024-02-29"}, "Ended Thu 29 Feb 2024"),
    ],
)
@pytest.mark.django_db
def test_a_filter_by_days_says_which(client, mara, query, words):
    client.force_login(mara)

    assert words in client.get("/operations/", query).text


ZONES = [
    ("UTC", "UTC"),
    ("Europe/Copenhagen", "CES?T"),
    ("America/Sao_Paulo", "UTC-03"),
    ("Asia/Kathmandu", r"UTC\+0545"),
]


@pytest.mark.parametrize(("zone", "name"), ZONES)
@pytest.mark.parametrize("kind", NotificationKind.values)
@pytest.mark.django_db
def test_every_time_in_a_mail_names_its_zone(waiting_fork, tomas, settings, zone, name, kind):
    settings.TIME_ZONE = zone

    subject, text = texts.subject_and_text([Notification(operation=waiting_fork, to=tomas, kind=kind)])

    times = re.findall(r"\d\d:\d\d(.{0,9})", subject + text)
    assert all(re.match(f" {name}", rest) for rest in times)
    assert times or kind != NotificationKind.REQUESTED


@pytest.mark.parametrize(("zone", "name"), ZONES)
@pytest.mark.django_db
def test_a_deadline_on_a_page_names_its_zone(waiting_fork, client, mara, tomas, settings, tmp_path, zone, name):
    settings.TIME_ZONE, settings.STAGING_DIR = zone, tmp_path
    staging.announce(name="pier.bim", size=1000, owner=mara)
    deadline = rf"{{}}[^<]*\d\d:\d\d {name}"
    client.force_login(mara)
    assert re.search(deadline.format("decides by"), client.get("/operations/").text)
    assert re.search(deadline.format("Kept until"), client.get("/new/baseline/").text)
    client.force_login(tomas)
    for address in ("/approvals/", f"/approvals/{waiting_fork.pk}/"):
        assert re.search(deadline.format("<time [^>]*>"), client.get(address).text)


# ---------- search ----------


@pytest.fixture
def several(bridge_team, mara, tomas, spec_for):
    return [
        lifecycle.request(spec_for(Kind.CLONE, name="Pier 7 north"), by=mara),
        lifecycle.request(spec_for(Kind.EMPTY, name="Pier 8"), by=mara),
        lifecycle.request(spec_for(Kind.CLONE, name="Deck"), by=tomas),
    ]


FOUND = [
    ("Lindqvist Main", ["Pier 7 north"]),
    ("main LINDQVIST", ["Pier 7 north"]),
    ("Main Bridge", ["Pier 7 north", "Deck"]),
    ("bridge main tomas", ["Deck"]),
    ("north 7", ["Pier 7 north"]),
    ("  pier \t pier  ", ["Pier 7 north", "Pier 8"]),
    ("harbour mara 8", ["Pier 8"]),
    ("mara.lindqvist@harbour.example pier", ["Pier 7 north", "Pier 8"]),
    ("novak c3c00000", ["Deck"]),
    ("main nothing", []),
    ("a " * 2000, ["Pier 7 north", "Deck", "Pier 8"]),
]


@pytest.mark.parametrize(("typed", "names"), FOUND, ids=lambda value: str(value)[:24])
@pytest.mark.django_db
def test_words_in_any_order_find_an_operation_by_name_source_and_person(several, client, ines, typed, names):
    client.force_login(ines)

    rows = client.get("/operations/", {"q": typed}).context["rows"]
    events = client.get("/audit/", {"q": typed}).context["rows"]

    assert {row.operation.name for row in rows} == set(names)
    assert {event.operation_name for event, _, _ in events} == set(names)


@pytest.mark.django_db
def test_a_search_of_many_words_is_one_query_of_a_bounded_size(several, mara):
    words = list(filters.said(" ".join(map(str, range(5000))), filters.named))

    assert len(words) == filters.MOST_WORDS
