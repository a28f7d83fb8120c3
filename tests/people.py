"""Fixtures that are people and things: who signs in, and the operations they asked for.

The people are the sandbox's four: their subjects and e-mail addresses are its own, so a person who signs in
through the provider's page in a journey is the same row as here.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

# Ids of the sandbox's world.
HARBOUR = "b2b00000-0000-4000-8000-000000000001"
MAIN_BRIDGE = "c3c00000-0000-4000-8000-000000000001"
OLD_QUAY = "c3c00000-0000-4000-8000-000000000004"
SUBJECTS = {
    name: f"a1a00000-0000-4000-8000-00000000000{number}"
    for number, name in enumerate(("mara", "tomas", "ines", "otto"), start=1)
}


def _person(first: str, last: str, email: str, **fields):
    from django.conf import settings

    from imodels_app.models import User

    return User.objects.create(
        username=email,
        issuer=settings.OIDC_ISSUER,
        subject=SUBJECTS[first.lower()],
        first_name=first,
        last_name=last,
        email=email,
        **fields,
    )


@pytest.fixture
def mara(db):
    """Engineer, member of the Bridge team."""
    return _person("Mara", "Lindqvist", "mara.lindqvist@harbour.example")


@pytest.fixture
def tomas(db):
    """Mara's lead."""
    return _person("Tomas", "Novak", "tomas.novak@harbour.example")


@pytest.fixture
def ines(db):
    """Admin, in no team."""
    return _person("Ines", "Duarte", "ines.duarte@harbour.example", is_staff=True)


@pytest.fixture
def otto(db):
    """Engineer and lead of another team."""
    from imodels_app.models import Membership, Team

    person = _person("Otto", "Brandt", "otto.brandt@citytransit.example")
    team = Team.objects.create(name="Transit team")
    Membership.objects.create(team=team, email=person.email, user=person, role=Membership.Role.LEAD)
    return person


@pytest.fixture
def bridge_team(mara, tomas):
    """Looks after Harbour Bridge; Tomas leads it, Mara is in it."""
    from imodels_app.models import Membership, Team, TeamITwin

    team = Team.objects.create(name="Bridge team")
    TeamITwin.objects.create(team=team, itwin_id=HARBOUR)
    Membership.objects.create(team=team, email=tomas.email, user=tomas, role=Membership.Role.LEAD)
    Membership.objects.create(team=team, email=mara.email, user=mara)
    return team


@pytest.fixture
def ida(bridge_team):
    """Leads the Bridge team beside Tomas. The sandbox does not know her."""
    from imodels_app.models import Membership, User

    email = "ida.holm@harbour.example"
    names = {"first_name": "Ida", "last_name": "Holm", "email": email}
    person = User.objects.create(username=email, issuer="https://sign-in.example", subject="ida", **names)
    Membership.objects.create(team=bridge_team, email=email, user=person, role=Membership.Role.LEAD)
    return person


@pytest.fixture
def vera(db):
    """Leads the default team, so that somebody decides about what no other team looks after."""
    from imodels_app.models import Membership, Team, User

    email = "vera.lund@harbour.example"
    names = {"first_name": "Vera", "last_name": "Lund", "email": email}
    person = User.objects.create(username=email, issuer="https://sign-in.example", subject="vera", **names)
    team = Team.objects.get(is_default=True)
    Membership.objects.create(team=team, email=email, user=person, role=Membership.Role.LEAD)
    return person


@pytest.fixture
def spec_for() -> Callable:
    """Make a wish: spec_for(Kind.CLONE, name="Pier 7", ...)."""
    from imodels_app.requesting.spec import CreationSpec, IModelRef, ITwinRef
    from imodels_app.states import ChangesetSelection, Kind

    def make(kind: Kind, **fields) -> CreationSpec:
        harbour = ITwinRef(id=HARBOUR, name="Harbour Bridge")
        usual: dict[str, Any] = {"kind": kind, "itwin": harbour, "name": f"Pier {uuid4().hex[:6]}"}
        if kind in (Kind.CLONE, Kind.FORK, Kind.TEMPLATE):
            source = IModelRef(id=MAIN_BRIDGE, name="Main Bridge", itwin=harbour)
            usual |= {"source": source, "up_to": ChangesetSelection.LATEST, "changeset_index": 120}
        if kind == Kind.FORK:
            usual |= {"preserve_history": True, "reason": "Try the seismic retrofit of pier 7."}
        return CreationSpec(**(usual | fields))

    return make


@pytest.fixture
def queued_clone(bridge_team, mara, spec_for):
    """A clone that Mara asked for and no worker has touched."""
    from imodels_app import lifecycle
    from imodels_app.states import Kind

    return lifecycle.request(spec_for(Kind.CLONE, name="Pier 7 copy"), by=mara)


@pytest.fixture
def waiting_fork(bridge_team, mara, spec_for):
    """A fork that Mara asked for and nobody has decided about."""
    from imodels_app import lifecycle
    from imodels_app.states import Kind

    return lifecycle.request(spec_for(Kind.FORK, name="Pier 7 retrofit"), by=mara)


@pytest.fixture
def baseline_of(bridge_team, mara, spec_for) -> Callable:
    """baseline_of(bytes) is Mara's wish for an iModel from a file of these bytes, which is here; queued."""
    from django.utils import timezone

    from imodels_app import lifecycle
    from imodels_app.models import StagedFile
    from imodels_app.requesting import staging
    from imodels_app.states import Kind
    from tests.files import digest

    def make(data: bytes, **fields):
        now = timezone.now()
        staged = StagedFile.objects.create(
            owner=mara,
            name="pier.bim",
            size=len(data),
            received=len(data),
            created_at=now,
            touched_at=now,
            arrived_at=now,
        )
        staging.folder()
        staging.path_of(staged).write_bytes(data)
        spec = spec_for(Kind.BASELINE, file_name="pier.bim", file_size=len(data), description=digest(data), **fields)
        return lifecycle.request(spec, by=mara, staged_file=staged)

    return make


@pytest.fixture
def running_clone(queued_clone):
    """A clone that the platform has accepted."""
    from django.utils import timezone

    from imodels_app import lifecycle

    lifecycle.claim(queued_clone, bucket="clone", now=timezone.now())
    lifecycle.accepted(queued_clone, imodel_id=str(uuid4()))
    return queued_clone


@pytest.fixture
def succeeded_clone(running_clone):
    from imodels_app import lifecycle

    lifecycle.succeeded(running_clone)
    return running_clone


@pytest.fixture
def failed_fork(waiting_fork, tomas):
    """A fork whose main iModel lacks FederationGuids."""
    fail(waiting_fork, approved_by=tomas)
    return waiting_fork


def fail(fork, *, approved_by) -> None:
    """Take a waiting fork on until it fails, because its main iModel lacks FederationGuids."""
    from django.utils import timezone

    from imodels_app import lifecycle

    lifecycle.approve(fork, by=approved_by, comment="Fine.")
    lifecycle.claim(fork, bucket="fork", now=timezone.now())
    lifecycle.accepted(fork, imodel_id=str(uuid4()))
    code = "mainIModelIsMissingFederationGuids"
    lifecycle.failed(fork, code=code, platform_state=code)


@pytest.fixture
def signed_in_mara(mara, sandbox):
    """Mara, with tokens that the sandbox takes."""
    from imodels_app.accounts import tokens

    tokens.store(mara, sandbox.tokens_for("mara"))
    return mara


@pytest.fixture
def platform_of(sandbox) -> Callable:
    """platform_of("tomas") speaks to the sandbox as that person, past the dashboard; with options of Platform."""
    from imodels_app.itwin import Platform

    return lambda name, **how: Platform(sandbox.url, sandbox.tokens_for(name)["access_token"], **how)


@pytest.fixture
def mail_server(settings):
    """A real mail server, and the product's settings that lead to it."""
    from tests.mail_server import MailServer

    server = MailServer()
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 60
    yield server
    server.stop()


@pytest.fixture
def confirmed_leads(tomas, ines):
    """Tomas and Ines with grants that the provider has confirmed a moment ago: a decision asks it nothing."""
    from django.utils import timezone

    from imodels_app.accounts import encryption
    from imodels_app.models import TokenSet

    now, token = timezone.now(), encryption.encrypt("made up")
    for person in (tomas, ines):
        TokenSet.objects.create(
            user=person, access_token=token, refresh_token=token, expires_at=now, obtained_at=now, refreshed_at=now
        )
