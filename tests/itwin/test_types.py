"""What the platform's answers mean to us, whatever form they come in."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from imodels_app.itwin.http import DEFAULT_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S, retry_after_s
from imodels_app.itwin.types import BaselineFile, CreateOperation, IModel, Malformed, UploadLink, imodel_id_in, instant

GUID = "5e19bee0-3aea-4355-a9f0-c6df9989ee7d"


@pytest.mark.parametrize(
    "address",
    [
        f"https://api.bentley.com/imodels/{GUID}",
        f"https://api.bentley.com/imodels/{GUID}/operations/create",
        f"/imodels/{GUID.upper()}/?a=b",
        f"https://somewhere.else.example/imodels/{GUID}",
    ],
)
def test_the_new_imodels_id_is_read_from_any_form_of_address(address):
    assert imodel_id_in(address) == GUID


@pytest.mark.parametrize("address", ["", "/imodels/", "/imodels/favorites", f"/itwins/{GUID}", f"/imodels/{GUID}0"])
def test_an_address_without_an_imodel_has_no_id(address):
    assert imodel_id_in(address) == ""


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2020-10-20T10:51:33.1700000Z", datetime(2020, 10, 20, 10, 51, 33, 170000, tzinfo=UTC)),
        ("2020-10-20T10:51:33Z", datetime(2020, 10, 20, 10, 51, 33, tzinfo=UTC)),
        ("2020-10-20T12:51:33+02:00", datetime(2020, 10, 20, 10, 51, 33, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times_are_read_in_all_three_spellings(text, at):
    assert instant(text) == at


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17),
        ("0", 1),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", DEFAULT_RETRY_AFTER_S),
        ("999999999", LONGEST_RETRY_AFTER_S),
        ("-5", DEFAULT_RETRY_AFTER_S),
        ("inf", DEFAULT_RETRY_AFTER_S),
        ("nan", DEFAULT_RETRY_AFTER_S),
        ("soon", DEFAULT_RETRY_AFTER_S),
        (None, DEFAULT_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_obeyed_within_reason(header, seconds):
    headers = {"Date": "Sat, 21 Nov 2026 12:00:00 GMT"} | ({"Retry-After": header} if header else {})

    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize("date", [{}, {"Date": ""}, {"Date": "yesterday"}, {"Date": "Sat, 99 Nov 2026 12:00:00 GMT"}])
def test_a_retry_after_that_is_a_date_is_held_against_our_clock_when_the_platform_does_not_tell_its_own(date):
    in_a_while = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)

    assert 60 < retry_after_s(date | {"Retry-After": in_a_while}) <= 120


def test_baseline_only_is_told_from_no_origin():
    cloned = {"createOperation": {"state": "scheduled", "clonedFrom": {"iModelId": GUID, "changesetId": ""}}}
    plain = {"createOperation": {"state": "successful", "clonedFrom": None, "forkedFrom": None}}

    assert CreateOperation.from_json(cloned).is_clone
    assert CreateOperation.from_json(cloned).changeset_id == ""
    assert not CreateOperation.from_json(plain).is_clone


@pytest.mark.parametrize("body", [{}, {"createOperation": None}, {"createOperation": {"state": 7}}])
def test_an_operation_without_a_state_is_no_news(body):
    with pytest.raises(Malformed):
        CreateOperation.from_json(body)


def test_new_and_missing_fields_do_no_harm():
    minimal = IModel.from_json({"id": GUID.upper(), "displayName": "Pier 7", "surprise": 1})

    assert (minimal.id, minimal.name, minimal.creator_id, minimal.created_at) == (GUID, "Pier 7", "", None)


@pytest.mark.parametrize(
    ("query", "until"),
    [
        ("sv=2019-07-07&se=2026-11-21T15%3A00%3A00Z&sig=x", datetime(2026, 11, 21, 15, tzinfo=UTC)),
        ("se=2026-11-21T15:00:00Z", datetime(2026, 11, 21, 15, tzinfo=UTC)),
        ("X-Goog-Date=20261121T144000Z&X-Goog-Expires=1200", datetime(2026, 11, 21, 15, tzinfo=UTC)),
        ("se=soon", None),
        ("X-Goog-Date=yesterday&X-Goog-Expires=1200", None),
        ("sig=x", None),
    ],
)
def test_an_upload_link_says_when_it_ends_or_nothing(query, until):
    assert UploadLink(f"https://blob.example/c/b?{query}").until == until


@pytest.mark.parametrize(
    "link", [None, {}, {"href": None}, {"href": ""}, "https://x", {"href": "https://[::1/c/b?sig=x"}]
)
def test_what_is_no_upload_link_is_none(link):
    assert UploadLink.from_json(link) is None


def test_an_upload_link_without_a_storage_type_is_azures():
    assert UploadLink.from_json({"href": "https://x/c/b"}).storage_type == "azure"
    assert UploadLink.from_json({"href": "https://x/c/b", "storageType": "Google"}).storage_type == "google"


@pytest.mark.parametrize("item", [{}, {"state": None}, {"state": 7}])
def test_a_baseline_file_without_a_state_is_no_news(item):
    with pytest.raises(Malformed):
        BaselineFile.from_json(item)
