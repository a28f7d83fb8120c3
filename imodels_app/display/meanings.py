"""What each badge means, in one plain sentence: for the help page."""

from imodels_app.display.status_table import FAILURES, ORPHANS, STATUSES, StatusRow

# By badge; of "Failed: name taken" by what stands before the colon.
MEANINGS = {
    "Awaiting approval": "A rule asks people to decide about it. Nothing is sent before they agree.",
    "Changes requested": "Whoever decides wants something changed. Its requester changes it and sends it again.",
    "Queued": "It waits for its turn, for a date, or until the platform answers, and is sent by itself.",
    "Waiting for sign-in": "iModel Desk may no longer act for its requester. It goes on once they sign in again.",
    "Submitting": "The request is on its way to the platform.",
    "Checking": "The platform’s answer was lost. iModel Desk looks for what was made, and never sends twice.",
    "Uploading": "Its file is being brought to the platform. The page need not stay open.",
    "Running": "The platform is making it. You can leave: it goes on, and a message comes when it ends.",
    "Usable now": "The iModel can be used. The platform still makes what speeds up viewing.",
    "Unknown state": "The platform calls its state by a word that iModel Desk does not know. Administrators are told.",
    "Waiting for somebody": "Its requester’s account is closed: a lead or administrator has to sign in to follow it.",
    "Succeeded": "The iModel is there.",
    "Failed": "It was not made. The badge says why, and the operation’s page what to do.",
    "Rejected": "Whoever decides said no, and why. Nothing was sent.",
    "Expired": "Nobody decided, or signed in again, in time. Nothing more is sent.",
    "Cancelled": "It was withdrawn or cancelled before it was sent.",
    "Orphaned": "A failed operation left this iModel on the platform. It is of no use, but keeps its name taken.",
    "Usable after all": "A failed operation left this iModel, and the platform says that it can be used.",
    "Deleting": "Somebody asked for an orphaned iModel to be deleted, and the platform has not confirmed it yet.",
    "Deleted": "The orphaned iModel is deleted, and its name is free.",
    "Already gone": "The orphaned iModel was no longer there, and its name is free.",
}


def badges() -> list[tuple[StatusRow, str]]:
    """One row of each badge, with what it means, in the order in which one meets them."""
    rows = [*STATUSES.values(), FAILURES[""], *ORPHANS.values()]
    first = {row.badge: row for row in reversed(rows)}
    return [(first[badge], sentence) for badge, sentence in MEANINGS.items()]
