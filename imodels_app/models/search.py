"""What a search looks into, and how its database finds it without reading all rows.

On PostgreSQL each of these columns is part of a trigram index (migrations/_search.py), which LIKE uses by itself.
SQLite has a table of trigrams beside each (search_index), which names the rows that LIKE then has to read.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from django.db import connection, models
from django.db.models import Q
from django.db.models.expressions import RawSQL

from imodels_app.models.events import Event
from imodels_app.models.operations import Operation

# The person's address, too: names change, and two people may share one.
OPERATION_WORDS = (
    "name",
    "itwin_name",
    "source_name",
    "source_itwin_name",
    "file_name",
    "requested_by_name",
    "requester_email",
)
# Also looked into by who searches for events.
OPERATION_REASONS = ("failure_code", "reason")
EVENT_WORDS = ("note", "operation_name", "actor_name", "actor_email", "team_name")
SEARCHED: dict[type[models.Model], tuple[str, ...]] = {
    Operation: OPERATION_WORDS + OPERATION_REASONS,
    Event: EVENT_WORDS,
}
# Shorter text has no trigram.
SHORTEST = 3


def index_of(model: type[models.Model]) -> str:
    """The table of trigrams, on SQLite."""
    return f"{model._meta.db_table}_words"


def containing(model: type[models.Model], columns: Sequence[str], text: str) -> Q:
    """The rows that have this text in one of these columns of SEARCHED, in whichever capitals."""
    found = reduce(or_, (Q(**{f"{column}__icontains": text}) for column in columns))
    if connection.vendor != "sqlite" or len(text) < SHORTEST:
        return found
    # It may name rows that had the text once, and rows that are gone: so LIKE has the last word.
    phrase, index = text.replace('"', '""'), index_of(model)
    trigrams = RawSQL(  # noqa: S611 - all but the text is ours
        f"SELECT id FROM {index} WHERE {index} MATCH %s",  # noqa: S608
        [f'{{{" ".join(columns)}}} : "{phrase}"'],
    )
    return Q(pk__in=trigrams) & found
