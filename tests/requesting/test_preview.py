"""What is previewed is what is stored and what the platform receives, byte for byte, for any form that is in order."""

import html
import os
import re
from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imodels_app import lifecycle
from imodels_app.models import Attempt, Bucket, LookupShare, Operation
from imodels_app.requesting import staging
from imodels_app.states import State
from imodels_app.workers.submit import submit

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

MANY = int(os.environ.get("SOAK_SCHEDULES") or 1000) // 2
VERSIONS = ("60 % design", "30 % design", "Checked alignment")
# As a form's line of text: no control characters, which a browser does not send.
line = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
numbers = count(1)


def degrees(most):
    return st.one_of(st.integers(-most, most), st.floats(-most, most, allow_nan=False)).map(repr)


extents = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"north": degrees(90), "south": degrees(90), "west": degrees(180), "east": degrees(180)}),
)
how_far = st.one_of(
    st.sampled_from([{"up_to": "latest"}, {"up_to": "baseline"}]),
    st.sampled_from(VERSIONS).map(lambda name: {"up_to": "version", "version": name}),
    st.integers(0, 120).map(lambda index: {"up_to": "changeset", "changeset": str(index)}),
)
everything = st.just({"up_to": "everything"})
source = st.sampled_from(["Main Bridge", "main bridge"]).map(lambda name: {"source": name})
crs = st.sampled_from(["", "EPSG:25832", "3857"]).map(lambda system: {"crs": system})
reason = st.booleans().map(lambda kept: {"preserve_history": "on" if kept else "", "reason": "Try it."})
PARTS = {
    "empty": [extents, crs],
    "template": [source, how_far, extents],
    "baseline": [extents],
    "clone": [source, how_far | everything],
    "fork": [source, how_far, reason],
}


def a_file(owner, size):
    """A baseline file that has arrived."""
    staged = staging.announce(name="harbour.bim", size=size, owner=owner)
    staging.grow(staged, staging.HEADER + bytes(size - len(staging.HEADER)), at=0)
    return staging.complete(staged)


def forget_the_pace():
    """Nobody fills in forms as fast as this: what a person may do in a minute starts anew."""
    cache.clear()
    LookupShare.objects.all().delete()
    Bucket.objects.all().delete()


@st.composite
def filled_forms(draw):
    """A kind, and all that is typed into its form."""
    kind = draw(st.sampled_from(list(PARTS)))
    typed = {"itwin": draw(st.sampled_from(["Harbour Bridge", "rail corridor 2027"])), "description": draw(line)}
    for part in PARTS[kind]:
        typed |= draw(part)
    return kind, typed, draw(line)


@pytest.fixture
def at_desk(client, bridge_team, signed_in_mara, sandbox):
    sandbox.limits_off()
    client.force_login(signed_in_mara)
    return client


# Both documentations of the platform; one switch for a whole run of forms.
@pytest.mark.parametrize("creation_modes", [False, True], ids=["older", "newer"])
@pytest.mark.parametrize("forms", [25, pytest.param(MANY, marks=pytest.mark.soak, id="many")])
def test_the_preview_is_what_the_platform_receives(at_desk, mara, tomas, sandbox, creation_modes, forms, request):
    request.getfixturevalue("settings").ITWIN_CREATION_MODES = creation_modes
    seen = set()

    @settings(
        max_examples=forms,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(filled_forms())
    def play(form):
        kind, typed, name = form
        forget_the_pace()
        typed = typed | {"form_id": str(uuid4()), "name": f"{name} {next(numbers)}"}
        if kind == "baseline":
            typed["staged_file"] = str(a_file(mara, size=16 + next(numbers)).pk)
        checks = at_desk.get(reverse("imodels:request-checks", args=[kind]), typed).content.decode()
        answer = at_desk.post(reverse(f"imodels:request-{kind}"), typed)
        assert answer.status_code == 303, html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode()))
        operation = Operation.objects.get(pk=answer["Location"].rstrip("/").split("/")[-1])
        if operation.state == State.AWAITING_APPROVAL:
            lifecycle.approve(operation, by=tomas)
        submit(operation.pk)
        long_ago = timezone.now() - timedelta(minutes=5)
        Attempt.objects.update(sent_at=long_ago, answered_at=long_ago)  # no pause for the rate limit

        sent = [call for call in sandbox.journal if call.method == "POST" and call.text][-1]
        shown = re.search(r'<pre class="code"[^>]*>(.*?)</pre>', checks, re.DOTALL)[1]
        assert html.unescape(re.sub(r"</?span[^>]*>", "", shown)) == operation.request_body == sent.text
        assert sent.path == operation.request_path
        assert f"<span>{sandbox.url}{sent.path}</span>" in checks
        assert sent.status in (201, 202)
        seen.add(kind)

    play()
    assert seen == set(PARTS)
