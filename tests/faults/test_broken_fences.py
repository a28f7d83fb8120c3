"""Each fence is taken away from a copy of the program, and the tests must notice: a fence that nobody misses is none.

By test_fences.py each one is missed for sure. By random schedules those are that a few hundred of them meet.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.settings import BASE_DIR

pytestmark = pytest.mark.soak

COPIED = ("dashboard", "demo", "imodels_app", "sandbox", "templates", "static", "tests", "manage.py", "pyproject.toml")
SCHEDULES = "200"


@dataclass(frozen=True)
class Fence:
    """What stands where (a pattern of file names), what is left when it is gone, and what the tests say then."""

    where: str
    stands: str
    gone: str
    missed: str


FENCES = {
    "the row's version": Fence(
        "lifecycle/_transition.py",
        'for name in ("state", "version") if',
        'for name in ("state",) if',
        "ended without knowing of its iModel",
    ),
    "the row's state and version": Fence(
        "lifecycle/_transition.py",
        "filter(pk=row.pk, **as_read).update(",
        "filter(pk=row.pk).update(",
        "sent|ended without knowing|history",
    ),
    "the upload's version": Fence(
        "lifecycle/_transition.py",
        "if hasattr(row, name)}",
        "if hasattr(row, name) and not isinstance(row, Upload)}",
        "its file is still to be uploaded",
    ),
    "the orphan's version": Fence(
        "lifecycle/_transition.py",
        "if hasattr(row, name)}",
        'if hasattr(row, name) and (name == "state" or not isinstance(row, Orphan))}',
        "two workers were at one orphan",
    ),
    "the last look at a claim": Fence(
        "workers/submit.py",
        "        lifecycle.confirm_claim(self._operation, self._attempt)\n",
        "",
        "was sent again after the platform had made",
    ),
    "the version in that look": Fence(
        "lifecycle/submission.py",
        "filter(pk=operation.pk, state=State.SUBMITTING, version=operation.version)\n",
        "filter(pk=operation.pk)\n",
        "was sent again after the platform had made",
    ),
    "how long a claim lasts": Fence(
        "runtime/timing.py",
        "CLAIM_LASTS = timedelta(seconds=10)",
        "CLAIM_LASTS = timedelta(days=1)",
        "an old claim was sent",
    ),
    "how long a lost answer is waited for": Fence(
        "runtime/timing.py",
        "NEVER_ARRIVED_AFTER = timedelta(seconds=95)",
        "NEVER_ARRIVED_AFTER = timedelta(0)",
        "was sent again after",
    ),
    "whose iModel it is": Fence(
        "workers/adoption.py",
        "return creator_id.casefold() == operation.requested_by.subject.casefold()",
        "return bool(creator_id)",
        "which its requests did not make",
    ),
    "what it was made from": Fence(
        "workers/adoption.py",
        "return creation.is_clone and creation.made_from == operation.source_id",
        "return True",
        "which its requests did not make",
    ),
    "when it was made": Fence(
        "workers/adoption.py",
        "if first is None or _made_at(platform, found.created_at) < first.sent_at - _precision(platform):",
        "if first is None:",
        "which its requests did not make",
    ),
    "a 409 that may be our own doing": Fence(
        "workers/submit.py",
        "if about_the_name and operation.attempts.filter(outcome__in=MAYBE_THERE).exists():",
        "if about_the_name and operation.attempts.filter(outcome=Outcome.ACCEPTED).exists():",
        "ended without knowing of its iModel",
    ),
    "a dead worker's attempt counts as lost": Fence(
        "workers/reconcile.py",
        '    lifecycle.answered(last, Outcome.UNKNOWN, answer="The worker died, or its answer was lost.")\n',
        "",
        "ended without knowing of its iModel",
    ),
    "what was sent once is not called off": Fence(
        "lifecycle/decisions.py",
        "    if operation.attempts.filter(outcome__in=MAYBE_THERE).exists():\n        raise Conflict(",
        "    if operation.attempts.filter(number=0).exists():\n        raise Conflict(",
        "ended without knowing of its iModel",
    ),
    "what was approved is what is sent": Fence(
        "lifecycle/submission.py",
        "    if not _approval_holds(operation, drafts.hash_of(operation)):",
        "    if operation.plan.asks_people and not operation.decisions.exists():",
        "it was claimed without an approval",
    ),
    "what was approved is what leaves": Fence(
        "lifecycle/submission.py",
        "is_approved = row is not None and _approval_holds(row, attempt.body_hash)",
        "is_approved = row is not None",
        "was sent without the approvals it needs",
    ),
    "the requester's account": Fence(
        "migrations/0*.py",
        'models.Q(("by", models.F("requested_by")), _negated=True)',
        'models.Q(("verdict", ""), _negated=True)',
        "DID NOT RAISE",
    ),
    "the requester's lasting key": Fence(
        "migrations/0*.py",
        'models.Q(("by_key", models.F("requester_key")), _negated=True)',
        'models.Q(("verdict", ""), _negated=True)',
        "DID NOT RAISE",
    ),
    "one decision a person": Fence(
        "migrations/0*.py",
        'fields=("operation", "request_hash", "by_key")',
        'fields=("operation", "request_hash", "by_key", "verdict")',
        "DID NOT RAISE",
    ),
    "whose hash a decision has": Fence(
        "migrations/_data_and_triggers.py", '" AND request_hash = NEW.request_hash)"', '")"', "DID NOT RAISE"
    ),
    "whom a decision names as its requester": Fence(
        "migrations/_data_and_triggers.py",
        '        " AND requested_by_id = NEW.requested_by_id"\n        " AND requester_key = NEW.requester_key"\n',
        "",
        "DID NOT RAISE",
    ),
    "a decision is never edited": Fence(
        "migrations/_data_and_triggers.py",
        'f"UPDATE ON {DECISION}", KEEPS_DECISIONS)',
        'f"UPDATE ON {DECISION}", KEEPS_DECISIONS, "false")',
        "DID NOT RAISE",
    ),
    "a request is never edited": Fence(
        "migrations/_approval_triggers.py",
        'f"{_differs(WHOSE)} OR (({_differs(EDITED)})"',
        'f"false AND (({_differs(EDITED)})"',
        "DID NOT RAISE",
    ),
    "the lease to refresh": Fence(
        "accounts/tokens.py",
        "free = Q(refreshing_until=None) | Q(refreshing_until__lt=now) | Q(refreshing_until__gt=",
        "free = Q(pk__gt=0) | Q(refreshing_until__gt=",
        "a refresh token that it had taken back",
    ),
    "nobody has refreshed since": Fence(
        "accounts/tokens.py",
        "pk=row.pk, obtained_at=row.obtained_at, sign_in_needed=False)",
        "pk=row.pk, sign_in_needed=False)",
        "a refresh token that it had taken back",
    ),
    "whose lease it is": Fence(
        "accounts/tokens.py",
        "mine = TokenSet.objects.filter(pk=row.pk, refreshing_by=row.refreshing_by)",
        "mine = TokenSet.objects.filter(pk=row.pk)",
        "the token of the new sign-in was overwritten",
    ),
    "an event is not changed": Fence(
        "migrations/_address_triggers.py",
        """return f"NOT ({kept} AND NEW.actor_email = '' AND""",
        """return "false" or f"NOT ({kept} AND NEW.actor_email = '' AND""",
        "its history was rewritten",
    ),
    "an event is not deleted": Fence(
        "migrations/_data_and_triggers.py",
        '    Trigger("event_delete", f"DELETE ON {EVENT}", KEEPS_EVENTS),\n',
        "",
        "its history was rewritten",
    ),
}
# What some hundred random schedules meet by chance.
MET_BY_CHANCE = [
    "the last look at a claim",
    "how long a lost answer is waited for",
    "whose iModel it is",
    "the lease to refresh",
]


@pytest.fixture
def play(tmp_path):
    """play(fence or None, file, ...) is what pytest says in a copy of the program without it, to its first failure."""
    for name in COPIED:
        source = BASE_DIR / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, tmp_path / name)

    def run(fence: Fence | None, *files: str) -> subprocess.CompletedProcess[str]:
        if fence:
            _take_away(fence, tmp_path)
        # An environment of its own: what this run has set is for this run.
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        env |= {"SOAK_SEED": "1", "SOAK_SCHEDULES": SCHEDULES}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
        return subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True, text=True)

    return run


def _take_away(fence: Fence, folder: Path) -> None:
    texts = {path: path.read_text() for path in (folder / "imodels_app").glob(fence.where)}
    found = [path for path, text in texts.items() for _ in range(text.count(fence.stands))]
    assert len(found) == 1, f"{fence.where} no longer reads: {fence.stands}"
    found[0].write_text(texts[found[0]].replace(fence.stands, fence.gone))


def test_with_all_fences_nothing_is_missed(play):
    said = play(None, "tests/faults/test_fences.py")

    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("name", FENCES)
def test_a_fence_that_is_taken_away_is_missed(play, name):
    said = play(FENCES[name], "tests/faults/test_fences.py")

    _is_missed(FENCES[name], said)


@pytest.mark.parametrize("name", MET_BY_CHANCE)
def test_random_schedules_miss_it_too(play, name):
    said = play(FENCES[name], "tests/faults/test_schedules.py")

    assert said.returncode == 1, said.stdout
    assert "SOAK_SEED=" in said.stdout


def _is_missed(fence: Fence, said: subprocess.CompletedProcess[str]) -> None:
    assert said.returncode == 1, said.stdout
    failure = [line for line in said.stdout.splitlines() if line.startswith("E  ")]
    assert any(words in line for words in fence.missed.split("|") for line in failure), said.stdout
