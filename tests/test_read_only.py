"""A GET reads: every page and fragment answers with a database that refuses all writes but those that WRITES explains.

Whoever adds a page is told that it is missing in PAGES, and whoever lets one write gives the reason here. But for the
way back from the sign-in, none writes a team, a person or an operation.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import DatabaseError, connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import ApprovalRule, Membership, TokenSet
from imodels_app.requesting import presets
from imodels_app.states import Kind, WaitReason
from tests.people import HARBOUR
from tests.views.test_sign_in import choose, come_back

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

NOBODYS_ITWIN = "b2b00000-0000-4000-8000-000000000002"  # so the default team's
VIADUCT = "c3c00000-0000-4000-8000-000000000005"
FILLED = f"itwin={NOBODYS_ITWIN}&source={VIADUCT}&name=Pier+7"
# Name of each URL that answers a GET -> an address. In braces: the id of one of the fixture `things`.
PAGES = {
    "home": "/",
    "operation-list": "/operations/?whose=team&q=pier",
    "operation-detail": "/operations/{clone}/",
    "lineage": "/operations/{clone}/lineage",
    "imodel-detail": "/imodels/{imodel}/",
    "imodel-lineage": "/imodels/{imodel}/lineage",
    "itwin-detail": f"/itwins/{HARBOUR}/",
    "orphan-list": "/orphans/",
    "orphan-detail": "/orphans/{failed}/",
    "approval-list": "/approvals/",
    "approval-detail": "/approvals/{fork}/",
    "edit-request": "/approvals/{fork}/edit",
    "approval-facts": "/approvals/{fork}/facts",
    "absence-list": "/approvals/away/",
    "chat-list": "/approvals/chats/",
    "rule-list": "/approvals/rules/",
    "new-rule": "/approvals/rules/new",
    "rule-detail": "/approvals/rules/{rule}/",
    "team-list": "/teams/",
    "new-team": "/teams/new",
    "streams": "/audit/streams/",
    "team-detail": "/teams/{team}/",
    "person-list": "/people/?q=mara",
    "person-detail": "/people/{mara}/",
    "audit": "/audit/?q=pier",
    "audit-export": "/audit/export",
    "audit-operations": "/audit/operations/?sort=-duration&event=failed",
    "audit-case": "/audit/operations/{failed}/",
    "audit-numbers": "/audit/numbers/",
    "audit-person": "/audit/people/1/",
    "audit-itwin": f"/audit/itwins/{HARBOUR}/",
    "audit-imodel": "/audit/imodels/{imodel}/",
    "new": "/new/",
    "request-empty": f"/new/empty/?{FILLED}",
    "request-template": f"/new/template/?{FILLED}",
    "request-baseline": f"/new/baseline/?{FILLED}",
    "request-clone": "/new/clone/?from={clone}",
    "request-fork": "/new/fork/?preset={preset}",
    "request-checks": f"/new/fork/checks/?{FILLED}",
    "save-preset": "/new/fork/preset/",
    "preset-detail": "/presets/{preset}/",
    "session-list": "/sessions/",
    "pick-itwins": "/pick/itwins/?q=Harbour",
    "pick-imodels": f"/pick/imodels/?q=Via&itwin_id={NOBODYS_ITWIN}",
    "pick-changesets": f"/pick/changesets/?source_id={VIADUCT}",
    "pick-versions": f"/pick/versions/?source_id={VIADUCT}",
    "sign-in": "/sign-in/",
    "sign-in-start": "/sign-in/start?next=/new/",
    "sign-in-callback": "/sign-in/callback?error=access_denied",
    "healthz": "/healthz",
    "readyz": "/readyz",
    "operating": "/operating/",
    "metrics": "/metrics",
    "favicon": "/favicon.ico",
    "find": "/find/?q=pier",
    "help": "/help/",
    "whats-new": "/help/new/",
    "first-steps": "/first-steps/",
    "access": "/new/access/",
    "preferences": "/preferences/",
}
SHOW_NO_PAGE = {
    "access",
    "audit-imodel",
    "audit-itwin",
    "home",
    "favicon",
    "metrics",
    "save-preset",
    "sign-in-start",
    "sign-in-callback",
}
ACTS = {
    "theme": "/theme",
    "act-on-several": "/operations/several",
    "cancel": "/operations/{clone}/cancel",
    "subscribe": "/operations/{clone}/subscribe",
    "start-now": "/operations/{clone}/start",
    "delete-orphan": "/orphans/{failed}/delete",
    "switch-rule": "/approvals/rules/{rule}/switch",
    "change-team": "/teams/1/change",
    "delete-team": "/teams/1/delete",
    "give-place": "/teams/1/people",
    "give-itwin": "/teams/1/itwins",
    "change-place": "/teams/places/1",
    "take-itwin": "/teams/itwins/1/take",
    "set-admin": "/people/1/admin",
    "set-account": "/people/1/account",
    "end-sessions": "/people/1/sessions",
    "approve": "/approvals/{fork}/approve",
    "reject": "/approvals/{fork}/reject",
    "request-changes": "/approvals/{fork}/request-changes",
    "bypass": "/approvals/{fork}/bypass",
    "decide-several": "/approvals/decide",
    "comment": "/approvals/{fork}/comment",
    "look": "/approvals/{fork}/look",
    "start": "/approvals/{fork}/start",
    "end-absence": "/approvals/away/1/end",
    "remove-chat": "/approvals/chats/1/remove",
    "switch-watch": "/sessions/teams/{team}/watch",
    "look-outside": "/audit/outside/look",
    "switch-stream": "/audit/streams/1/switch",
    "replay-stream": "/audit/streams/1/replay",
    "delete-stream": "/audit/streams/1/delete",
    "staged-files": "/new/baseline/files/",
    "staged-file": "/new/baseline/files/{clone}",
    "remove-staged-file": "/new/baseline/files/{clone}/remove",
    "delete-preset": "/presets/{preset}/delete",
    "save-filter": "/filters",
    "delete-filter": "/filters/1/delete",
    "sign-out": "/sign-out",
    "end-session": "/sessions/end",
    "end-all-sessions": "/sessions/end-all",
}
# Table -> why a page writes to it.
ASKS_THE_PLATFORM = {
    "imodels_app_bucket": "each call to the platform is counted",
    "imodels_app_lookupshare": "and so is each look-up of a person, against their share",
    "imodels_app_circuitbreaker": "whether it answers is for everybody to know",
    "imodels_app_tokenset": "a token that has run out is refreshed first, under a lease",
}
ASKING = [
    name
    for name in PAGES
    if re.match("lineage|imodel-lineage|approval-facts|edit-request|orphan-detail|request-|pick-|access", name)
]
OF_ADMINS = {
    *("audit", "audit-operations", "audit-case", "audit-numbers", "audit-person", "audit-itwin", "audit-imodel"),
    *("streams", "chat-list", "new-team", "person-list", "person-detail", "operating", "first-steps"),
}
REFUSED = {"imodels_app_event": "who opens a page of administrators and is none is history"}
WRITES = (
    dict.fromkeys(ASKING, ASKS_THE_PLATFORM)
    | dict.fromkeys(OF_ADMINS, REFUSED)
    | {
        "audit-export": {
            "imodels_app_event": "who exported what is history, too",
            "imodels_app_logleaf": "what is exported is proved to be in the log, so it is added first",
            "imodels_app_loghead": "as the leaves",
            "imodels_app_unloggedevent": "what was added no longer waits",
        },
        "sign-in-callback": {
            "imodels_app_refusedaccess": "a sign-in that failed is counted",
            "imodels_app_event": "what was counted is history, once its ten minutes are over",
        },
    }
)
SIGNING_IN = {
    "imodels_app_user": "a person comes for the first time, or has another name now",
    "imodels_app_membership": "places that were given to the address are the person's now",
    "imodels_app_tokenset": "the tokens that workers act with",
    "imodels_app_event": "who signed in is history",
    "imodels_app_session": "a new one, so that none could have been planted",
    "imodels_app_operation": "what waited for the sign-in goes on",
}
PAGE_OR_PART = ("", "true")  # as htmx says it in HX-Request
PEOPLE = ("mara", "tomas", "ines", "otto")

READS = re.compile(r"SELECT|SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT")
TABLE = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"')


@contextmanager
def refusing_writes(*, but_to: Iterable[str] = ()) -> Iterator[set[str]]:
    """Refuse each statement that writes to any other table. What it gives is where something wanted to write."""
    written = set()

    def look(execute, sql, params, many, context):
        if not READS.match(sql):
            table = TABLE.match(sql)
            written.add(table[1] if table else sql)
            if not table or table[1] not in but_to:
                raise DatabaseError(f"This database is read only: {sql}")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield written


def read(browser: Client, address: str, **headers: str) -> int:
    """Get a page to its last byte; its status."""
    answer = browser.get(address, headers=headers)
    answer.getvalue()
    return answer.status_code


@pytest.fixture
def browsers(mara, tomas, ines, otto, sandbox) -> dict[str, Client]:
    """One of each person, whose token has run out, and one in which nobody has signed in."""
    browsers = {"": Client()}
    for name, person in zip(PEOPLE, (mara, tomas, ines, otto), strict=True):
        tokens.store(person, sandbox.tokens_for(name))
        browsers[name] = Client()
        browsers[name].force_login(person)
    TokenSet.objects.update(expires_at=timezone.now())
    return browsers


@pytest.fixture
def things(running_clone, failed_fork, spec_for, bridge_team, mara) -> dict[str, str]:
    """Ids for addresses: something of Mara's of each sort."""
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    preset = presets.save(Kind.FORK, "Monthly", {"source_id": VIADUCT}, by=mara, team=bridge_team)
    rows = {
        "clone": running_clone,
        "failed": failed_fork,
        "fork": fork,
        "preset": preset,
        "team": bridge_team,
        "mara": mara,
        "rule": ApprovalRule.objects.get(),
    }
    return {name: str(row.pk) for name, row in rows.items()} | {"imodel": failed_fork.imodel_id}


def patterns(level: list[URLPattern | URLResolver], namespace: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Name and pattern of everything that has an address."""
    for pattern in level:
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern.url_patterns, pattern.namespace or "")
        else:
            yield f"{namespace}:{pattern.name}", pattern


EVERYTHING = dict(patterns(get_resolver().url_patterns))


def test_no_page_is_forgotten(things):
    ours = {name for name in EVERYTHING if name.startswith("imodels:")}
    listed = {resolve(address.format(**things).partition("?")[0]).view_name for address in (PAGES | ACTS).values()}

    assert {f"imodels:{name}" for name in PAGES | ACTS} == ours == listed


def test_what_is_no_page_answers_no_get(browsers, things):
    with refusing_writes():
        answers = {
            name: read(browsers["mara"], ACTS[name].format(**things), **{"Tus-Resumable": "1.0.0"}) for name in ACTS
        }

    assert answers == dict.fromkeys(ACTS, 405)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_writes_nothing_but_what_is_explained(browsers, things, name):
    address, explained = PAGES[name].format(**things), set(WRITES.get(name, ()))

    with refusing_writes(but_to=explained) as written:
        answers = {
            read(browser, address, **{"HX-Request": way}) for browser in browsers.values() for way in PAGE_OR_PART
        }

    assert written == explained
    assert max(answers) < 500
    assert 200 in answers or name in SHOW_NO_PAGE


def test_signing_in_writes_what_is_explained(browsers, queued_clone):
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, timezone.now() + timedelta(days=1))
    Membership.objects.update(user=None)
    start = browsers[""].get(PAGES["sign-in-start"])
    back = choose(start["Location"], "mara")

    with refusing_writes(but_to=SIGNING_IN) as written:
        answer = come_back(browsers[""], back)

    assert (answer.status_code, written) == (302, set(SIGNING_IN))


@pytest.mark.parametrize("name", sorted(name for name in EVERYTHING if re.match("admin:(?!None)", name)))
def test_django_admins_pages_write_nothing_but_who_is_refused(browsers, things, name):
    model = re.fullmatch(r"admin:imodels_app_(\w+)_\w+", name)
    row = apps.get_model("imodels_app", model[1]).objects.first() if model else None
    values = {"object_id": row.pk if row else 1, "app_label": "imodels_app", "content_type_id": 1}
    wanted = EVERYTHING[name].pattern.regex.groupindex
    address = reverse(name, kwargs={key: values[key] for key in wanted})

    with refusing_writes(but_to=REFUSED):
        statuses = {read(browser, address) for browser in browsers.values()}

    assert max(statuses) < 500
