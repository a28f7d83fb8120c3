"""One random schedule of faults, played in this process against the stand-in platform, by a clock of its own.

Workers are calls of submit, settle, poll and the sweeps. At each statement of theirs to the database and at each
failpoint a worker may die there, or hang while others go on; hints come twice, late or never; the platform loses
answers, cuts, limits, lags and lets strangers take names. Everything random comes from the seed.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection

from imodels_app import lifecycle, tasks
from imodels_app.accounts import permissions, tokens
from imodels_app.itwin import Platform, errors
from imodels_app.models import (
    Attempt,
    Bucket,
    CircuitBreaker,
    Decision,
    Event,
    Notification,
    Operation,
    Orphan,
    StagedFile,
    TokenSet,
    Upload,
    UploadedBlock,
    User,
)
from imodels_app.runtime import timing
from imodels_app.states import FINISHED, Kind, State
from imodels_app.workers import poll_by_list
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.faults import oracle
from tests.people import HARBOUR, MAIN_BRIDGE
from tests.triggers import triggers_off

KINDS = list(Kind)
# What workers do: with one operation, when a hint comes; and by the timetable.
WORK: dict[str, Callable[[UUID], None]] = {
    "imodels_app.submit": submit,
    "imodels_app.reconcile": reconcile,
    "imodels_app.poll": poll,
    "imodels_app.upload": upload,
    "imodels_app.look_at_list": lambda itwin_id: poll_by_list.look(str(itwin_id)),
}
SWEEPS = [
    tasks.sweep_queued,
    tasks.sweep_running,
    tasks.sweep_submitting,
    tasks.sweep_uploads,
    tasks.sweep_approvals,
]
# Sizes of baseline files: one piece, or several blocks. The settings of the test agree.
BLOCK_BYTES, SINGLE_PUT_BYTES, FILES_BYTES = 1024, 2048, (600, 6000)

# Not places to die at: Django's own bookkeeping of transactions.
BOOKKEEPING = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
LONGEST_HANG_S = 300
# A list that lags no longer than this tells within NEVER_ARRIVED_AFTER (timing.py) what a lost request made.
LISTED_IN_TIME_S = 40
# Where a longer hang than this is known to do harm (docs/reliability.md): between the last look at its claim and the
# platform, a request is under way no longer than a call may last; a token that was rotated is kept within its lease.
LONGEST_HANGS_S = {"submit.sending": 30, "tokens.rotated": 20}
API = ("/imodels", "/itwins", "/accesscontrol", "/users")
# In calm weather all has ended within this.
CALM_S = 3 * 60 * 60

# What loses an answer comes more often than the rest.
POST_FAULTS: list[dict[str, Any]] = [
    *[{"lost_answer": True}] * 8,
    *[{"cut": True}] * 3,
    {"status": 500},
    {"status": 503, "body": "<html>Bad gateway</html>"},
    {"status": 504, "lost_answer": True},
    {"status": 429, "retry_after": 3},
    {"status": 429},
    {"retry_after": "date:20"},
    {"retry_after": "soon"},
    {"expired_token": True},
    {"truncated": True},
    {"location": "missing"},
    {"location": "relative"},
    {"location": "foreign"},
    {"slow_s": 0.01},
]
GET_FAULTS: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 500},
    {"cut": True},
    {"lost_answer": True},
    {"retry_after": 5},
    {"expired_token": True},
    {"truncated": True},
    {"body": "<html>Hello</html>", "status": 200},
]
# On the way to the storage.
PUT_FAULTS: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 500},
    {"cut": True},
    {"cut_after": 400},
    {"lost_answer": True},
    {"status": 403},
    {"status": 429, "retry_after": 3},
]
TOKEN_FAULTS: list[dict[str, Any]] = [{"status": 500}, {"cut": True}, {"lost_answer": True}]


class Died(BaseException):
    """This worker was killed here. Not an Exception: nothing in the product may catch a kill -9."""


class VirtualClock:
    """A clock that moves when told, and a millisecond with each look. The database's may jump, the platform's not."""

    def __init__(self) -> None:
        self._at = datetime.now(UTC)
        self._database_ahead = timedelta(0)

    def now(self) -> datetime:
        """At the database."""
        self._at += timedelta(milliseconds=1)
        return self._at + self._database_ahead

    def time(self) -> float:
        """At the platform."""
        self._at += timedelta(milliseconds=1)
        return self._at.timestamp()

    def passes(self, seconds: float) -> None:
        self._at += timedelta(seconds=seconds)

    def jumps(self, seconds: float) -> None:
        """The database's clock, forward or back."""
        self._database_ahead += timedelta(seconds=seconds)


class Schedule:
    """seed decides everything. log: what happened, for whoever has to read a failure."""

    def __init__(
        self,
        seed: int,
        *,
        sandbox: Any,
        clock: VirtualClock,
        mara: User,
        tomas: User,
        spec_for: Callable,
        baseline_of: Callable,
    ):
        self.dice = random.Random(seed)
        self.sandbox, self.clock, self.mara, self.tomas = sandbox, clock, mara, tomas
        self.spec_for, self.baseline_of = spec_for, baseline_of
        self.hints: list[tuple[str, str]] = []
        self.log: list[str] = []
        self.depth = 0
        self.is_calm = False
        self.deadly = self.dice.choice([0, 0.002, 0.01])
        self.hanging = self.dice.choice([0, 0.01, 0.05])
        # Between two steps. Who looks for a lost answer within seconds meets lists that lag; hours later nobody does.
        self.pauses_s = self.dice.choice([(0, 1, 2, 5), (0, 0, 1, 5, 30, 120)])
        # Which operations are being worked on, and who holds a rotated token that is not stored yet: innermost last.
        self.at: list[str] = []
        self.unsaved: list[bool] = []
        # The places that a process has passed; how many died or gave up around a call; and what others sent.
        self.reached: list[Counter[str]] = [Counter()]
        self.cut_short = self.by_strangers = 0
        self.is_short = False
        self.lost_a_rotated_token = False

    def run(self) -> None:
        self._begin()
        self._ask(self.dice.randint(2, 5))
        for _ in range(self.dice.randint(15, 40)):
            self._weather()
            self.step()
            self.clock.passes(self.dice.choice(self.pauses_s))
        self._calm()

    def wrong(self) -> list[str]:
        """What the oracle says when all is over."""
        wrong = oracle.violations(self.sandbox, pages=False)
        wrong += [f"{one.name} is still {one.state}" for one in Operation.objects.exclude(state__in=FINISHED)]
        if self.sandbox.world.switches.list_lag_s <= LISTED_IN_TIME_S:
            wrong += oracle.sent_in_vain(self.sandbox)
        wrong += self._calls_miscounted()
        if not self.lost_a_rotated_token:
            wrong += oracle.asked_with_a_used_token(self.sandbox)
        return wrong

    def _calls_miscounted(self) -> Iterator[str]:
        """Each request is counted before it leaves; of what was counted only who then died or gave up sent none."""
        counted = sum(Bucket.objects.values_list("counted", flat=True))
        arrived = sum(entry.path.startswith(API) for entry in self.sandbox.journal) - self.by_strangers
        if not arrived <= counted <= arrived + self.cut_short:
            yield f"{counted} calls counted, {arrived} arrived, {self.cut_short} were cut short"

    # What happens to the platform

    def _begin(self) -> None:
        ours = [Notification, Event, Attempt, UploadedBlock, Upload, Orphan, Decision, Operation, StagedFile]
        with triggers_off():
            for model in [*ours, Bucket, CircuitBreaker]:
                model._default_manager.all()._raw_delete("default")
        self.sandbox.reset()
        self.sandbox.token_lifetime_s = self.dice.choice([3600, 200])
        keeps_name = self.dice.random() < 0.5
        # A list that lags for longer than the settle time is told by the name, which has to be kept then.
        self.sandbox.switch(
            failed_keeps_name=keeps_name,
            list_lag_s=self.dice.choice([0, 2, 10, 40, 400 if keeps_name else 40]),
            operation_lag_s=self.dice.choice([0, 0, 5, 30]),
            upload_link=self.dice.random() < 0.9,
            new_upload_link=self.dice.random() < 0.7,
            upload_link_life_s=self.dice.choice([60, 600, 3600]),
            blob_lag_s=self.dice.choice([0, 0, 4, 60]),
        )
        self.sandbox.advance_by_clock(self.dice.choice([1, 10, 1000]))
        for _ in range(4):
            self.sandbox.next_outcome(
                self.dice.choice(["successful", "failed"] if self.dice.random() < 0.3 else ["successful"])
            )
        self._sign_in()

    def _sign_in(self) -> None:
        tokens.store(self.mara, self.sandbox.tokens_for("mara"))
        self._act(lambda: lifecycle.wake_after_sign_in(self.mara), "sign in")

    def _weather(self) -> None:
        chance = self.dice.random()
        times = self.dice.choice([1, 1, 2, 6])
        if chance < 0.3:
            self._fault("POST", r"^/imodels", self.dice.choice(POST_FAULTS), times)
        elif chance < 0.4:
            self._fault("GET", r"^/imodels", self.dice.choice(GET_FAULTS), times)
        elif chance < 0.45:
            how = self.dice.choice(TOKEN_FAULTS)
            self.lost_a_rotated_token |= "lost_answer" in how
            self._fault("POST", r"^/connect/token", how, 1)
        elif chance < 0.5:
            self.sandbox.expire_tokens()
        elif chance < 0.54:
            self._stranger()
        elif chance < 0.6:
            self._sign_in()
        elif chance < 0.65:
            self._edit()
        elif chance < 0.7:
            self.sandbox.clear_faults()
        elif chance < 0.8:
            self._fault("PUT", r"^/storage", self.dice.choice(PUT_FAULTS), times)

    def _fault(self, method: str, path: str, how: dict[str, Any], times: int) -> None:
        self.log.append(f"fault {method} {how} x{times}")
        self.sandbox.fault(method, path, times=times, **how)

    def _stranger(self) -> None:
        """Somebody takes a name: a colleague, or the requester by hand but from something else."""
        names = sorted(set(Operation.objects.values_list("name", flat=True)))
        if not names:
            return
        name = self.dice.choice(names)
        # What the requester makes by hand, of the same kind, at the same time, nobody could tell from what we made.
        alike = Operation.objects.filter(name=name, kind__in=[Kind.EMPTY, Kind.TEMPLATE]).exists()
        who = self.dice.choice(["tomas", "ines"] if alike else ["tomas", "ines", "mara"])
        body = f'{{"iTwinId": "{HARBOUR}", "name": "{name}"}}'
        path = "/imodels" if who == "mara" or self.dice.random() < 0.5 else f"/imodels/{MAIN_BRIDGE}/clone"
        waiting = self.sandbox.platform.faults.waiting
        self.sandbox.clear_faults()
        try:
            self.by_strangers += 1
            Platform(self.sandbox.url, self.sandbox.tokens_for(who)["access_token"]).start(path, body)
            self.log.append(f"{who} took {name}")
        except (errors.Refused, errors.TooMany):
            pass
        for fault in waiting:
            self.sandbox.platform.faults.add(fault)

    def _edit(self) -> None:
        """Somebody changes, past every check, what a lead has approved and nobody has sent."""
        fork = (
            Operation.objects.filter(kind=Kind.FORK, state=State.QUEUED, attempts=None).order_by("created_at").first()
        )
        if fork:
            self.log.append(f"edit {fork.name}")
            body = fork.request_body.replace(": true", ": false")
            with triggers_off():
                Operation.objects.filter(pk=fork.pk).update(request_body=body)

    # What people and workers do

    def _ask(self, count: int) -> None:
        names = [f"Pier {number}" for number in range(1, count + 4)]
        for _ in range(count):
            kind = self.dice.choice(KINDS)
            name = self.dice.choice(names)  # now and then two of ours want one
            self._act(partial(self._request, kind, name), f"ask {kind} {name}")

    def _request(self, kind: Kind, name: str) -> None:
        if kind == Kind.BASELINE:
            self.baseline_of(b"SQLite format 3\0" + self.dice.randbytes(self.dice.choice(FILES_BYTES)), name=name)
        else:
            lifecycle.request(self.spec_for(kind, name=name), by=self.mara)

    def step(self) -> None:
        """One thing that some process or person does."""
        chance = self.dice.random()
        if chance < 0.1 and self.depth == 0:
            self._decide()
        elif chance < 0.13 and self.depth == 0:
            self._cancel()
        elif chance < 0.5 and self.hints:
            task, pk = self.dice.choice(self.hints)
            if self.dice.random() < 0.7:
                self.hints.remove((task, pk))
            self._work(task, pk)
        elif chance < 0.65:
            operation = self.dice.choice(list(Operation.objects.order_by("created_at", "pk")) or [None])
            if operation:
                self._work(self.dice.choice(list(WORK)), str(operation.pk))
        else:
            sweep = self.dice.choice(SWEEPS)
            self._act(sweep, sweep.name)

    def _work(self, task: str, pk: str) -> None:
        self.at.append(pk)
        self._act(lambda: WORK[task](UUID(pk)), f"{task.rpartition('.')[2]} {pk[:4]}")
        self.at.pop()

    def _is_operation(self, pk: str) -> bool:
        """Or an iTwin, whose list is looked at."""
        return Operation.objects.filter(pk=pk).exists()

    def _decide(self) -> None:
        fork = Operation.objects.filter(state=State.AWAITING_APPROVAL).order_by("created_at").first()
        if fork:
            verb = lifecycle.reject if self.dice.random() < 0.2 else lifecycle.approve
            self._act(lambda: verb(fork, by=self.tomas), f"{verb.__name__} {fork.name}")

    def _cancel(self) -> None:
        operation = self.dice.choice(list(Operation.objects.order_by("created_at", "pk")) or [None])
        if operation:
            self._act(lambda: lifecycle.cancel(operation, by=self.mara), f"cancel {operation.name}")

    def _act(self, does: Callable[[], Any], what: str) -> None:
        """In a process of its own, so to speak: it may die, and people may be refused."""
        self.log.append("  " * self.depth + what)
        self.depth += 1
        self.unsaved.append(False)
        self.reached.append(Counter())
        died = False
        try:
            with connection.execute_wrapper(self._statement):
                does()
        except Died:
            died = True
            self.log.append("  " * self.depth + "died")
            self.lost_a_rotated_token |= self.unsaved[-1]
        except (lifecycle.Conflict, permissions.Denied):
            pass
        finally:
            self.unsaved.pop()
            reached = self.reached.pop()
            gave_up = reached["submit.begin"] and not reached["submit.sending"]
            if reached["gateway.counted"] and (died or gave_up):
                self.cut_short += 1
                self.log.append("  " * self.depth + "a call that was counted may not have left")
            self.depth -= 1

    # Where they die and hang

    def reach(self, name: str) -> None:
        """Stands in for failpoints.reach: each named place is more dangerous than a statement."""
        self.reached[-1][name] += 1
        if name == "tokens.rotated":
            self.unsaved[-1] = True
        if not self.is_calm and self.dice.random() < self.deadly * 10:
            self.log.append("  " * self.depth + f"dies at {name}")
            raise Died
        self._maybe_hang(self.hanging * 10, name)

    def send(self, task: str, operation_id: UUID, *, in_s: float = 0, for_s: float = 0, due_at: Any = None) -> None:
        """Stands in for dispatch.send: hints wait here, to be delivered twice, late or never."""
        self.hints.append((task, str(operation_id)))

    def _statement(self, execute: Callable, sql: str, params: Any, many: bool, context: Any) -> Any:
        # Each process within another has a wrapper; the innermost is the one that runs.
        if self.is_calm or sql.startswith(BOOKKEEPING) or context.get("seen"):
            return execute(sql, params, many, context)
        context["seen"] = True
        if self.dice.random() < self.deadly:
            raise Died
        if not self.unsaved[-1]:
            self._maybe_hang(self.hanging, "before a statement")
        answer = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and TokenSet._meta.db_table in sql:
            self.unsaved[-1] = False
        if self.dice.random() < self.deadly:
            raise Died
        return answer

    def _maybe_hang(self, chance: float, where: str) -> None:
        """Others go on meanwhile, and mostly with the very operation that was left hanging."""
        if self.is_calm or self.is_short or self.depth > 2 or connection.in_atomic_block:
            return
        if self.dice.random() >= chance:
            return
        self.log.append("  " * self.depth + f"hangs {where}")
        self.is_short = where in LONGEST_HANGS_S
        began = self.clock.now()
        left_s = self.dice.uniform(0, LONGEST_HANGS_S.get(where, LONGEST_HANG_S))
        for _ in range(self.dice.randint(1, 6)):
            pause_s = self.dice.uniform(0, left_s)
            left_s -= pause_s
            self.clock.passes(pause_s)
            if self.at and self._is_operation(self.at[-1]) and self.dice.random() < 0.6:
                self._work(self.dice.choice(list(WORK)), self.at[-1])
            else:
                self.step()
        self.is_short = False
        # Others wait for its lease, and their waiting takes time as well: once it is over, the new token came too late.
        self.lost_a_rotated_token |= where == "tokens.rotated" and self.clock.now() - began >= timing.REFRESH_LEASE
        self.log.append("  " * self.depth + "goes on")

    # And then the weather clears

    def _calm(self) -> None:
        self.is_calm = True
        self.sandbox.clear_faults()
        self.log.append("calm")
        began = self.clock.now()
        while Operation.objects.exclude(state__in=FINISHED).exists():
            if self.clock.now() - began > timedelta(seconds=CALM_S):
                return  # the oracle, or whoever called, says what is left
            self.clock.passes(5)
            self._decide()
            if TokenSet.objects.filter(user=self.mara, sign_in_needed=True).exists():
                self._sign_in()
            for sweep in SWEEPS:
                self._act(sweep, sweep.name)
            self.hints, hints = [], self.hints
            for task, pk in hints:
                self._work(task, pk)
