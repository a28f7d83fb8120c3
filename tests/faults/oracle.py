"""What must be true whatever broke: reads the stand-in platform's journal and our tables, and names what is wrong.

Every check returns sentences, one for each violation. An operation's POSTs carry its id as their correlation id,
so the journal tells which iModel came from which operation without believing anything that our tables say.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.test import Client
from django.urls import reverse

from imodels_app.accounts import encryption
from imodels_app.models import Attempt, Decision, Event, Operation, Orphan, TokenSet, Upload, User
from imodels_app.requesting.spec import fingerprint
from imodels_app.runtime import clock
from imodels_app.states import FINISHED, UNDECIDED, Kind, OrphanState, State, Verb, Verdict, WaitReason
from tests.files import SHA, digest, in_storage

# Whoever waits for nothing in particular is due within this.
DUE_WITHIN = timedelta(seconds=125)
# Longer waits name their reason, and none but the wait for a person is longer than the longest Retry-After.
WAITS_FOR_AT_MOST = timedelta(hours=1, seconds=5)
# What a platform's state means no iModel came of it.
CAME_TO_NOTHING = ("failed", "mainIModelIsMissingFederationGuids")
NEVER_GOT_ITS_FILE = "waitingForFile"
LOOKS_SECRET = re.compile(
    r"Bearer [\w.-]{8,}|[?&;](?:sig|X-Goog-Signature)=(?!\.\.\.)[\w%]{8,}|\beyJ[\w-]{16,}\.[\w-]{8,}"
)


def violations(
    sandbox: Any, *, logs: dict[str, str] | None = None, redis_url: str = "", pages: bool = True
) -> list[str]:
    """Everything that is wrong now. Call it when nothing moves any more."""
    return [
        *made_twice(sandbox),
        *lost(sandbox, clock.now()),
        *strangers(sandbox),
        *too_fast(sandbox),
        *broken_history(Operation.objects.all()),
        *unapproved(sandbox),
        *badly_uploaded(sandbox),
        *told_secrets(places(logs or {}, redis_url, pages=pages)),
    ]


def made_twice(sandbox: Any) -> Iterator[str]:
    """One operation, one iModel; and no request without a row that says it was about to leave."""
    for pk, made in _made(sandbox).items():
        if len(made) > 1:
            yield f"{pk} made {len(made)} iModels"
    names: dict[tuple[str, str], int] = defaultdict(int)
    for imodel in sandbox.world.imodels.values():
        if imodel.creation.state not in CAME_TO_NOTHING:
            names[imodel.itwin_id, imodel.name.casefold()] += 1
    yield from (f"{count} iModels are called {name[1]}" for name, count in names.items() if count > 1)
    sent: dict[str, int] = defaultdict(int)
    for entry in _posts(sandbox):
        sent[entry.correlation_id] += 1
    for pk, count in sent.items():
        recorded = Attempt.objects.filter(operation_id=pk).count()
        if count > recorded:
            yield f"{pk} sent {count} requests and recorded {recorded}"


def lost(sandbox: Any, now: datetime) -> Iterator[str]:
    """Each operation has ended, or will be looked at soon, or says what it waits for. None left an iModel behind."""
    for operation in Operation.objects.all():
        due = _due_at(operation)
        if operation.state in FINISHED:
            yield from _left_behind(sandbox, operation)
        elif due is None:
            yield f"{operation.name} is {operation.state} and nothing will ever look at it"
        elif operation.wait_reason == WaitReason.SIGN_IN or operation.state in UNDECIDED:
            continue
        elif due > now + (WAITS_FOR_AT_MOST if operation.wait_reason else DUE_WITHIN):
            yield f"{operation.name} is {operation.state} and is not looked at before {due}"
    for upload in Upload.objects.exclude(due_at=None).exclude(operation__state=State.UPLOADING):
        yield f"{upload.operation.name} is {upload.operation.state}, and its file is still to be uploaded"


def strangers(sandbox: Any) -> Iterator[str]:
    """What an operation calls its iModel is what its own request made, and its requester is the creator."""
    made = _made(sandbox)
    still_there = Operation.objects.exclude(imodel_id="").exclude(orphan__state=OrphanState.DELETED)
    for operation in still_there.select_related("requested_by"):
        if operation.imodel_id not in made[str(operation.pk)]:
            yield f"{operation.name} adopted {operation.imodel_id}, which its requests did not make"
        imodel = sandbox.world.imodels.get(operation.imodel_id)
        if imodel and imodel.creator_id != operation.requested_by.subject:
            yield f"{operation.name} adopted an iModel that {imodel.creator_id} made"


def too_fast(sandbox: Any) -> Iterator[str]:
    """The platform never had to say 429 by itself."""
    for entry in sandbox.journal:
        if entry.status == 429 and not entry.faulty:
            yield f"{entry.method} {entry.path} went beyond a limit"


def broken_history(operations: Iterable[Operation]) -> Iterator[str]:
    """Each event begins where the last one ended; the last ends where the operation is; each claim has its attempt."""
    for operation in operations:
        at = ""
        events = list(Event.objects.filter(operation=operation).exclude(verb=Verb.CALLED).order_by("pk"))
        for event in events:
            if event.came_from != at:
                yield f"{operation.name}: {event.verb} comes from {event.came_from!r}, but it was {at!r}"
            at = event.to
        if at != operation.state:
            yield f"{operation.name} is {operation.state}, and its history ends in {at!r}"
        claimed = sum(event.verb == "claimed" for event in events)
        if claimed != operation.attempts.count():
            yield f"{operation.name} has {claimed} claims in its history and {operation.attempts.count()} attempts"


def unapproved(sandbox: Any) -> Iterator[str]:
    """A request left only after others approved exactly what was sent, as many as its rules ask for."""
    for entry in _posts(sandbox):
        operation = Operation.objects.filter(pk=entry.correlation_id).select_related("requested_by").first()
        if operation is None:
            yield f"{entry.path} was sent for {entry.correlation_id}, which is no operation"
            continue
        if entry.faulty and entry.body is None:
            continue
        if entry.path != operation.request_path or entry.body != json.loads(operation.request_body):
            yield f"{operation.name} sent something else than its row holds"
        if not was_approved(operation, datetime.fromtimestamp(entry.at, UTC)):
            yield f"{operation.name} was sent without the approvals it needs"


def badly_uploaded(sandbox: Any) -> Iterator[str]:
    """The storage has each file as it was here, told once; and nobody's credentials came with it."""
    for operation in Operation.objects.filter(kind=Kind.BASELINE, state__in=[State.RUNNING, State.SUCCEEDED]):
        there = in_storage(sandbox, operation.imodel_id)
        if operation.description.startswith(SHA) and operation.description != digest(there or b""):
            yield f"the storage has other bytes than {operation.name}"
    completed: dict[str, int] = defaultdict(int)
    for entry in sandbox.journal:
        if entry.method == "POST" and entry.path.endswith("/baselinefile") and entry.status == 200:
            completed[entry.path] += 1
        if entry.path.startswith("/storage") and {"Authorization", "Cookie"} & set(entry.headers):
            yield f"{entry.path} was sent credentials"
    yield from (f"{path} took effect {count} times" for path, count in completed.items() if count > 1)


def told_secrets(texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """No token, key or signed link is in a text. The violation names the place and not the secret."""
    secrets = list(_secrets())
    for place, text in texts:
        if LOOKS_SECRET.search(text) or any(secret in text for secret in secrets):
            yield f"a secret is in {place}"


# For those who know what else happened.


def sent_in_vain(sandbox: Any) -> Iterator[str]:
    """A request leaves again only when the platform would list what came of it, if anything had.

    Not where lists lag for longer than we wait: there the second request is told that its name is taken.
    """
    made = set()
    for entry in _posts(sandbox):
        if entry.correlation_id in made:
            yield f"{entry.correlation_id} was sent again after the platform had made its iModel"
        if entry.imodel_id:
            made.add(entry.correlation_id)


def asked_with_a_used_token(sandbox: Any) -> Iterator[str]:
    """A provider revokes everything when a refresh token comes twice."""
    for entry in sandbox.journal:
        if entry.path == "/connect/token" and entry.body == "refresh_token" and entry.status == 400:
            yield "the sign-in service was shown a refresh token that it had taken back"


def places(logs: dict[str, str], redis_url: str, *, pages: bool) -> Iterator[tuple[str, str]]:
    """Where people, operators and backups look."""
    for model in (Operation, Decision, Attempt, Upload, Orphan, Event, TokenSet):
        yield model.__name__, json.dumps(list(model.objects.values()), default=str)
    yield from logs.items()
    if redis_url:
        yield "Redis", everything_in(redis_url)
    if pages:
        yield from _pages()


def _posts(sandbox: Any) -> list[Any]:
    """The requests of operations of ours that make something; strangers in the sandbox's world send no GUID."""
    sent = [entry for entry in sandbox.journal if entry.method == "POST" and entry.correlation_id]
    return [entry for entry in sent if not entry.path.endswith("/baselinefile")]


def _made(sandbox: Any) -> dict[str, list[str]]:
    """Operation id -> the iModels that its requests made."""
    made = defaultdict(list)
    for entry in _posts(sandbox):
        if entry.imodel_id and entry.imodel_id in sandbox.world.imodels:
            made[entry.correlation_id].append(entry.imodel_id)
    return made


def _left_behind(sandbox: Any, operation: Operation) -> Iterator[str]:
    """An ended operation that does not know of the iModel it made, or says that it came to nothing."""
    for imodel_id in _made(sandbox)[str(operation.pk)]:
        came_to_nothing = sandbox.world.imodels[imodel_id].creation.state in (*CAME_TO_NOTHING, NEVER_GOT_ITS_FILE)
        if operation.imodel_id != imodel_id:
            yield f"{operation.name} ended without knowing of its iModel {imodel_id}"
        elif (operation.state == State.SUCCEEDED) is came_to_nothing:
            yield f"{operation.name} is {operation.state}, and the platform says otherwise"
    if operation.state == State.SUCCEEDED and not operation.imodel_id:
        yield f"{operation.name} succeeded without an iModel"
    has_left = operation.state != State.SUCCEEDED and operation.imodel_id and operation.failure_code != "vanished"
    if has_left and not hasattr(operation, "orphan"):
        yield f"{operation.name} left an iModel, and no row says so"


def _due_at(operation: Operation) -> datetime | None:
    if operation.state == State.UPLOADING and hasattr(operation, "upload"):
        return operation.upload.due_at
    column = {
        State.AWAITING_APPROVAL: "expires_at",
        State.CHANGES_REQUESTED: "expires_at",
    }.get(State(operation.state), "due_at")
    due: datetime | None = getattr(operation, column)
    return due


def was_approved(operation: Operation, sent_at: datetime) -> bool:
    """Whether each rule that it was kept with was met by then, by different people, none of them the requester.

    Counted here by itself, from the rows alone: the product's own count may be wrong.
    """
    plan = operation.approval_plan
    current = fingerprint(operation.request_path, operation.request_body, str(operation.requested_by_id), plan)
    about_this = operation.decisions.filter(decided_at__lte=sent_at + timedelta(seconds=1), request_hash=current)
    own = {operation.requester_key, operation.requested_by.lasting_key, operation.requester_email.lower() or "nobody"}
    decisions = [one for one in about_this if not own & {one.by_key, one.by_email.lower()}]
    if any(one.verdict == Verdict.BYPASSED for one in decisions):
        return operation.events.filter(verb="bypassed").exclude(note="").exists()
    approvals = [one for one in decisions if one.verdict == Verdict.APPROVED]
    if len({one.by_key for one in approvals}) < len(approvals):
        return False
    asked = [rule["levels"] for rule in plan.get("rules", ()) if rule["asks"] == "people"]
    if not plan and operation.kind == Kind.FORK:
        asked = [[{"who": "leads", "count": 1}]]
    return all(
        _is_met([levels[at] for levels in asked if at < len(levels)], [one for one in approvals if one.level == at + 1])
        for at in range(2)
    )


def _is_met(level: list[dict[str, Any]], approvals: list[Decision]) -> bool:
    """Whether each requirement of a level has its people, or an administrator in the place of those who left."""
    for at, asked in enumerate(level):
        instead = any(f"instead:{at}" in one.capacity.split() for one in approvals)
        named = asked["people"] if asked["who"] == "people" else None
        fits = [one for one in approvals if (one.by_id in named if named is not None else asked["who"] in one.capacity)]
        if len(fits) < asked["count"] and not instead:
            return False
    return True


def _secrets() -> Iterator[str]:
    yield settings.OIDC_CLIENT_SECRET
    yield settings.SECRET_KEY
    yield from settings.TOKEN_KEYS
    for token_set in TokenSet.objects.all():
        for encrypted in (token_set.access_token, token_set.refresh_token, token_set.id_token):
            if encrypted:
                yield encryption.decrypt(encrypted)
    for encrypted in Upload.objects.exclude(link="").values_list("link", flat=True):
        yield encryption.decrypt(encrypted)


def everything_in(redis_url: str) -> str:
    import redis

    readers = {"string": "get", "list": "lrange", "hash": "hgetall", "set": "smembers", "zset": "zrange"}
    with redis.Redis.from_url(redis_url) as client:
        found = []
        for key in client.scan_iter():
            kind = client.type(key).decode()
            whole = (0, -1) if kind in ("list", "zset") else ()
            found.append((key, getattr(client, readers[kind])(key, *whole) if kind in readers else ""))
    return repr(found)


def _pages() -> Iterator[tuple[str, str]]:
    """What an admin, who sees everything, is shown."""
    admin = User.objects.filter(is_staff=True).first()
    if admin is None:
        admin = User.objects.create(username="auditor", issuer="none", subject="auditor", is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(admin)
    addresses = [reverse("imodels:operation-list"), reverse("imodels:audit")]
    addresses += [reverse("imodels:operation-detail", args=[one.pk]) for one in Operation.objects.all()[:3]]
    for address in addresses:
        answer = client.get(address)
        yield address, answer.content.decode()
        if answer.status_code >= 500:
            yield address, "Bearer of-a-page-that-broke"
