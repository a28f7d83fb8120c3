"""No name widens a page: 205 characters without a space, in everything that has a name, on every page that shows it."""

import pytest
from django.test import Client

from imodels_app import lifecycle
from imodels_app.models import Operation, Team
from imodels_app.requesting import presets, staging
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import ChangesetSelection, Kind
from tests.pages import every_page
from tests.people import HARBOUR, MAIN_BRIDGE

LONG = "HarbourBridge" * 15 + "Retrofit20"
# As wide as a laptop, a phone and an old phone.
WIDTHS = [320, *(pytest.param(width, marks=pytest.mark.soak) for width in (390, 1280))]


@pytest.fixture
def long_names(bridge_team, signed_in_mara, tomas, ines, spec_for, baseline_of, sandbox, tmp_path, settings):
    """Everything that has a name has a long one; the pages that show it in other ways than others do, and for whom."""
    settings.STAGING_DIR = tmp_path
    mara = signed_in_mara
    for person in (mara, tomas, ines):
        person.first_name, person.last_name = LONG[:120], LONG[:120]
        person.save()
    Team.objects.filter(pk=bridge_team.pk).update(name=LONG[:100])
    into = ITwinRef(id=HARBOUR, name=LONG)
    source = IModelRef(id=MAIN_BRIDGE, name=LONG, itwin=into)
    copied = {"source": source, "up_to": ChangesetSelection.LATEST, "changeset_index": 120}

    def asked(kind: Kind, name: str, **fields) -> Operation:
        fields = (copied if kind in (Kind.CLONE, Kind.FORK) else {}) | fields
        return lifecycle.request(spec_for(kind, name=name, itwin=into, description=LONG, **fields), by=mara)

    def ran(kind: Kind, name: str) -> Operation:
        operation = asked(kind, name)
        if kind == Kind.FORK:
            lifecycle.approve(operation, by=tomas, comment=LONG)
        with_attempt = lifecycle.claim(operation, bucket="clone", now=operation.created_at)
        lifecycle.accepted(with_attempt.operation, imodel_id=str(with_attempt.operation.pk))
        return with_attempt.operation

    waiting, queued = asked(Kind.FORK, LONG, reason=LONG), asked(Kind.CLONE, f"{LONG}Q")
    running, done, failed = (ran(Kind.CLONE, f"{LONG}{number}") for number in range(3))
    lifecycle.polled(running, platform_state=LONG[:64], due_at=running.created_at)
    lifecycle.succeeded(done)
    lifecycle.failed(failed, code=LONG[:64], message=LONG, details=[{"message": LONG, "target": LONG}])
    refused = asked(Kind.CLONE, f"{LONG}R")
    lifecycle.claim(refused, bucket="clone", now=refused.created_at)
    lifecycle.failed(refused, code="iModelExists", message=LONG)
    rejected = asked(Kind.FORK, f"{LONG}J", reason=LONG)
    lifecycle.reject(rejected, by=tomas, comment=LONG)
    baseline = baseline_of(staging.HEADER + bytes(100), name=f"{LONG}B")
    Operation.objects.filter(pk=baseline.pk).update(file_name=f"{LONG}.bim")
    staging.announce(name=f"{LONG}.bim", size=1000, owner=mara)
    values = {"name": LONG, "itwin": LONG, "source": LONG, "description": LONG}
    preset = presets.save(Kind.CLONE, LONG[:100], values, by=mara, team=bridge_team)
    operations = (waiting, queued, running, done, failed, refused, rejected, baseline)
    return {
        mara: [
            *(f"/operations/{one.pk}/" for one in operations),
            *(f"/operations/{one.pk}/lineage" for one in (done, running)),
            *(f"/new/{one.kind}/?from={one.pk}" for one in (waiting, queued, failed, refused, baseline)),
            *(f"/imodels/{MAIN_BRIDGE}/", f"/imodels/{done.pk}/", f"/itwins/{HARBOUR}/", f"/find/?q={LONG[:9]}"),
            *("/operations/", f"/operations/?q={LONG}&person={mara.pk}&itwin={HARBOUR}", "/approvals/", "/orphans/"),
            *(f"/orphans/{failed.pk}/", "/new/", f"/new/baseline/?name={LONG}", f"/presets/{preset.pk}/"),
            f"/new/clone/?preset={preset.pk}&source={LONG}&itwin={LONG}",
        ],
        tomas: ["/approvals/", f"/approvals/{waiting.pk}/", f"/approvals/{rejected.pk}/", f"/approvals/{done.pk}/"],
        ines: ["/audit/", f"/audit/?q={LONG}&team={LONG[:100]}", "/operations/?whose=all", "/orphans/"],
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_no_name_widens_a_page(open_page, live_server, long_names, width, troubles):
    troubles.expect("status of (404|422)")
    too_wide = []
    clients = {person: Client() for person in long_names}
    for person, client in clients.items():
        client.force_login(person)
    walked = every_page(clients)
    for person, client in clients.items():
        # One page of each address, and in the soak all that look different.
        addresses = [*walked[person], *(long_names[person] if width != WIDTHS[0] else ())]
        page = open_page(viewport={"width": width, "height": 800})
        session = client.cookies["desk-session"]
        page.context.add_cookies([{"name": session.key, "value": session.value, "url": live_server.url}])
        for address in addresses:
            page.goto(address)
            page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                who = page.evaluate(WIDEST)
                too_wide.append(f"{address[:60]}: {wide} px too wide by {who}")

    assert not too_wide, "\n".join(too_wide)


WIDEST = """() => [...document.querySelectorAll("main *, header *, body *")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 6).map((one) => `<${one.tagName} ${one.id}.${one.className}>`)"""
