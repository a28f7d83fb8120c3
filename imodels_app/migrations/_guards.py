"""What only a trigger can refuse: a CHECK sees one row, and neither what it was nor what it belongs to.

One mechanism for PostgreSQL and SQLite. A composite foreign key (operation, hash) would do for the hash, but SQLite
cannot add one to a table, Django does not know of it when it rebuilds that table, and it refuses no edit.

On SQLite Django alters most things by rebuilding their table, which loses the table's triggers and fails while a
trigger of another table names it. A later migration of these tables begins with RunPython(take_down, put_up) and ends
with RunPython(put_up, take_down). What is written here is applied: a guard that changes gets a new module.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Guard:
    """before: which change, on which table; refused_if: a condition on OLD and NEW."""

    name: str
    before: str
    refused_if: str
    sentence: str

    def created(self, vendor: str) -> list[str]:
        if vendor == "sqlite":
            refuse = f"SELECT RAISE(ABORT, '{self.sentence}')"
            return [f"CREATE TRIGGER {self.name} BEFORE {self.before} WHEN {self.refused_if} BEGIN {refuse}; END"]
        refuse = f"RAISE EXCEPTION '{self.sentence}' USING ERRCODE = 'integrity_constraint_violation'"
        body = f"BEGIN IF {self.refused_if} THEN {refuse}; END IF; RETURN NEW; END"
        return [
            f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE TRIGGER {self.name} BEFORE {self.before} FOR EACH ROW EXECUTE FUNCTION {self.name}()",
        ]

    def dropped(self, vendor: str) -> str:
        return f"DROP TRIGGER {self.name}" if vendor == "sqlite" else f"DROP FUNCTION {self.name}() CASCADE"


REQUEST = ("kind", "requested_by_id", "requester_key", "request_path", "request_body", "request_hash")
GUARDS = [
    Guard(
        "operation_keeps_its_request",
        f"UPDATE OF {', '.join(REQUEST)} ON imodels_app_operation",
        " OR ".join(f"OLD.{column} <> NEW.{column}" for column in REQUEST),
        "A request is never edited.",
    ),
    Guard(
        "decision_fits_its_request",
        "INSERT ON imodels_app_decision",
        "NOT EXISTS (SELECT 1 FROM imodels_app_operation"
        " WHERE id = NEW.operation_id"
        " AND requested_by_id = NEW.requested_by_id"
        " AND requester_key = NEW.requester_key"
        " AND request_hash = NEW.request_hash)",
        "A decision is about its own request.",
    ),
    Guard("decision_is_never_edited", "UPDATE ON imodels_app_decision", "true", "A decision is never edited."),
]


def put_up(apps: Any, editor: Any) -> None:
    for guard in GUARDS:
        for statement in guard.created(editor.connection.vendor):
            editor.execute(statement, params=None)


def take_down(apps: Any, editor: Any) -> None:
    for guard in GUARDS:
        editor.execute(guard.dropped(editor.connection.vendor), params=None)
