"""What holds for every answer: health checks by any name, error pages that nobody keeps, what a browser may not do."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from tests.settings import BASE_DIR

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

HOSTS = ["10.1.2.3", "10.1.2.3:8000", "[fd00::7]:8000", "web", "web.default.svc:8000", "desk_1", "bad host", "a/b", ""]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("page", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_a_probe_is_answered_by_any_name(client, host, page, method):
    answer = getattr(client, method)(page, headers={"host": host})

    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("host", HOSTS[:-1])
@pytest.mark.parametrize(
    "page", ["/", "/healthz/", "/healthz/x", "/readyz.txt", "//healthz", "/sign-in/", "/nowhere", "/static/x"]
)
def test_nothing_else_is(client, host, page):
    answer = client.get(page, headers={"host": host})

    assert answer.status_code == 400
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_a_probe_only_asks(client, method):
    assert getattr(client, method)("/healthz", headers={"host": "10.1.2.3"}).status_code == 405


BEHIND_TLS = """
import django; django.setup()
from django.test import Client
for path, host in [("/healthz", "10.1.2.3:8000"), ("/readyz", "web"), ("/", "10.1.2.3:8000"), ("/", "desk.example")]:
    print(path, Client().get(path, headers={"host": host}).status_code)
"""


def test_a_probe_of_a_desk_behind_tls_is_answered_over_plain_http():
    of_desk = {"DASHBOARD_URL": "https://desk.example", "TRUSTED_PROXIES": "1"}
    env = os.environ | of_desk | {"ITWIN_API_URL": "", "OIDC_ISSUER": ""}
    command = [sys.executable, "-c", BEHIND_TLS]

    done = subprocess.run(
        command,
        cwd=BASE_DIR,
        env=env | {"DJANGO_SETTINGS_MODULE": "dashboard.settings", "REDIS_URL": "redis://127.0.0.1:9/0"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == ["/healthz 200", "/readyz 200", "/ 400", "/ 301"], done.stderr


def errors_of(client, mara) -> dict[int, Any]:
    """A page for each error that a browser can bring about, and what it is asked for."""
    lax, strict = Client(raise_request_exception=False), Client(enforce_csrf_checks=True)
    strict.force_login(mara)
    return {
        400: lax.get("/", headers={"host": "elsewhere.example"}),
        403: strict.post(reverse("imodels:theme"), {}),
        404: client.get("/nowhere/"),
        405: client.post("/healthz"),
    }


def test_no_cache_keeps_what_went_wrong(client, mara, monkeypatch):
    client.force_login(mara)
    answers = errors_of(client, mara)
    monkeypatch.setattr("imodels_app.views.health._worker", lambda: 1 / 0)
    answers[500] = Client(raise_request_exception=False).get("/readyz")

    assert {status: answer.status_code for status, answer in answers.items()} == {status: status for status in answers}
    assert all("no-store" in answer.headers["Cache-Control"] for answer in answers.values())


@pytest.mark.parametrize("page", ["/healthz", "/sign-in/", "/nowhere/", "/"])
def test_a_browser_may_do_nothing_for_us_that_we_do_not_use(client, page):
    policy = client.get(page).headers["Permissions-Policy"]

    assert policy == settings.PERMISSIONS_POLICY
    assert {"camera=()", "geolocation=()", "microphone=()", "usb=()", "payment=()"} <= set(policy.split(", "))
    assert "clipboard-write" not in policy
