"""Line 24 of docs/reliability.md, seen from a browser: the database server is gone for a while. DB=pg only."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import requests
from django.conf import settings
from django.test import Client

from imodels_app import lifecycle
from imodels_app.models import Operation
from imodels_app.states import Kind, State
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def failed_often(processes, task: str) -> bool:
    return processes.count(task, "raised") > 2


@pytest.fixture
def cookie(mara) -> dict[str, str]:
    """Mara is signed in."""
    browser = Client()
    browser.force_login(mara)
    return {settings.SESSION_COOKIE_NAME: browser.cookies[settings.SESSION_COOKIE_NAME].value}


@pytest.fixture
def web(postgres_process, processes, bridge_team) -> str:
    return processes.web()


def test_24_while_postgres_is_down_every_page_says_so_and_asks_to_try_again(web, postgres_process, cookie, processes):
    visit = requests.Session()
    visit.cookies.update({**cookie, "theme": "dark"})
    assert visit.get(f"{web}/operations/").status_code == 200

    postgres_process.stop()
    for path in ("/approvals/?q=a", "/sign-in/"):
        answer = visit.get(f"{web}{path}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10"), path
        assert f'href="{path}">Try again<' in answer.text
        assert 'data-iui-theme="dark"' in answer.text
        assert not re.search(r"Traceback|OperationalError|postgres", answer.text)
    assert visit.get(f"{web}/healthz").status_code == 200
    ready = visit.get(f"{web}/readyz")
    assert (ready.status_code, ready.json()["database"], ready.json()["redis"]) == (503, "not answering", "ok")
    postgres_process.start()

    assert visit.get(f"{web}/operations/").status_code == 200
    assert visit.get(f"{web}/readyz").status_code == 200


def test_24_while_postgres_is_frozen_the_health_checks_answer_and_neither_waits_for_the_other(web, postgres_process):
    assert requests.get(f"{web}/readyz", timeout=PATIENCE_S).status_code == 200

    with postgres_process.frozen(), ThreadPoolExecutor() as pool:
        ready = [pool.submit(requests.get, f"{web}/readyz", timeout=PATIENCE_S) for _ in range(2)]
        for _ in range(5):
            assert requests.get(f"{web}/healthz", timeout=PATIENCE_S).status_code == 200
        assert not any(one.done() for one in ready)
        answers = [one.result() for one in ready]
    assert {(answer.status_code, answer.json()["database"]) for answer in answers} == {(503, "not answering")}

    wait_until(lambda: requests.get(f"{web}/readyz", timeout=PATIENCE_S).status_code == 200, what="a database again")


def test_24_what_was_sent_while_postgres_was_down_is_sent_again_and_counts_once(
    web, postgres_process, cookie, sandbox, signed_in_mara
):
    visit = requests.Session()
    visit.cookies.update(cookie)
    form = dict(
        re.findall(r'name="(csrfmiddlewaretoken|form_id)" value="([^"]+)"', visit.get(f"{web}/new/empty/").text)
    )
    form |= {"itwin": "Harbour Bridge", "name": "Pier 7", "description": ""}
    send = partial(visit.post, f"{web}/new/empty/", data=form, headers={"Origin": settings.DASHBOARD_URL})

    postgres_process.stop()
    refused = send()
    postgres_process.start()
    answers = [send(allow_redirects=False).status_code for _ in range(2)]

    assert refused.status_code == 503
    assert "Go back and send it again" in refused.text
    assert answers == [303, 303]
    assert Operation.objects.get().name == "Pier 7"


def test_24_an_open_live_table_says_that_it_is_not_connected_and_goes_on_by_itself(
    web, postgres_process, cookie, browser, mara, spec_for, troubles
):
    lifecycle.request(spec_for(Kind.EMPTY, name="Pier 7"), by=mara)
    page = browser.new_context(base_url=web).new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.context.add_cookies([{"name": name, "value": value, "url": web} for name, value in cookie.items()])
    page.goto("/operations/")
    page.evaluate("window.stillHere = true")

    postgres_process.stop()
    page.locator("#freshness").get_by_text(re.compile("Not connected since .*, trying again")).wait_for()
    postgres_process.start()
    lifecycle.cancel(Operation.objects.get(), by=mara)

    page.get_by_role("row").filter(has_text="Pier 7").get_by_text("Cancelled", exact=True).wait_for()
    assert page.evaluate("window.stillHere")
    assert "Updated" in page.inner_text("#freshness")
    page.context.close()


def test_24_operations_go_on_by_themselves_after_some_seconds_without_postgres(
    web, postgres_process, processes, sandbox, signed_in_mara, spec_for, reached
):
    """Not a restart: workers meet refused connections again and again, and nobody starts them anew."""
    sandbox.advance_by_polls(0)
    processes.desk()
    spec = lifecycle.request(spec_for(Kind.EMPTY), by=signed_in_mara)

    postgres_process.stop()
    for task in ("sweep_queued", "sweep_running"):
        wait_until(partial(failed_often, processes, task), what=f"a {task} without a database")
    postgres_process.start()

    reached(spec, State.SUCCEEDED)
    wait_until(lambda: sandbox.calls("POST", "/imodels") == 1, what="one request")
