"""What a search looks into. On PostgreSQL each of these columns is part of a trigram index (migrations/_search.py)."""

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
EVENT_WORDS = ("note", "operation_name", "actor_name", "actor_email", "team_name")
