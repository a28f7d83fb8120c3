"""One act on several operations: the rows that it can act on, the question before it, and what became of each."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.views.decorators.http import require_POST

from imodels_app import lifecycle
from imodels_app.accounts import permissions
from imodels_app.audit import events, operations_table
from imodels_app.decorators import person, signed_in, throttled
from imodels_app.display import status
from imodels_app.limits import throttles
from imodels_app.models import Operation, OperationQuerySet, Subscription, User
from imodels_app.redirects import own_path
from imodels_app.runtime import clock
from imodels_app.states import OrphanState, Verb
from imodels_app.tables import keyset
from imodels_app.views import asking, same_again

MOST_AT_ONCE = keyset.PAGE_SIZE
Do = Callable[[Operation], Any]
Describe = Callable[[Operation], status.StatusText]


def _state(operation: Operation) -> status.StatusText:
    return status.describe(operation, timezone.now())


def _orphan(operation: Operation) -> status.StatusText:
    return status.describe_orphan(operation.orphan) if hasattr(operation, "orphan") else _state(operation)


@dataclass(frozen=True)
class Outcome:
    """What came of one of several. why_not: empty when it is done; made: the operation that it led to."""

    operation: Operation
    status_text: status.StatusText
    why_not: str = ""
    made: Operation | None = None


@dataclass(frozen=True)
class Act:
    """What can be done with several at once.

    label, icon  of its button; … stands for how many
    thing        what is acted on, as one of them is called
    why_not      why this person may not do it with this one; empty when they may
    doing        for a person's request, what does it with one: it may return the operation that this made, and raise
                 Denied, Conflict, NotAllowed and Throttled
    done         what came of it, … for how many of all
    warning      what is said before it is done; empty where it can be taken back, and nothing is asked
    describe     how one of them stands
    """

    label: str
    icon: str
    thing: str
    why_not: Callable[[User, Operation], str]
    doing: Callable[[HttpRequest], Do]
    done: str
    warning: str = ""
    is_danger: bool = False
    describe: Describe = _state


def _cancelling(request: HttpRequest) -> Do:
    return partial(lifecycle.cancel, by=person(request))


def _telling(request: HttpRequest) -> Do:
    return lambda operation: Subscription.objects.get_or_create(person=person(request), operation=operation)


def _deleting(request: HttpRequest) -> Do:
    return partial(lifecycle.delete_orphan, by=person(request))


def why_not_tell(user: User, operation: Operation) -> str:
    """Why this person cannot be told of the end of this one; empty when they can."""
    if operation.is_finished:
        return "It has ended."
    return "" if user.email else "You have no confirmed address, so no e-mail comes."


def _why_not_delete(user: User, operation: Operation) -> str:
    """As for one; but what can be used is asked about twice, on a page of its own."""
    if why := permissions.why_not_delete_orphan(user, operation):
        return why
    is_usable = operation.orphan.state == OrphanState.USABLE
    return "It can be used, so it is deleted from its own page only." if is_usable else ""


CANCEL, AGAIN, TELL, DELETE, EXPORT = "cancel", "again", "tell", "delete", "export"
ACTS: dict[str, Act] = {
    CANCEL: Act(
        *("Cancel …", "st-cancelled", "operation", permissions.why_not_cancel, _cancelling, "You cancelled …"),
        warning="Nothing of this has been sent yet. What is cancelled stays cancelled.",
    ),
    AGAIN: Act(
        *("Request … again", "refresh", "operation"),
        *(same_again.why_not, same_again.requesting, "You requested … again"),
        warning="As before, but under the next name that is free, and where the newest changeset was asked for, with"
        " the one that is newest now.",
    ),
    TELL: Act(
        *("Tell me about …", "mail", "operation", why_not_tell, _telling, "You will be told when … have ended"),
    ),
    DELETE: Act(
        *("Delete …", "trash", "orphaned iModel", _why_not_delete, _deleting, "You asked to delete …"),
        warning="The platform cannot bring back what is deleted. iModels made from it stay.",
        is_danger=True,
        describe=_orphan,
    ),
}
OF_TABLE, OF_ORPHANS = (CANCEL, AGAIN, TELL, EXPORT), (DELETE, EXPORT)


class Button(NamedTuple):
    """Of one act, its label around the number of rows."""

    word: str
    before: str
    after: str
    icon: str


def buttons(words: Iterable[str]) -> list[Button]:
    """Of the acts that a page offers."""
    looks = {word: (act.label, act.icon) for word, act in ACTS.items()} | {EXPORT: ("Export …", "download")}
    halves = {word: label.split("…") for word, (label, _) in looks.items()}
    return [Button(word, halves[word][0], halves[word][1], looks[word][1]) for word in words]


def possible(user: User, operation: Operation, words: Iterable[str]) -> str:
    """Which of these acts this person can do with this one, as its row says."""
    return " ".join(word for word in words if word == EXPORT or not ACTS[word].why_not(user, operation))


@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def act_on_several(request: HttpRequest) -> HttpResponseBase:
    """Ask, or do it and tell what became of each."""
    word, back = request.POST.get("act", ""), own_path(request.POST.get("next", ""), "imodels:operation-list")
    chosen = list(picked(request, "pick").order_by("created_at", "pk")[:MOST_AT_ONCE])
    if not chosen or word not in (*ACTS, EXPORT):
        messages.info(request, "Nothing was selected.")
        return redirect(back)
    if word == EXPORT:
        return _export(person(request), chosen)
    act = ACTS[word]
    page: dict[str, Any] = {"word": word, "back": resolve_url(back), "opens": "imodels:operation-detail"}
    page |= {"section": "orphans" if word == DELETE else "operations"}
    if act.warning and not asking.is_sure(request):
        return _ask(request, act, chosen, page)
    do = act.doing(request)
    outcomes = [_outcome(person(request), act, do, one) for one in chosen]
    return tell(request, outcomes, act.done, page)


def picked(request: HttpRequest, name: str) -> OperationQuerySet:
    """What was ticked in boxes of this name, as far as it is an id of what this person may see."""
    ids = []
    for text in request.POST.getlist(name):
        with suppress(ValueError):
            ids.append(UUID(text))
    return Operation.objects.visible_to(person(request)).to_show().filter(pk__in=ids)


def tell(request: HttpRequest, outcomes: list[Outcome], done: str, context: dict[str, object]) -> HttpResponse:
    """The page with what became of each, as it is now. context: where it leads back to, and what it opens."""
    count = sum(not one.why_not for one in outcomes)
    context |= {"outcomes": outcomes, "count": count, "heading": done.replace("…", f"{count} of {len(outcomes)}")}
    return render(request, "several/done.html", context)


def outcome(operation: Operation, why_not: str, made: Operation | None = None, describe: Describe = _state) -> Outcome:
    now_shown = Operation.objects.to_show().get(pk=operation.pk)
    return Outcome(now_shown, describe(now_shown), why_not, made)


def _ask(request: HttpRequest, act: Act, chosen: list[Operation], page: dict[str, Any]) -> HttpResponse:
    all_of_them = [Outcome(one, act.describe(one), act.why_not(person(request), one)) for one in chosen]
    can, cannot = [[one for one in all_of_them if bool(one.why_not) == is_no] for is_no in (False, True)]
    many = f"{len(can)} {act.thing}{'' if len(can) == 1 else 's'}"
    return asking.ask(
        request,
        f"{act.label.replace('…', many)}?",
        act.warning,
        button=act.label.replace("…", str(len(can))),
        sends=[("form_id", uuid4())],
        **page | {"can": can, "cannot": cannot, "icon": act.icon, "is_danger": act.is_danger},
    )


def _outcome(user: User, act: Act, do: Do, operation: Operation) -> Outcome:
    try:
        permissions.require(act.why_not(user, operation))
        made = do(operation)
        return outcome(operation, "", made if isinstance(made, Operation) else None, act.describe)
    except (permissions.Denied, lifecycle.Conflict, lifecycle.NotAllowed, throttles.Throttled) as no:
        return outcome(operation, str(no), describe=act.describe)


def _export(user: User, chosen: list[Operation]) -> StreamingHttpResponse:
    """As a table for spreadsheets. That they were taken out is an event, as with the audit's export."""
    names = ", ".join(one.name for one in chosen)
    events.record(Verb.EXPORTED, at=clock.now(), by=user, note=f"{len(chosen)} operations: {names}", rows=len(chosen))
    answer = StreamingHttpResponse(operations_table.written_out(chosen), content_type="text/csv; charset=utf-8")
    at = timezone.localtime()
    answer["Content-Disposition"] = f'attachment; filename="imodel-desk-operations-{at:%Y-%m-%d-%H%M}.csv"'
    return answer
