"""Each change that a live page may show is written down with it (models.changes), whoever makes it: by trigger.

By the program it would miss what goes past `lifecycle`: the progress of an upload, rights, another release. Nothing is
locked, so nobody waits for anybody. A migration that alters one of these tables drops these triggers first and creates
them at its end, as those of _data_and_triggers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations._data_and_triggers import EVENT, OPERATION, TEAM

CHANGE, UPLOAD, ORPHAN = "imodels_app_change", "imodels_app_upload", "imodels_app_orphan"
LOOK, ABSENCE, TOKENS = "imodels_app_look", "imodels_app_absence", "imodels_app_tokenset"
USER, MEMBERSHIP, TEAM_ITWIN = "imodels_app_user", "imodels_app_membership", "imodels_app_teamitwin"
BUCKET, ATTEMPT, BREAKER = "imodels_app_bucket", "imodels_app_attempt", "imodels_app_circuitbreaker"
COLUMNS = "about, operation_id, person_id, team_id, is_asking, is_queued, number, at"
NUMBER = {
    "postgresql": "pg_current_xact_id()::text::bigint, statement_timestamp()",
    "sqlite": f"COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{CHANGE}'), 0) + 1,"
    " strftime('%Y-%m-%d %H:%M:%f', 'now')",
}
MADE = "'operation', NEW.id, NEW.requested_by_id, NEW.team_id, NEW.state = 'awaiting_approval', NEW.state = 'queued'"
CHANGED = (
    "'operation', NEW.id, NEW.requested_by_id, NEW.team_id, 'awaiting_approval' IN (OLD.state, NEW.state),"
    " 'queued' IN (OLD.state, NEW.state)"
)
LEFT = "'operation', NEW.id, NEW.requested_by_id, OLD.team_id, 'awaiting_approval' IN (OLD.state, NEW.state), false"
OF_ITS_OPERATION = (
    "'operation', id, requested_by_id, team_id, state = 'awaiting_approval', false, {number}"
    f" FROM {OPERATION} WHERE id = NEW.operation_id"
)


@dataclass(frozen=True)
class Noted:
    """A change of a table, and the row that it leaves. only_if: a condition on OLD and NEW."""

    name: str
    after: str
    row: str
    only_if: str = "true"

    def created(self, vendor: str) -> Iterator[str]:
        row = self.row if "{number}" in self.row else f"{self.row}, {{number}}"
        insert = f"INSERT INTO {CHANGE} ({COLUMNS}) SELECT {row.format(number=NUMBER[vendor])}"
        on = f"CREATE TRIGGER {self.name} AFTER {self.after}"
        if vendor == "sqlite":
            yield f"{on} WHEN {self.only_if} BEGIN {insert}; END"
            return
        body = f"BEGIN {insert}; RETURN NULL; END"
        yield f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
        yield f"{on} FOR EACH ROW WHEN ({self.only_if}) EXECUTE FUNCTION {self.name}()"

    def dropped(self, vendor: str) -> str:
        return f"DROP TRIGGER {self.name}" if vendor == "sqlite" else f"DROP FUNCTION {self.name}() CASCADE"


def _about(about: str) -> str:
    return f"'{about}', NULL, NULL, NULL, false, false"


def _differs(*columns: str) -> str:
    """Also from NULL. In words that every SQLite knows."""
    sides = ((f"COALESCE(CAST({side}.{column} AS text), '')" for side in ("OLD", "NEW")) for column in columns)
    return " OR ".join(" <> ".join(pair) for pair in sides)


def _rights() -> Iterator[Noted]:
    for table, name in ((MEMBERSHIP, "membership"), (TEAM_ITWIN, "team_itwin"), (ABSENCE, "absence")):
        for change in ("INSERT", "UPDATE", "DELETE"):
            yield Noted(f"{name}_{change.lower()}_noted", f"{change} ON {table}", _about("rights"))
    yield Noted("team_noted", f"UPDATE ON {TEAM}", _about("rights"))
    yield Noted("person_noted", f"INSERT ON {USER}", _about("rights"))
    yield Noted("scope_noted", f"UPDATE ON {TOKENS}", _about("rights"), _differs("scope"))
    columns = _differs("first_name", "last_name", "email", "is_active", "is_staff", "is_superuser")
    yield Noted("person_changed_noted", f"UPDATE ON {USER}", _about("rights"), columns)


TRIGGERS = [
    Noted("operation_noted", f"INSERT ON {OPERATION}", MADE),
    Noted("operation_changed_noted", f"UPDATE ON {OPERATION}", CHANGED, "OLD.version <> NEW.version"),
    Noted("operation_left_noted", f"UPDATE ON {OPERATION}", LEFT, "OLD.team_id <> NEW.team_id"),
    # Not its lease, which is renewed each second.
    Noted("upload_noted", f"UPDATE ON {UPLOAD}", OF_ITS_OPERATION, "OLD.sent_bytes <> NEW.sent_bytes"),
    Noted("orphan_noted", f"INSERT ON {ORPHAN}", OF_ITS_OPERATION),
    Noted("orphan_changed_noted", f"UPDATE ON {ORPHAN}", OF_ITS_OPERATION, "OLD.version <> NEW.version"),
    # A comment is no new version.
    Noted("comment_noted", f"INSERT ON {EVENT}", OF_ITS_OPERATION, "NEW.verb = 'commented'"),
    Noted("look_noted", f"INSERT ON {LOOK}", OF_ITS_OPERATION),
    Noted("look_changed_noted", f"UPDATE ON {LOOK}", OF_ITS_OPERATION),
    Noted("look_ended_noted", f"DELETE ON {LOOK}", OF_ITS_OPERATION.replace("NEW", "OLD")),
    *_rights(),
    Noted("attempt_noted", f"INSERT ON {ATTEMPT}", _about("limits")),
    # Not the calls, which are counted each.
    Noted("bucket_noted", f"UPDATE ON {BUCKET}", _about("limits"), _differs("frozen_until")),
    Noted("outage_noted", f"UPDATE ON {BREAKER}", _about("outage"), _differs("failing_since", "open_until")),
]


def create_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in TRIGGERS:
        for statement in trigger.created(vendor):
            schema_editor.execute(statement, params=None)


def drop_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in TRIGGERS:
        schema_editor.execute(trigger.dropped(vendor), params=None)
