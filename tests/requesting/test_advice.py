"""What a form tells while one types: each sentence, from the sandbox over HTTP. Advice only: the server decides."""

import re

import pytest
from django.urls import reverse

from imodels_app.accounts import tokens
from imodels_app.requesting.catalog import Catalog
from tests.views.test_new_imodel import ORESUND, address, text_of, typed

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


@pytest.fixture
def advice_for(client, mara, vera, sandbox):
    """told("clone", name=...): the side column for what Mara has typed."""
    tokens.store(mara, sandbox.tokens_for("mara"))
    client.force_login(mara)

    def tell(kind, **fields):
        return text_of(client.get(reverse("imodels:request-checks", args=[kind]), typed(kind, **fields)))

    return tell


def sent(client, kind, **fields):
    return client.post(address(kind), typed(kind, **fields)).status_code


# The target


def test_rights_that_the_platform_does_not_tell_are_not_known_and_the_rest_is(advice_for, sandbox):
    sandbox.fault("GET", r"^/accesscontrol/", status=500, times=9)

    said = advice_for("empty")

    assert "Your permissions in Harbour Bridge are not known" in said
    assert "Name is free in Harbour Bridge" in said


def test_whether_the_name_is_free_there(advice_for):
    assert "Name is free in Harbour Bridge" in advice_for("empty")
    assert "Name is taken in Harbour Bridge “Main Bridge 2” is free." in advice_for("empty", name="Main Bridge")


def test_an_inactive_itwin_is_warned_of(advice_for, client, sandbox):
    assert "Old Ferry Terminal is inactive" in advice_for("empty", itwin="Old Ferry Terminal")
    assert "inactive" not in advice_for("empty")
    assert sent(client, "empty", itwin="Old Ferry Terminal") == 303


def test_whether_one_may_create_there(advice_for, client):
    assert "You may create iModels in Harbour Bridge You have imodels_manage there." in advice_for("empty")
    assert "You do not have imodels_manage in Water West" in advice_for("empty", itwin="Water West")
    assert sent(client, "empty", itwin="Water West") == 303


# The source


def test_whether_the_source_is_ready(advice_for, sandbox):
    assert "Main Bridge is ready" in advice_for("clone")
    assert "Main Bridge temporary works is not ready" in advice_for("clone", source=sandbox.ids["not-initialized"])


@pytest.mark.parametrize("kind", ["clone", "fork"])
def test_whether_one_may_copy_from_there(advice_for, sandbox, kind):
    sandbox.allow(sandbox.ids["rail-corridor"], "mara", ["imodels_webview"])

    assert "You may create iModels in Harbour Bridge You have imodels_manage" in advice_for(kind)
    assert "You do not have imodels_manage in Rail Corridor 2027" in advice_for(kind, source="Viaduct")


@pytest.mark.parametrize("kind", ["clone", "fork"])
def test_a_source_with_permissions_of_its_own_has_to_be_seen(advice_for, client, sandbox, kind):
    assert "permissions of its own" not in advice_for(kind)

    sandbox.secure(sandbox.ids["viaduct"], "mara", ["imodels_webview"])
    assert "You may view Viaduct It has permissions of its own." in advice_for(kind, source="Viaduct")

    sandbox.secure(sandbox.ids["depot"], "tomas", ["imodels_webview"])
    shut = advice_for(kind, source="Depot")
    assert "You do not have imodels_webview on Depot" in shut
    assert "You may not view the changesets of Depot" in shut
    assert "Depot is ready" not in shut
    assert sent(client, kind, source="Depot") == 422


def test_rights_that_cannot_be_asked_for_are_not_known(advice_for, sandbox):
    sandbox.secure(sandbox.ids["viaduct"], "mara", ["imodels_webview"])
    sandbox.fault("GET", r"^/imodels/.*/permissions$", status=403, times=5)

    assert "Your permissions on Viaduct are not known" in advice_for("clone", source="Viaduct")


def test_whether_a_template_may_be_read(advice_for, sandbox):
    assert "You may read Main Bridge You have imodels_read there." in advice_for("template")

    sandbox.secure(sandbox.ids["viaduct"], "mara", ["imodels_webview"])
    secured = advice_for("template", source="Viaduct")
    assert "You do not have imodels_read on Viaduct It has permissions of its own." in secured


# How much


def test_how_many_changesets_will_be_copied(advice_for, mara, sandbox):
    forty = Catalog(mara).changeset(sandbox.ids["main-bridge"], "40").id

    assert "Changesets up to #120 will be copied 120 at most." in advice_for("clone")
    for changeset in ("40", forty):
        by = advice_for("clone", up_to="changeset", changeset=changeset)
        assert "Changesets up to #40 will be copied 40 at most." in by
    version = advice_for("clone", up_to="version", version="60 % design")
    assert "Changesets up to #96 will be copied 96 at most." in version
    everything = advice_for("clone", up_to="everything")
    assert "All changesets will be copied Now up to #120, and any added before it runs." in everything


@pytest.mark.parametrize(
    "way", [{"up_to": "baseline"}, {"up_to": "changeset", "changeset": "0"}, {"source": "Depot", "up_to": "latest"}]
)
@pytest.mark.parametrize("kind", ["clone", "fork", "template"])
def test_nothing_but_the_baseline_is_said_so(advice_for, kind, way):
    assert "Only the baseline will be copied" in advice_for(kind, **way)


def test_a_fork_without_its_history_is_warned_of(advice_for, client):
    lost = "The fork loses its history: 120 changesets become one baseline"

    assert lost in advice_for("fork", preserve_history="")
    assert "1 changeset becomes one baseline" in advice_for(
        "fork", preserve_history="", up_to="changeset", changeset="1"
    )
    assert "loses its history" not in advice_for("fork")
    assert "loses its history" not in advice_for("fork", preserve_history="", up_to="baseline")
    assert sent(client, "fork", preserve_history="") == 303


def test_a_template_becomes_one_baseline(advice_for):
    assert "Content up to #120 becomes the baseline Without history: no changeset is copied." in advice_for("template")


# Where


def test_a_copy_to_another_region_is_warned_of(advice_for, client, sandbox):
    sandbox.world.itwins[sandbox.ids["rail-corridor"]].data_center = "UK South"

    assert "Same region, East US" in advice_for("clone")
    assert "From East US to UK South The platform may refuse" in advice_for("clone", itwin="Rail Corridor 2027")
    assert sent(client, "clone", itwin="Rail Corridor 2027") == 303


def test_a_template_has_to_be_in_the_same_data_center(advice_for, sandbox):
    sandbox.world.itwins[sandbox.ids["rail-corridor"]].data_center = "UK South"

    assert "Same data center, East US" in advice_for("template")
    elsewhere = advice_for("template", itwin="Rail Corridor 2027")
    assert "From East US to UK South They must be in the same data center." in elsewhere


@pytest.mark.parametrize(
    ("swapped", "warning"),
    [
        ({"north": "55.55", "south": "55.68"}, "South is north of North"),
        ({"west": "12.9", "east": "12.6"}, "West is east of East"),
    ],
)
@pytest.mark.parametrize("kind", ["empty", "template"])
def test_swapped_corners_are_warned_of(advice_for, client, kind, swapped, warning):
    assert warning in advice_for(kind, **(ORESUND | swapped))
    assert warning not in advice_for(kind, **ORESUND)


def test_a_fork_says_what_only_its_running_will_tell(advice_for):
    assert "FederationGuids: known only when it runs" in advice_for("fork")


# It is late


def test_a_platform_that_is_down_is_said_and_nothing_else_is_claimed(advice_for, sandbox):
    sandbox.fault("GET", r"/", status=503, times=100)
    page = advice_for("fork")

    assert "The platform is not answering." in page
    assert not re.search("is free|is ready|You may", page)
