"""Who may come in, what is kept by nobody, and how pages look when something is wrong."""

from uuid import uuid4

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from imodels_app import error_handlers
from imodels_app.models import User

PK = "00000000-0000-4000-8000-000000000000"
PAGES = [
    "/operations/",
    f"/operations/{PK}/",
    "/approvals/",
    f"/approvals/{PK}/",
    "/audit/",
    "/audit/export",
]
CANCELS = ["/operations/several", f"/operations/{PK}/cancel"]
ACTS = [*CANCELS, f"/approvals/{PK}/approve", f"/approvals/{PK}/reject"]


@pytest.mark.django_db
@pytest.mark.parametrize("address", PAGES)
def test_a_signed_out_person_goes_through_the_door_and_back(client, address):
    answer = client.get(address)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in/?next=%2F")


@pytest.mark.django_db
@pytest.mark.parametrize("address", CANCELS)
def test_a_signed_out_act_does_nothing_and_is_not_repeated(client, address):
    assert client.post(address).headers["Location"] == "/sign-in/"


@pytest.mark.django_db
def test_a_signed_out_poll_moves_the_whole_page(client):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/operations/?whose=team"}

    answer = client.get("/operations/?whose=team&seen=abc", headers=headers)

    assert answer.headers["HX-Redirect"] == "/sign-in/?next=%2Foperations%2F%3Fwhose%3Dteam"
    assert answer.content == b""


@pytest.mark.parametrize("address", ["/operations/", "/approvals/", "/audit/"])
def test_private_pages_are_kept_by_nobody(client, ines, address):
    client.force_login(ines)

    assert "no-store" in client.get(address).headers["Cache-Control"]


@pytest.mark.parametrize("address", ACTS)
def test_an_act_without_our_token_is_refused(mara, address):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(mara)

    answer = strict.post(address)

    assert answer.status_code == 403
    assert "older than your sign-in" in answer.content.decode()


@pytest.mark.parametrize("is_in", [True, False])
@pytest.mark.parametrize(
    "address", ["/new/fork/", "/new/baseline/", "/new/fork/preset/", f"/approvals/{PK}/", f"/approvals/{PK}/reject"]
)
def test_what_comes_from_elsewhere_is_not_shown_again(mara, address, is_in):
    """Nor to whoever is signed in: their browser sends no session along with a form from elsewhere."""
    strict = Client(enforce_csrf_checks=True)
    if is_in:
        strict.force_login(mara)
    sent = {"csrfmiddlewaretoken": "x" * 64, "name": "Planted", "comment": "Planted"}

    answer = strict.post(address, sent, headers={"Origin": "https://elsewhere.example"})

    assert answer.status_code == 403
    assert "Planted" not in answer.content.decode()


def test_a_page_holds_no_inline_script_nor_style(client, ines, failed_fork):
    client.force_login(ines)

    for address in (
        "/operations/",
        reverse("imodels:operation-detail", args=[failed_fork.pk]),
        "/approvals/",
        "/audit/",
    ):
        answer = client.get(address)
        text = answer.content.decode()

        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert " style=" not in text
        assert "<style" not in text
        assert "<script>" not in text
        assert " onclick" not in text


def test_what_people_write_is_shown_as_text(client, tomas, mara, waiting_fork):
    type(waiting_fork).objects.filter(pk=waiting_fork.pk).update(
        name="<script>alert(1)</script>", reason='"><img src=x>', source_name="<i>", itwin_name="<u>"
    )
    client.force_login(tomas)

    for address in ("/operations/?whose=team", f"/operations/{waiting_fork.pk}/", f"/approvals/{waiting_fork.pk}/"):
        text = client.get(address).content.decode()

        assert "<script>alert" not in text
        assert "<img src=x" not in text


# ---------- looks ----------


def test_the_theme_is_remembered_without_script(client, mara):
    client.force_login(mara)

    answer = client.post("/theme", {"theme": "dark", "next": "/approvals/"})

    assert answer.headers["Location"] == "/approvals/"
    assert 'data-iui-theme="dark"' in client.get("/approvals/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", ""])
def test_choosing_a_theme_sends_nobody_elsewhere(client, target):
    assert client.post("/theme", {"theme": "dark", "next": target}).headers["Location"] == "/"


def test_a_strange_cookie_does_not_reach_the_page(client, mara):
    client.force_login(mara)
    client.cookies["theme"] = '"><script>'

    text = client.get("/approvals/").content.decode()

    assert 'data-theme="system"' in text


# ---------- errors ----------


def test_nothing_at_an_address_is_a_page_of_ours(client, mara):
    client.force_login(mara)

    answer = client.get(f"/operations/{uuid4()}/")

    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_a_broken_page_gives_a_number_that_is_in_the_log(caplog):
    answer = error_handlers.broken(RequestFactory().get("/operations/"))

    number = caplog.messages[0].split()[-1]
    assert answer.status_code == 500
    assert number in answer.content.decode()


def test_the_number_is_in_the_log_however_long_the_address(caplog):
    answer = error_handlers.broken(RequestFactory().get("/" + "a" * 10_000))

    number = caplog.messages[0].split()[-1]
    assert number in answer.content.decode()
    assert len(caplog.messages[0]) < 300


@pytest.mark.django_db
def test_a_person_without_a_name_is_shown_all_the_same(client):
    client.force_login(User.objects.create(username="x", email="x@harbour.example"))

    assert "x@harbour.example" in client.get("/operations/").content.decode()


def test_after_an_act_that_failed_the_theme_leads_to_a_page_that_exists(client, mara, running_clone):
    client.force_login(mara)

    answer = client.post(f"/operations/{running_clone.pk}/cancel")

    assert answer.context["here"] == ""
