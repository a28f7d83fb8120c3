"""A desk with as many operations as one likes, for what is measured at size: committed, so that processes see them.

Each size has a database of its own on the PostgreSQL of the run, a copy of the tests' one, and is made once: nobody
flushes it. With DATABASE_URL naming a PostgreSQL of one's own and --reuse-db it is kept from one run to the next.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connection, transaction

from imodels_app import lifecycle
from imodels_app.accounts.sessions import SessionStore
from imodels_app.models import KnownITwin, Membership, Operation, Team, TeamITwin, User
from imodels_app.requesting.spec import CreationSpec, ITwinRef
from imodels_app.states import Kind
from tests.audit.test_speed import DRAWN, OPERATION, _fill, _without_indexes

SIZE = int(os.environ.get("BENCH_OPERATIONS", "1000000"))
PEOPLE, TEAMS, ITWINS = 1000, 20, 1000
# The newest are not over: running, queued, or waiting for a decision.
OPEN = 500
STATE = f"""CASE WHEN d.n <= %(size)s - {OPEN} THEN d.state
  ELSE (ARRAY['running', 'running', 'running', 'queued', 'awaiting_approval'])[1 + mod(d.n, 5)] END"""


def itwin(number: int) -> str:
    return f"b2b00000-0000-4000-9000-{number:012}"


@dataclass(frozen=True)
class Desk:
    """Everybody is in team number (person modulo TEAMS) and the first of each leads it; the admin is in none."""

    people: list[User]
    admin: User

    @property
    def engineer(self) -> User:
        return self.people[TEAMS + 7]

    @property
    def lead(self) -> User:
        return self.people[7]

    @property
    def readers(self) -> list[tuple[str, User, str]]:
        """Who looks at how much: a name, the person, and the tab."""
        return [("engineer", self.engineer, "mine"), ("lead", self.lead, "team"), ("admin", self.admin, "all")]


@contextmanager
def desk(size: int) -> Iterator[Desk]:
    """Connected to its database, which is made if it is not there yet."""
    tests = connection.settings_dict["NAME"]
    name = f"{tests}_{size}"
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if not cursor.fetchone():
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{tests}"')
    connection.settings_dict["NAME"] = name
    try:
        yield _desk(size)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = tests


def _desk(size: int) -> Desk:
    if not User.objects.filter(username="admin").exists():
        _people()
    people = list(User.objects.filter(username__startswith="p").order_by("pk"))
    made = Desk(people, User.objects.get(username="admin"))
    if not Operation.objects.exists():
        _operations(made, size)
    return made


def session_of(person: User) -> str:
    """The cookie of a session in which this person is signed in."""
    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def _people() -> None:
    User.objects.create(username="admin", email="admin@harbour.example", is_staff=True, first_name="Ada")
    numbers = range(PEOPLE)
    people = User.objects.bulk_create(
        User(username=f"p{n:04}", first_name="Person", last_name=str(n), email=f"p{n}@harbour.example") for n in numbers
    )
    teams = Team.objects.bulk_create(Team(name=f"Team {n}") for n in range(TEAMS))
    roles = [Membership.Role.LEAD if n < TEAMS else Membership.Role.MEMBER for n in numbers]
    Membership.objects.bulk_create(
        Membership(team=teams[n % TEAMS], user=people[n], email=people[n].email, role=roles[n]) for n in numbers
    )
    TeamITwin.objects.bulk_create(TeamITwin(team=teams[n % TEAMS], itwin_id=itwin(n)) for n in range(ITWINS))
    KnownITwin.objects.bulk_create(KnownITwin(itwin_id=itwin(n), name=f"Corridor {n}") for n in range(ITWINS))


def _operations(made: Desk, size: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("TRUNCATE imodels_app_operation CASCADE")
        spec = CreationSpec(kind=Kind.EMPTY, name="Like", itwin=ITwinRef(id=itwin(0), name="Corridor 0"))
        like = lifecycle.request(spec, by=made.people[0])
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        indexes = _without_indexes(cursor)
        first = made.people[0].pk
        team = f"{Team.objects.get(name='Team 0').pk} + mod(d.person - {first}, {TEAMS})"
        is_open = f"d.n > {size} - {OPEN}"
        own = {
            "state": STATE.replace("%(size)s", str(size)),
            "team_id": team,
            "name": f"d.name || CASE WHEN {is_open} THEN ' ' || d.n ELSE '' END",
            "finished_at": f"CASE WHEN NOT {is_open} THEN d.at + d.took END",
            "due_at": f"CASE WHEN {is_open} AND mod(d.n, 5) <> 4 THEN now() + interval '1 day' END",
            "expires_at": f"CASE WHEN {is_open} AND mod(d.n, 5) = 4 THEN now() + interval '7 days' END",
        }
        drawn = DRAWN.replace("random() ^ 2 * 1999", f"random() ^ 2 * {PEOPLE - 1}")
        cursor.execute(drawn, {"size": size - 1, "person": first, "team": 0})
        _fill(cursor, Operation, like.pk, OPERATION | own, "drawn AS d ORDER BY d.n")
        cursor.execute("DROP TABLE drawn")
        known = "SELECT DISTINCT source_id, source_name FROM imodels_app_operation WHERE source_name <> ''"
        cursor.execute(f"INSERT INTO imodels_app_knownsource (imodel_id, name) {known} ON CONFLICT DO NOTHING")
        for index in indexes:
            cursor.execute(index)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
