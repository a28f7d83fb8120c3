"""docs/security.md: each item has a row, each test that it names exists, and what it says of limits is so."""

import io
import logging
import re

import pytest
from django.apps import apps
from django.db.models import CASCADE
from django.urls import reverse

from dashboard.environment import SETTINGS
from imodels_app.accounts import pending
from imodels_app.audit import refusals
from imodels_app.limits import throttles
from imodels_app.models import User
from imodels_app.requesting import staging
from imodels_app.runtime import foreign_text, timing
from tests.faults.test_matrix import TESTS, named_in
from tests.settings import BASE_DIR

PAGE = (BASE_DIR / "docs/security.md").read_text()
HELD = PAGE[PAGE.index("## ASVS") : PAGE.index("### What does not hold")]
ROWS = [re.split(r" *\| *", line)[1:-1] for line in HELD.splitlines() if re.match(r"\| \d", line)]
ONCE_BROKEN = [
    *("2.3.2", "7.1.1", "7.1.3", "7.3.1", "7.3.2", "7.4.5", "7.5.2", "7.6.1", "9.2.3", "10.2.2", "10.5.3", "10.5.4"),
    *("14.2.1", "14.3.1", "16.2.1", "16.3.1", "16.3.2", "16.3.3"),
]


def test_each_test_that_the_page_names_exists():
    assert named_in(PAGE) <= TESTS


def test_each_item_is_held_by_a_test():
    assert [items for items, _, tests in ROWS if not named_in(tests)] == []


@pytest.mark.parametrize("item", ONCE_BROKEN)
def test_what_once_did_not_hold_has_its_row(item):
    assert [items for items, _, _ in ROWS if item in re.split(r", | to ", items)]


def test_the_limits_of_sessions_are_documented():
    idle, most = (SETTINGS[name].default for name in ("SESSION_IDLE_HOURS", "SESSION_HOURS"))
    minutes = [round(limit.total_seconds() / 60) for limit in (timing.SIGN_IN_IS_FRESH, timing.GRANT_CONFIRMED_FOR)]

    assert f"ends after {idle} h (`SESSION_IDLE_HOURS`)" in PAGE
    assert f"{most} h after the sign-in (`SESSION_HOURS`)" in PAGE
    assert [f"within the last {number} minutes" in PAGE for number in minutes] == [True, True]
    for said in ("at once | any number", "Two systems make sessions", "NIST SP 800-63B"):
        assert said in PAGE


def test_all_other_limits_are_documented():
    counted = [one for one in vars(throttles).values() if isinstance(one, throttles.Throttle)]
    said = [f"{one.a_minute} {one.what.partition(' from one ')[0]}" for one in counted]
    said += [f"at most {refusals.MOST_AN_HOUR} an hour", f"wait here | {staging.AT_MOST}, each"]
    said += [f"in one browser | {pending.MOST}, each for {timing.SIGN_IN_TAKES_S // 60} minutes"]
    said += [f"a paragraph {foreign_text.PARAGRAPH} characters"]

    limits = PAGE[PAGE.index("## Limits") : PAGE.index("## What is recorded")]
    assert [one for one in said if not re.search(rf"(?<!\d){re.escape(one)}\b", limits)] == []


def test_what_goes_with_a_person_is_among_the_personal_data():
    personal = PAGE[PAGE.index("## Personal data") : PAGE.index("### Remove")]
    fields = [field for model in apps.get_app_config("imodels_app").get_models() for field in model._meta.fields]
    theirs = [one for one in fields if one.related_model is User and one.remote_field.on_delete is CASCADE]
    names = {one.model.__name__ for one in theirs}

    assert names >= {"Look", "Preset", "Session"}
    assert {name for name in names if f"`{name}`" not in personal} == set()


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["approve", "operation-detail", "cancel", "audit"])
def test_a_refused_page_is_in_the_log_with_who_asked(client, waiting_fork, mara, otto, page):
    person = mara if page == "approve" else otto
    client.force_login(person)
    address = reverse(f"imodels:{page}", args=[] if page == "audit" else [waiting_fork.pk])
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger("django.request").addHandler(handler)

    answer = (client.post if page in ("approve", "cancel") else client.get)(f"{address}?secret=hush")

    logging.getLogger("django.request").removeHandler(handler)
    assert answer.status_code in (403, 404)
    assert f"[{answer['X-Request-ID']} 127.0.0.1 person {person.pk}]" in lines.getvalue()
    assert address in lines.getvalue()
    assert "hush" not in lines.getvalue()
