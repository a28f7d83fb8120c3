"""What any platform is asked: the sandbox each time, the real one with ``-m live`` (README.md).

Nothing here knows what exists there. A question looks for its example among what the asking person may see.
"""

import itertools
import json
import time
from contextlib import suppress
from functools import cache
from uuid import uuid4

import pytest

from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import CreateOperation, IModel
from tests.contract.conftest import EVERY_API, LIVE_ITWIN_ID, Caller, details_of, error_of, walk

UNKNOWN = "0badc0de-0000-4000-8000-000000000000"
IMODEL_PERMISSIONS = {"imodels_webview", "imodels_read", "imodels_write", "imodels_manage", "imodels_delete"}
FINAL = {"successful", "failed", "mainIModelIsMissingFederationGuids"}


@pytest.fixture
def client(platform: Caller) -> Platform:
    """The product's own client, whose types say whether an answer has the shape that we rely on."""
    return Platform(platform.url, platform.token)


@pytest.fixture
def imodel(platform: Caller) -> IModel:
    """An example that this person may see, if possible one with changesets."""
    found = _example(platform.url, platform.token)
    return found or pytest.skip("Nothing to ask about: this person sees no iModel in their first ten iTwins.")


@cache
def _example(url: str, token: str) -> IModel | None:
    client = Platform(url, token)
    visible: list[IModel] = []
    for itwin in client.itwins(top=10):
        with suppress(errors.Forbidden):
            visible += client.imodels(itwin.id)
    return max(visible, key=lambda one: one.last_push_at is not None, default=None)


@pytest.fixture
def changed(imodel: IModel) -> IModel:
    """An example with changesets."""
    return imodel if imodel.last_push_at else pytest.skip("Nothing to ask about: no iModel has changesets.")


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY_API)
def test_without_a_token_the_answer_is_401_header_not_found(platform, path):
    answer = platform.ask("GET", path, headers={"Authorization": None})

    assert answer.status_code == 401
    assert answer.json() == {
        "error": {
            "code": "HeaderNotFound",
            "message": "Header Authorization was not found in the request. Access denied.",
        }
    }


def test_a_token_that_nobody_issued_is_401(platform):
    with pytest.raises(errors.SignedOut):
        Platform(platform.url, "nonsense").itwins()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/imodels/{}", "iModelNotFound"),
        ("/imodels/{}/operations/create", "iModelNotFound"),
        ("/imodels/{}/changesets", "iModelNotFound"),
        ("/imodels/{}/namedversions", "iModelNotFound"),
        ("/imodels/{}/users", "iModelNotFound"),
        ("/imodels/{}/permissions", "iModelNotFound"),
        ("/itwins/{}", "iTwinNotFound"),
        ("/accesscontrol/itwins/{}/permissions", "ItwinNotFound"),
    ],
)
def test_what_does_not_exist_is_404_with_its_code(platform, path, code):
    answer = platform.get(path.format(UNKNOWN))

    assert (answer.status_code, error_of(answer)["code"]) == (404, code)


@pytest.mark.parametrize(
    ("path", "code"),
    [("changesets/" + "f" * 40, "ChangesetNotFound"), (f"namedversions/{UNKNOWN}", "NamedVersionNotFound")],
)
def test_what_does_not_exist_in_an_imodel_is_404_with_its_code(platform, imodel, path, code):
    answer = platform.get(f"/imodels/{imodel.id}/{path}")

    assert (answer.status_code, error_of(answer)["code"]) == (404, code)


def test_a_list_of_imodels_needs_its_itwin(platform):
    assert details_of(platform.get("/imodels")) == [("MissingRequiredParameter", "iTwinId")]


@pytest.mark.parametrize("top", [0, 1001])
def test_a_page_size_out_of_range_is_422(platform, imodel, top):
    answer = platform.get("/imodels", iTwinId=imodel.itwin_id, **{"$top": top})

    assert details_of(answer) == [("InvalidValue", "$top")]


# -- people and iTwins -----------------------------------------------------------------------------------------------


def test_the_person_behind_the_token_is_told(platform):
    user = platform.get("/users/me").json()["user"]

    assert {"id", "displayName", "givenName", "surname", "email"} <= set(user)


def test_an_itwin_is_the_same_in_a_list_and_by_its_id(client, imodel):
    itwin = client.itwin(imodel.itwin_id)

    assert itwin in client.itwins(search=itwin.name)


def test_my_permissions_on_an_itwin_are_among_all_there_are(platform, client, imodel):
    every = platform.get("/accesscontrol/itwins/permissions").json()["permissions"]

    assert client.permissions(imodel.itwin_id) <= set(every)


@pytest.mark.parametrize("which", ["recent_itwins", "recent_imodels"])
def test_recents_are_25_at_most(client, which):
    assert len(getattr(client, which)()) <= 25


@pytest.mark.parametrize("which", ["favourite_itwins", "favourite_imodels"])
def test_favourites_can_be_read(client, which):
    assert isinstance(getattr(client, which)(), list)


# -- iModels ---------------------------------------------------------------------------------------------------------


def test_an_imodel_is_the_same_in_a_list_and_by_its_id(client, imodel):
    assert client.imodel(imodel.id) == imodel


@pytest.mark.parametrize("by", ["name", "search"])
def test_an_imodel_is_found_by_its_name(client, imodel, by):
    assert imodel in client.imodels(imodel.itwin_id, **{by: imodel.name})


def test_a_list_is_minimal_unless_a_representation_is_preferred(platform, imodel):
    minimal = platform.get("/imodels", iTwinId=imodel.itwin_id, **{"$top": 1}).json()["iModels"][0]
    full = platform.full("/imodels", iTwinId=imodel.itwin_id, **{"$top": 1}).json()["iModels"][0]

    assert set(minimal) < set(full)
    assert {"name", "description", "state", "createdDateTime", "iTwinId", "isSecured", "_links"} <= set(full)


def test_following_next_meets_no_imodel_twice(platform, imodel):
    answer = platform.get("/imodels", iTwinId=imodel.itwin_id, **{"$top": 1})

    found = [one["id"] for one in itertools.islice(walk(platform, answer, "iModels"), 3)]
    assert len(found) == len(set(found))


def test_the_create_operation_of_an_imodel_has_a_documented_state(client, imodel):
    assert client.create_operation(imodel.id).state in FINAL | {"scheduled", "waitingForFile"}


def test_my_permissions_on_an_imodel_are_documented_ones(client, imodel):
    assert client.imodel_permissions(imodel.id) <= IMODEL_PERMISSIONS


def test_the_users_of_an_imodel_have_names(client, imodel):
    assert all(client.people(imodel.id).values())


def test_changesets_come_newest_first_and_end_before_an_index(client, changed):
    newest = client.changesets(changed.id, top=3)

    assert [one.index for one in newest] == sorted({one.index for one in newest}, reverse=True)
    assert client.changesets(changed.id, top=2, before=newest[0].index) == newest[1:]


def test_a_changeset_is_the_same_by_its_id_and_by_its_index(client, changed):
    newest = client.changesets(changed.id, top=1)[0]

    assert client.changeset(changed.id, newest.id) == client.changeset(changed.id, str(newest.index)) == newest


def test_named_versions_come_newest_first(client, imodel):
    indexes = [one.changeset_index for one in client.named_versions(imodel.id)]

    assert indexes == sorted(indexes, reverse=True)


# -- making one, where it is allowed ---------------------------------------------------------------------------------


class Workshop:
    """Makes iModels in one iTwin, under names that nobody else has, and deletes them."""

    def __init__(self, client: Platform, itwin_id: str, *, pause_s: float) -> None:
        self.itwin_id = itwin_id
        self._client, self._pause_s = client, pause_s
        self._run = uuid4()
        self._made: dict[str, str] = {}

    def name(self, what: str) -> str:
        return f"iModel Desk contract test {self._run} {what}"

    def make(self, path: str, what: str) -> str:
        """Post the request and return the id of the new iModel."""
        name = self.name(what)
        self._made.setdefault(name, "")
        self._made[name] = self._client.start(path, json.dumps({"iTwinId": self.itwin_id, "name": name}))
        return self._made[name]

    def until_final(self, imodel_id: str, *, within_s: float = 900) -> CreateOperation:
        """Its create operation, once it has ended."""
        deadline = time.monotonic() + within_s
        while (operation := self._client.create_operation(imodel_id)).state not in FINAL:
            assert time.monotonic() < deadline, f"{operation.state} after {within_s:.0f} s"
            time.sleep(self._pause_s)
        return operation

    def clear(self) -> None:
        """Delete whatever was made, also that whose answer was lost."""
        found = {one.id for name in self._made for one in self._client.imodels(self.itwin_id, name=name)}
        left = [one for one in found | set(filter(None, self._made.values())) if not self._deleted(one)]
        assert not left, f"Delete these iModels of iTwin {self.itwin_id} by hand: {left}"

    def _deleted(self, imodel_id: str) -> bool:
        try:
            self._client.delete_imodel(imodel_id)
        except errors.NotFound:
            return True
        except errors.ITwinError:
            return False
        return True


@pytest.fixture
def workshop(request, client):
    if request.node.get_closest_marker("live"):
        workshop = Workshop(client, LIVE_ITWIN_ID, pause_s=5)
    else:
        sandbox = request.getfixturevalue("sandbox")
        sandbox.advance_by_polls(1)
        workshop = Workshop(client, sandbox.ids["harbour-bridge"], pause_s=0)
    yield workshop
    workshop.clear()


def test_an_empty_imodel_and_a_clone_of_it_are_made_found_and_deleted(client, workshop):
    empty = workshop.make("/imodels", "empty")
    assert [one.id for one in client.imodels(workshop.itwin_id, name=workshop.name("empty"))] == [empty]
    assert workshop.until_final(empty).state == "successful"
    with pytest.raises(errors.NameTaken):
        workshop.make("/imodels", "empty")

    clone = workshop.make(f"/imodels/{empty}/clone", "clone")
    made = workshop.until_final(clone)
    assert (made.state, made.is_clone, made.made_from) == ("successful", True, empty)

    workshop.clear()
    for imodel_id in (empty, clone):
        with pytest.raises(errors.NotFound):
            client.imodel(imodel_id)
