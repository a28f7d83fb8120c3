"""An auditor's ten questions, each answered within three clicks, and by what the platform itself has written down."""

import csv
import json
import zipfile
from datetime import datetime

import pytest
from django.core.management import call_command
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import rights, tokens, watches
from imodels_app.audit import log
from imodels_app.models import ApprovalRule, Membership, Operation, Team, TeamITwin, User, WatchedITwin
from imodels_app.runtime import clock
from imodels_app.states import Kind, State
from imodels_app.workers import outside
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.exports import checked
from tests.journeys.test_audit_pages import picture
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = pytest.mark.django_db(transaction=True)
MOST_CLICKS = 3


@pytest.fixture
def team(mara, tomas, ines):
    """The Bridge team, as an administrator sets it up. By the way she becomes one."""
    User.objects.update(is_staff=False)
    rights.save(ines, by=None)
    team = Team(name="Bridge team")
    rights.save(team, by=ines)
    rights.save(TeamITwin(team=team, itwin_id=HARBOUR), by=ines)
    for person, role in ((tomas, Membership.Role.LEAD), (mara, Membership.Role.MEMBER)):
        rights.save(Membership(team=team, email=person.email, role=role), by=ines)
    return team


@pytest.fixture
def asked(team, mara, spec_for):
    """asked(kind, name) is a request of Mara's."""
    return lambda kind, name, **fields: lifecycle.request(spec_for(kind, name=name, **fields), by=mara)


def made(operation) -> Operation:
    """By the platform, as far as it goes."""
    submit(operation.pk)
    poll(operation.pk)
    return Operation.objects.get(pk=operation.pk)


@pytest.fixture
def record(team, asked, mara, tomas, otto, ines, sandbox, client, platform_of) -> dict[str, Operation]:
    """A fork that Tomas approved, a clone that the platform refused, a fork that Ines bypassed; and what others did."""
    sandbox.advance_by_polls(0)
    for name, person in (("mara", mara), ("tomas", tomas), ("ines", ines)):
        tokens.store(person, sandbox.tokens_for(name))
    watches.switch_on(tomas, team)
    look()
    fork = asked(Kind.FORK, "Pier 7 retrofit")
    client.force_login(tomas)
    client.post(reverse("imodels:approve", args=[fork.pk]), {"comment": "Fine."})
    refused = asked(Kind.CLONE, "Quay copy")
    platform_of("tomas").start("/imodels", json.dumps({"iTwinId": HARBOUR, "name": "Quay copy"}))
    bypassed = asked(Kind.FORK, "Night works")
    client.force_login(ines)
    client.post(reverse("imodels:bypass", args=[bypassed.pk]), {"reason": "The lead is away."})
    rule = ApprovalRule.objects.get(name="Forks need a lead")
    rule.more_changesets_than = 5
    rights.save(rule, by=ines)
    done = {"fork": made(fork), "refused": made(refused), "bypassed": made(bypassed)}
    look()
    mara.is_active = False
    rights.save(mara, by=ines)
    log.add_events()
    client.force_login(ines)
    assert [one.state for one in done.values()] == [State.SUCCEEDED, State.FAILED, State.SUCCEEDED]
    return done


def look() -> None:
    watches.follow()
    WatchedITwin.objects.update(due_at=clock.now())
    outside.look(HARBOUR)


class Auditor:
    """Ines at the audit. What is picked from a list is a click, too."""

    def __init__(self, page) -> None:
        self.page, self.clicks = page, 0

    def click(self, role: str, name: str) -> None:
        self.page.get_by_role(role, name=name, exact=True).first.click()
        self.clicks += 1

    def go(self, role: str, name: str) -> None:
        """To the page that this leads to, until all of it is there."""
        with self.page.expect_navigation():
            self.click(role, name)

    def pick(self, label: str, choice: str) -> None:
        self.page.get_by_label(label, exact=True).select_option(label=choice)
        self.clicks += 1

    def reads(self, where: str = "") -> str:
        assert self.clicks <= MOST_CLICKS
        place = self.page.get_by_role("region", name=where, exact=True) if where else self.page.locator("main")
        return " ".join(place.inner_text().split())

    def events(self) -> list[str]:
        """The rows of Events."""
        self.reads()
        return [" ".join(row.inner_text().split()) for row in self.page.locator("tbody tr").all()]


@pytest.fixture
def ask(settings, record, client, live_server, open_page):
    """ask() begins a question, at the audit."""
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page = open_page(viewport={"width": 1200, "height": 760})
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])

    def begin() -> Auditor:
        page.goto("/audit/")
        return Auditor(page)

    return begin


def test_ten_questions_are_answered_within_three_clicks_each(ask, record, sandbox, mara, tomas, tmp_path):
    posts = [entry for entry in sandbox.journal if entry.method == "POST" and entry.path.startswith("/imodels")]
    fork = next(entry for entry in posts if entry.correlation_id == str(record["fork"].pk))
    no = next(entry for entry in posts if entry.correlation_id == str(record["refused"].pk))
    others = next(entry for entry in posts if not entry.correlation_id)
    named = {one.id: one.name for one in sandbox.world.people.values()}

    # 1. Who made this iModel?
    auditor = ask()
    auditor.page.get_by_label("iModel id").fill(fork.imodel_id)
    auditor.go("button", "Show")
    auditor.go("link", "Pier 7 retrofit")
    auditor.go("link", "iModel")
    assert f"Requested by {named[fork.person]}" in auditor.reads()

    # 2. From what?  3. Who allowed it, and who could have?  5. Who of the desk could see it, then and now?
    auditor = ask()
    auditor.page.get_by_label("iModel id").fill(fork.imodel_id)
    auditor.go("button", "Show")
    auditor.go("link", "Pier 7 retrofit")
    sent = auditor.reads("What the platform was sent, and said")
    assert fork.path == f"/imodels/{MAIN_BRIDGE}/fork"
    assert f"POST {fork.path}" in sent
    assert all(f'"{key}"' in sent for key in fork.body)
    decisions = auditor.reads("Decisions")
    assert "Tomas Novak: approved" in decisions
    decided_at = auditor.page.get_by_role("region", name="Decisions").locator("time").first.get_attribute("datetime")
    # To the platform it went with the requester's rights, and only after that.
    assert datetime.fromisoformat(decided_at).timestamp() < fork.at
    assert "Could decide on" in decisions
    sight = auditor.reads("Who could see it here")
    assert "When it was requested: Ines Duarte, Mara Lindqvist, Tomas Novak Now: Ines Duarte, Tomas Novak The" in sight
    picture(auditor.page, "audit-case")

    # 4. What did the platform say?
    auditor = ask()
    auditor.pick("Event", "Failed")
    auditor.go("button", "Show")
    auditor.go("link", "Quay copy")
    assert no.status == 409
    assert f"POST {no.path}: {no.status} after" in auditor.reads("What happened")

    # 6. Who changed the rule?
    auditor = ask()
    auditor.pick("Event", "People, teams, rights and rules")
    auditor.go("button", "Show")
    [changed] = [row for row in auditor.events() if "Approval rule changed" in row]
    picture(auditor.page, "audit-rights")
    assert "Ines Duarte" in changed
    assert "more than 5 changesets" in changed

    # 7. What was made outside?
    auditor = ask()
    auditor.pick("Event", "Seen outside")
    auditor.go("button", "Show")
    [made_outside] = auditor.events()
    assert others.body["name"] in made_outside
    assert f"by {named[others.person]}" in made_outside
    picture(auditor.page, "audit-outside")

    # 8. Which approvals were bypassed?
    auditor = ask()
    auditor.pick("Event", "Approval bypassed")
    auditor.go("button", "Show")
    [bypassed] = auditor.events()
    assert "Night works" in bypassed
    assert "The lead is away." in bypassed

    # 9. What did this leaver do?
    auditor = ask()
    auditor.pick("Person", "Mara Lindqvist")
    auditor.pick("Event", "Platform called")
    auditor.go("button", "Show")
    hers = [
        f"{entry.method} {entry.path}: {entry.status}" for entry in posts if entry.person == sandbox.person("mara").id
    ]
    called = auditor.events()
    assert len(called) == len(hers) == 3
    assert all(any(one in row for row in called) for one in hers)
    picture(auditor.page, "audit-leaver")

    # 10. Is the record whole?
    auditor = ask()
    head = auditor.reads("Audit log").split("Head: ")[1].split()[0]
    with auditor.page.expect_download() as download:
        auditor.click("button", "Export")
    auditor.reads()
    zipfile.ZipFile(download.value.path()).extractall(tmp_path)
    assert checked(tmp_path)[0] == 0
    call_command("verify_audit", head=[head])
    with (tmp_path / "events.csv").open(encoding="utf-8-sig", newline="") as file:
        told = [row["note"].partition(" after ")[0] for row in csv.DictReader(file) if row["verb"] == "called"]
    sent = [f"{entry.method} {entry.path}: {entry.status}" for entry in posts if entry.correlation_id]
    assert sorted(told) == sorted(sent)
