"""Who gets what at which address: every URL, by every method, for everybody. What the table does not allow is refused,
and a refusal changes nothing. A URL without a row fails.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import ApprovalRule, Destination, Membership, Preset, SavedFilter, StagedFile, TokenSet, User
from imodels_app.states import Kind
from tests.people import fail

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

PEOPLE = ("nobody", "stranger", "member", "requester", "lead", "admin", "closed")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNSAFE = METHODS[2:6]
# Django's admin has one door for everybody but admins, and one answer to what it does not expect.
OF_THE_ADMIN = (("nobody", "lead", "admin", "closed"), ("GET", "HEAD", "POST", "DELETE"))

# in: to the sign-in page. A closed account gets what nobody gets. HEAD is GET, or 405. A method without a row is 405,
# or refused as GET is.
TABLE = """
                           nobody stranger member requester lead admin
home                 GET      302   302     302    302      302   302
find                 GET      in    200     200    200      200   200
favicon              GET      302   302     302    302      302   302
theme                POST     302   302     302    302      302   302
operation-list       GET      in    200     200    200      200   200
act-on-several       POST     in    302     302    302      302   302
operation-detail     GET      in    404     200    200      200   200
lineage              GET      in    404     200    200      200   200
subscribe            POST     in    404     302    302      302   302
cancel               POST     in    404     403    302      403   302
start-now            POST     in    404     403    302      302   403
orphan-list          GET      in    200     200    200      200   200
orphan-detail        GET      in    404     200    200      200   200
delete-orphan        POST     in    404     403    302      302   302
approval-list        GET      in    200     200    200      200   200
approval-list        POST     422   200     200    200      200   200
approval-detail      GET      in    404     200    200      200   200
approval-detail      POST     422   404     200    200      200   200
approval-facts       GET      in    404     302    302      302   302
approve              POST     422   404     403    403      302   403
reject               POST     422   404     403    403      302   403
request-changes      POST     422   404     403    403      302   403
bypass               POST     422   404     403    403      403   302
comment              POST     422   404     302    302      302   302
look                 POST     422   404     403    403      302   403
start                POST     422   404     403    302      302   403
decide-several       POST     422   302     302    302      302   302
absence-list         GET      in    200     200    200      200   200
absence-list         POST     in    422     422    422      422   422
end-absence          POST     in    404     404    404      404   404
chat-list            GET      in    404     404    404      404   200
chat-list            POST     in    404     404    404      404   422
remove-chat          POST     in    404     404    404      404   404
edit-request         GET      in    404     403    200      403   403
edit-request         POST     in    404     403    409      403   403
rule-list            GET      in    200     200    200      200   200
new-rule             GET      in    200     404    404      200   200
new-rule             POST     422   422     404    404      422   422
rule-detail          GET      in    404     404    404      404   200
rule-detail          POST     422   404     404    404      404   422
switch-rule          POST     in    404     404    404      404   302
team-list            GET      in    200     200    200      200   200
new-team             GET      in    404     404    404      404   200
new-team             POST     in    404     404    404      404   422
team-detail          GET      in    404     200    200      200   200
change-team          POST     in    404     404    404      404   422
delete-team          POST     in    404     404    404      404   302
give-place           POST     in    404     404    404      404   302
give-itwin           POST     in    404     404    404      404   422
change-place         POST     in    404     404    404      404   302
take-itwin           POST     in    404     404    404      404   302
person-list          GET      in    404     404    404      404   200
person-detail        GET      in    404     404    404      404   200
set-admin            POST     in    404     404    404      404   302
set-account          POST     in    404     404    404      404   302
end-sessions         POST     in    404     404    404      404   302
audit                GET      in    404     404    404      404   200
audit-export         GET      in    404     404    404      404   200
audit-operations     GET      in    404     404    404      404   200
audit-case           GET      in    404     404    404      404   200
audit-numbers        GET      in    404     404    404      404   200
audit-person         GET      in    404     404    404      404   200
audit-itwin          GET      in    404     404    404      404   302
audit-imodel         GET      in    404     404    404      404   302
imodel-detail        GET      in    404     200    200      200   200
imodel-lineage       GET      in    404     200    200      200   200
itwin-detail         GET      in    404     200    200      200   200
streams              GET      in    404     404    404      404   200
streams              POST     in    404     404    404      404   422
switch-stream        POST     in    404     404    404      404   302
replay-stream        POST     in    404     404    404      404   302
delete-stream        POST     in    404     404    404      404   302
look-outside         POST     in    404     404    404      404   302
save-filter          POST     in    404     404    404      404   302
delete-filter        POST     in    404     404    404      404   302
new                  GET      in    200     200    200      200   200
request-empty        GET      in    200     200    200      200   200
request-empty        POST     422   422     422    422      422   422
request-template     GET      in    200     200    200      200   200
request-template     POST     422   422     422    422      422   422
request-baseline     GET      in    200     200    200      200   200
request-baseline     POST     422   422     422    422      422   422
request-clone        GET      in    200     200    200      200   200
request-clone        POST     422   422     422    422      422   422
request-fork         GET      in    200     200    200      200   200
request-fork         POST     422   422     422    422      422   422
request-checks       GET      in    200     200    200      200   200
staged-files         POST     401   201     201    201      201   201
staged-files         OPTIONS  401   204     204    204      204   204
staged-file          GET      401   405     405    405      405   405
staged-file          HEAD     401   404     404    200      404   404
staged-file          PATCH    401   404     404    204      404   404
staged-file          DELETE   401   404     404    204      404   404
staged-file          OPTIONS  401   204     204    204      204   204
remove-staged-file   POST     in    404     404    303      404   404
save-preset          GET      in    302     302    302      302   302
save-preset          POST     422   200     200    200      200   200
preset-detail        GET      in    404     404    200      404   404
preset-detail        POST     in    404     404    303      404   404
delete-preset        POST     in    404     404    303      404   303
pick-itwins          GET      in    200     200    200      200   200
pick-imodels         GET      in    200     200    200      200   200
pick-changesets      GET      in    200     200    200      200   200
pick-versions        GET      in    200     200    200      200   200
sign-in              GET      200   302     302    302      302   302
sign-in-start        GET      302   302     302    302      302   302
sign-in-callback     GET      400   400     400    400      400   400
sign-out             POST     200   200     200    200      200   200
help                 GET      in    200     200    200      200   200
whats-new            GET      in    200     200    200      200   200
first-steps          GET      in    404     404    404      404   200
access               GET      in    204     204    204      204   204
preferences          GET      in    200     200    200      200   200
preferences          POST     in    422     422    422      422   422
session-list         GET      in    200     200    200      200   200
end-session          POST     in    302     302    302      302   302
end-all-sessions     POST     in    in      in     in       in    in
switch-watch         POST     in    404     404    404      302   404
operating            GET      in    404     404    404      404   200
metrics              GET      404   404     404    404      404   404
healthz              GET      200   200     200    200      200   200
readyz               GET      200   200     200    200      200   200
admin-login          GET      in    404     404    404      404   404
admin-password       GET      in    404     404    404      404   404
admin-password-done  GET      in    404     404    404      404   404
admin-logout         POST     200   200     200    200      200   200
"""
# What an admin gets in Django's admin. Everybody else is sent to its door, whatever they ask. By model and page, or by
# page alone; Django answers the other methods as GET.
ADMIN_TABLE = """
index                    GET 200
app_list                 GET 200
jsi18n                   GET 200
jsi18n                  POST 405
autocomplete             GET 403
autocomplete            POST 405
view_on_site             GET 404
nothing                  GET 404
object                   GET 302
changelist               GET 200
history                  GET 200
add                      GET 403
delete                   GET 403
change                   GET 200
change                  POST 403
"""
# What makes an act succeed for whoever may.
BODIES: dict[str, dict[str, Any]] = {
    "approve": {"comment": "Fine."},
    "reject": {"comment": "Not now."},
    "comment": {"text": "Why now?"},
    "request-changes": {"comment": "Say why."},
    "bypass": {"reason": "The lead is away."},
    "delete-orphan": {"sure": "yes"},
    "preset-detail": {"preset_name": "Another name"},
    "replay-stream": {"since": "2026-11-29"},
    "give-place": {"email": "soon@harbour.example", "role": "lead"},
    "change-place": {"role": "lead"},
    "take-itwin": {"sure": "yes"},
    "cancel": {"sure": "yes"},
    "switch-watch": {"watch": "on"},
    "save-filter": {"page": "events", "name": "Approvals", "query": "event=approvals"},
    "end-session": {"session": "of the requester"},
}
# Who refuses writes these.
THE_RECORD = {"imodels_app_event", "imodels_app_refusedaccess", "imodels_app_session"}
REFUSED = {"in", "401", "403", "404", "405", "422"}


class Address(NamedTuple):
    """name: its row. part: what it is played with."""

    name: str
    route: str

    @property
    def part(self) -> str:
        return "/".join(self.route.split("/")[: 3 if self.route.startswith("admin/") else 1])


def addresses(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[Address]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        else:
            yield Address(_named(pattern, route), route)


def _named(pattern: URLPattern, route: str) -> str:
    """Pages of models are named by model and page, as in the table."""
    if route.startswith("admin/imodels_app/"):
        model = route.split("/")[2]
        return f"{model} {(pattern.name or 'object').removeprefix(f'imodels_app_{model}_')}"
    return str(pattern.name or "nothing")


# The first of those with one route: it is the one that is reached.
ADDRESSES = list({one.route: one for one in reversed(list(addresses(get_resolver().url_patterns)))}.values())
ROWS = {tuple(line.split()[:2]): dict(zip(PEOPLE, line.split()[2:], strict=False)) for line in TABLE.split("\n")[2:-1]}
ADMIN_ROWS = {tuple(line.rsplit(maxsplit=2)[:2]): line.split()[-1] for line in ADMIN_TABLE.strip().split("\n")}


def is_admins(address: Address) -> bool:
    return address.route.startswith("admin/") and not address.name.startswith("admin-")


def played(address: Address) -> Iterator[tuple[str, str]]:
    """Who asks it, and how."""
    return product(*(OF_THE_ADMIN if is_admins(address) else (PEOPLE, METHODS)))


def expected(address: Address, who: str, method: str) -> set[str]:
    if is_admins(address):
        return _in_admin(address, method) if who == "admin" else {"in"}
    who = "nobody" if who == "closed" else who
    row = ROWS.get((address.name, method))
    if row:
        return {row[who]}
    as_get = ROWS.get((address.name, "GET"), {}).get(who)
    if method == "HEAD" and as_get:
        return {as_get, "405"}
    return {"405", *({as_get} & REFUSED if as_get else {"in", "401"} if who == "nobody" else ())}


def _in_admin(address: Address, method: str) -> set[str]:
    page = address.name.rpartition(" ")[2]
    rows = [ADMIN_ROWS.get((name, way)) for way in (method, "GET") for name in (address.name, page)]
    found = next(filter(None, rows))
    return {found} if method in ("GET", "POST") else {found, "405", "200"}


@pytest.fixture
def people(bridge_team, mara, tomas, otto, ines, sandbox) -> dict[str, User | None]:
    def of_the_team(name: str, role: str) -> User:
        user = User.objects.create(username=name, issuer="x", subject=name, email=f"{name}@harbour.example")
        Membership.objects.create(team=bridge_team, email=user.email, user=user, role=role)
        return user

    for name, user in (("mara", mara), ("tomas", tomas), ("otto", otto), ("ines", ines)):
        tokens.store(user, sandbox.tokens_for(name))
    TokenSet.objects.update(refreshed_at=timezone.now())
    everybody = (None, otto, of_the_team("member", "member"), mara, tomas, ines, of_the_team("closed", "lead"))
    return dict(zip(PEOPLE, everybody, strict=True))


@pytest.fixture
def url_of(people, waiting_fork, spec_for, bridge_team, mara, tomas, ines):
    """url_of(address), of what the requester has."""
    now = timezone.now()
    staged = StagedFile.objects.create(owner=mara, name="pier.bim", size=99, created_at=now, touched_at=now)
    preset = Preset.objects.create(owner=mara, name="Ours", kind=Kind.CLONE, values={}, created_at=now)
    failed = lifecycle.request(spec_for(Kind.FORK), by=mara)
    fail(failed, approved_by=tomas)
    kept = SavedFilter.objects.create(owner=ines, page="events", name="Mine", query="kind=fork")
    keys: dict[str, Any] = {"new/baseline/files": staged.pk, "presets": preset.pk, "orphans": failed.pk}
    keys |= {"audit/people": mara.pk, "filters/": kept.pk, "people/": mara.pk}
    keys |= {"sessions/teams": bridge_team.pk, "approvals/rules": ApprovalRule.objects.get().pk}
    place, itwin = bridge_team.membership_set.get(user=mara), bridge_team.itwins.get()
    keys |= {"teams/places": place.pk, "teams/itwins": itwin.pk, "teams/": bridge_team.pk}
    stream = Destination.objects.create(name="SIEM", host="x", url="", key="", position=0)
    keys["audit/streams"] = stream.pk
    rows = {"team": bridge_team, "user": mara, "orphan": failed.orphan, "preset": preset, "operation": failed}
    rows |= {name: getattr(failed, f"{name}s").first() for name in ("event", "decision", "attempt")}

    def fill_in(address: Address) -> str:
        pk = next((key for start, key in keys.items() if address.route.startswith(start)), waiting_fork.pk)
        model = address.name.split()[0]
        known = {
            "<uuid:pk>": pk,
            "<int:pk>": pk if isinstance(pk, int) else 1,
            "<str:kind>": "clone",
            "<path:content_type_id>": 1,
        }
        known |= {"<slug:itwin_id>": failed.itwin_id, "<slug:imodel_id>": failed.imodel_id}
        known["<path:object_id>"] = rows[model].pk if model in rows else 1
        url = re.sub(r"\^\(\?P<app_label>.*\$", "imodels_app/", address.route).replace("(?P<url>.*)$", "no/such/page")
        for name, value in known.items():
            url = url.replace(name, str(value))
        return f"/{url}"

    return fill_in


@pytest.fixture
def ask(people, url_of):
    """ask(who, method, address) is the answer and the tables that were written for it; all of it is undone."""
    signed_in = {who: Client() for who in PEOPLE}
    for who, user in people.items():
        if user:
            signed_in[who].force_login(user)
    User.objects.filter(pk=people["closed"].pk).update(is_active=False)

    def of(who: str, method: str, address: Address, *, csrf: bool = False) -> tuple[Any, set[str]]:
        client = Client(enforce_csrf_checks=csrf)
        client.cookies.load(signed_in[who].cookies.output(header=""))
        with transaction.atomic():
            with CaptureQueriesContext(connection) as queries:
                answer = _send(client, method, url_of(address), address.name)
                if answer.streaming:
                    b"".join(answer)
            transaction.set_rollback(True)
        return answer, _written(queries)

    return of


def _send(client: Client, method: str, url: str, name: str) -> Any:
    # As the protocol of uploads wants it; for all others it is nothing.
    piece, kind = b"SQLite format 3\0", "application/offset+octet-stream"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "99", "Upload-Offset": "0"}
    headers["Upload-Metadata"] = f"filename {b64encode(b'pier.bim').decode()}"
    if method == "POST":
        return client.post(url, BODIES.get(name, {}), headers=headers)
    return client.generic(method, url, piece if method == "PATCH" else b"", content_type=kind, headers=headers)


def _written(queries: CaptureQueriesContext) -> set[str]:
    found = (re.match(r'(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"', query["sql"]) for query in queries)
    return {match[1] for match in found if match}


def outcome(answer: Any) -> str:
    to = answer.headers.get("Location", "")
    return "in" if re.match(r"/(admin/log|sign-)in/(\?|$)", to) else str(answer.status_code)


def test_every_address_has_a_row():
    ours = {address.name for address in ADDRESSES if not is_admins(address)}
    pages = {address.name for address in ADDRESSES if is_admins(address)}

    assert ours == {name for name, _ in ROWS}
    assert {name for name in pages if not {name, name.rpartition(" ")[2]} & {row for row, _ in ADMIN_ROWS}} == set()


PARTS = sorted({address.part for address in ADDRESSES})


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part or "home")
def test_everybody_gets_what_the_table_says_and_a_refusal_changes_nothing(ask, part):
    wrong: list[tuple[object, ...]] = []
    for address in (one for one in ADDRESSES if one.part == part):
        for who, method in played(address):
            answer, written = ask(who, method, address)
            got, is_kept = outcome(answer), "no-store" not in answer.headers.get("Cache-Control", "")
            if got not in expected(address, who, method):
                wrong.append((address.name, method, who, got))
            if got in REFUSED and written - THE_RECORD and address.name != "end-all-sessions":
                wrong.append((address.name, method, who, got, written))
            if got == "200" and is_kept and address.name != "jsi18n":
                wrong.append((address.name, method, who, "may be kept by a cache"))
    assert wrong == []


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part or "home")
def test_nothing_is_done_without_our_token(ask, part):
    wrong = []
    for address in (one for one in ADDRESSES if one.part == part):
        for who, method in played(address):
            # What refuses it knows nothing of roles: who may most, and nobody, are all there are.
            if method not in UNSAFE or who not in ("nobody", "admin"):
                continue
            answer, written = ask(who, method, address, csrf=True)
            # Its token comes behind a file, and is checked by the view itself.
            refused = {403, 405} if address.name == "request-baseline" else {403}
            if answer.status_code not in refused or written - THE_RECORD:
                wrong.append((address.name, method, who, answer.status_code, written))
    assert wrong == []
