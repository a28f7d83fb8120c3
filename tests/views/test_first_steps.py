"""Whoever comes to an empty desk, or without what the platform asks, sees what to do next."""

import re

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.urls import reverse

from imodels_app.accounts import tokens
from imodels_app.display import changelog
from imodels_app.models import Membership, Team
from imodels_app.requesting.catalog import Catalog
from tests.settings import BASE_DIR

pytestmark = pytest.mark.django_db


def to_do(answer):
    return [step.title for step in answer.context["steps"] if not step.is_done]


def test_an_empty_desk_shows_its_admin_what_is_missing_until_it_is_there(client, ines, settings, vera, sandbox):
    Membership.objects.all().delete()
    client.force_login(ines)
    home = reverse("imodels:operation-list")
    every = ["A team looks after an iTwin", "Each team has a lead", "Somebody can decide", "Leads hear of requests"]
    assert to_do(client.get(home)) == [*every, "The first clone"]

    tokens.store(ines, sandbox.tokens_for("ines"))
    client.post(reverse("imodels:new-team"), {"name": "Rail team", "approval_days": "7"})
    rail = Team.objects.get(name="Rail team")
    client.post(reverse("imodels:give-itwin", args=[rail.pk]), {"itwin": "Rail Corridor 2027"})
    for team in Team.objects.all():
        client.post(reverse("imodels:give-place", args=[team.pk]), {"email": vera.email, "role": "lead"})
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"

    assert to_do(client.get(home)) == ["The first clone"]
    assert reverse("imodels:request-clone") in client.get(home).text


def test_the_desk_of_others_and_one_with_operations_greets_nobody(client, ines, mara, queued_clone):
    for person in (ines, mara):
        client.force_login(person)
        assert "steps" not in client.get(reverse("imodels:operation-list")).context


def test_who_is_in_no_itwin_is_told_whom_to_ask(client, mara, ines, sandbox):
    tokens.store(mara, sandbox.tokens_for("mara"))
    client.force_login(mara)
    assert client.get(reverse("imodels:access")).status_code == 204

    for itwin in Catalog(mara).itwins():
        sandbox.allow(itwin.id, "mara", None)
    cache.clear()

    said = " ".join(client.get(reverse("imodels:access")).text.split())
    assert "You are in no iTwin yet" in said
    assert "Ines Duarte administers iModel Desk" in said
    assert "You are in no iTwin yet" in client.get(reverse("imodels:pick-itwins")).text


@pytest.mark.parametrize(
    ("scope", "is_told"), [("openid profile email", True), ("openid itwin-platform", False), ("", False)]
)
def test_whose_sign_in_lacks_the_scope_is_told_what_to_do(client, mara, sandbox, scope, is_told):
    tokens.store(mara, sandbox.tokens_for("mara") | {"scope": scope})
    client.force_login(mara)

    page = client.get(reverse("imodels:operation-list")).text

    assert ("Your sign-in came without" in page) == is_told


# Which version this is


def test_the_version_stands_in_one_file_and_below_each_page(client, mara, capsys):
    [version] = re.findall(r'^version = "(.+)"$', (BASE_DIR / "pyproject.toml").read_text(), re.MULTILINE)
    client.force_login(mara)

    assert f">{version}</a>" in client.get(reverse("imodels:help")).text
    assert version not in client.get(reverse("imodels:healthz")).text
    call_command("about")
    assert capsys.readouterr().out.startswith(f"iModel Desk {version}\nPython 3.")


def test_whats_new_is_the_changelog_of_what_is_out_for_people(client, mara):
    client.force_login(mara)
    text = (BASE_DIR / "CHANGELOG.md").read_text()

    page = client.get(reverse("imodels:whats-new")).text

    points = [point for release in changelog.releases() for part in release.parts for point in part.points]
    out = text.partition("\n## 1.")[2]
    for_all, _, for_developers = out.partition("### For developers")
    assert len(points) == len(re.findall(r"^- ", for_all, re.MULTILINE))
    assert not for_developers.count("\n## ")
    assert changelog.releases()[0].title[0].isdigit()
    assert "<code>CHANGELOG</code>" not in page
    assert page.count("<li>") >= len(points)
    assert not re.search(r"\*\w|`|\]\(", re.sub(r"<code>.*?</code>", "", " ".join(points)))
