"""The letters of approvals, in a real browser: what each would do is named and asked first."""

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from imodels_app import lifecycle
from imodels_app.models import Decision
from imodels_app.states import Kind

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.same_on_both]


@pytest.fixture
def tab_of(open_page, live_server):
    """tab_of(person) is a tab in which they are signed in."""

    def enter(person, **options):
        client = Client()
        client.force_login(person)
        tab = open_page(**options)
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.session.session_key, "url": live_server.url}
        tab.context.add_cookies([cookie])
        return tab

    return enter


def test_letters_approve_reject_comment_and_go_on_and_none_acts_while_one_types(
    tab_of, axe, bridge_team, ida, mara, tomas, spec_for, confirmed_leads
):
    forks = [lifecycle.request(spec_for(Kind.FORK, name=f"Pier {at}"), by=mara) for at in range(4)]
    tab = tab_of(tomas)
    tab.goto(f"/approvals/{forks[0].pk}/")
    sure = tab.get_by_role("dialog")

    tab.keyboard.press("c")
    expect(tab.get_by_label("Write something without deciding")).to_be_focused()
    tab.keyboard.type("are")
    assert tab.get_by_label("Write something without deciding").input_value() == "are"
    expect(sure).to_be_hidden()
    tab.keyboard.press("Escape")
    tab.locator("h1").click()
    tab.keyboard.press("r")
    expect(tab.locator("#comment")).to_be_focused()
    tab.locator("h1").click()
    tab.keyboard.press("a")
    expect(sure).to_contain_text("Approve Pier 0, requested by Mara Lindqvist?")
    axe(tab)
    tab.keyboard.press("Escape")
    assert not Decision.objects.exists()
    tab.keyboard.press("a")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/approvals/{forks[1].pk}/")
    assert Decision.objects.get().operation == forks[0]
    tab.keyboard.press("n")
    tab.wait_for_url(f"**/approvals/{forks[2].pk}/")

    tab.goto("/approvals/")
    axe(tab)
    tab.keyboard.press("n")
    tab.keyboard.press("n")
    tab.keyboard.press("a")
    expect(sure).to_contain_text("Approve Pier 2?")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="You approved 1 of 1")).to_be_visible()
    axe(tab)
    assert Decision.objects.filter(operation=forks[2], by=tomas).exists()
    for page in ("/approvals/away/", "/preferences/"):
        tab.goto(page)
        axe(tab)
