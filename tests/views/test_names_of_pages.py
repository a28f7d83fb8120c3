"""One thing bears one name: in the palette, in its title and as its only heading of the first order."""

import re
from html import unescape

import pytest
from django.urls import reverse

from imodels_app.accounts import tokens
from imodels_app.views.find import PAGES

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


@pytest.mark.parametrize(("name", "address"), [(name, address) for name, _, address in PAGES])
def test_a_page_of_the_palette_bears_its_name_in_its_title_and_its_one_heading(client, ines, sandbox, name, address):
    tokens.store(ines, sandbox.tokens_for("ines"))
    client.force_login(ines)
    assert name in unescape(client.get(reverse("imodels:find")).text)

    page = unescape(client.get(reverse(f"imodels:{address}")).text)

    headings = [re.sub(r"<[^>]+>", "", one).strip() for one in re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)]
    assert headings == [name]
    title = re.search(r"<title[^>]*>(.*?)</title>", page, re.DOTALL)
    assert title[1].strip().split(" · ")[0] == name
