"""Addresses and forms that a person made up: every URL with every parameter that any view reads, filled with nonsense.

The answer is a page, a redirect to a page of ours, or a 4xx; never a 500, nor a way to somebody else's site.
"""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import UUID

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse
from django.urls.converters import IntConverter

from imodels_app.accounts import tokens
from imodels_app.urls import urlpatterns
from imodels_app.views.new_imodel import FORMS

pytestmark = pytest.mark.django_db

# Not made anew: each process of a run has to know the same tests.
SOME_ID = "0a6ea793-f682-456d-ac00-5d2f3f3f2a11"
BASE = Path(__file__).resolve().parents[2]
# As they stand in an address or a form: percent-encoded bytes, whatever those are.
NONSENSE = [
    "",
    "0",
    "-1",
    "00000000199999999999999999999",
    "9" * 30,
    "9" * 5000,
    quote("٣٤"),
    quote("²"),
    "1e9",
    "NaN",
    "%00",
    "a%00b",
    "%ED%A0%BD",
    "%FF%FE",
    "%",
    "%C3%28",
    "a%0D%0ASet-Cookie:%20x=1",
    quote("\u202etxt.exe"),
    "x" * 5000,
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "2026-02-30",
    "2026-11-29T99:99",
    quote("２０２６-01-01"),
    "nowhere",
    "//evil.example",
    quote("/\\evil.example"),
    "https://evil.example/",
    "javascript:alert(1)",
    quote("/%0a//evil.example"),
    "/" + "x" * 5000,
    quote("/[") + "%00",
    quote("http://["),
    quote("{{7*7}}"),
    quote("' OR 1=1 --"),
    "00000000-0000-0000-0000-000000000000",
    quote("{" + SOME_ID + "}"),
    "urn:uuid:" + SOME_ID,
    quote("[]"),
    "None",
]


def parameters() -> list[str]:
    """Every name that a view, a filter or a form takes from a request, found in their source."""
    reads = {
        "imodels_app/**/*.py": r"""(?:GET|POST|query)(?:\.get|\.getlist|\.pop)?[\(\[]"(\w+)\"""",
        "templates/**/*.html": r"""\bname="(\w+)\"""",
    }
    sources = [(path, pattern) for files, pattern in reads.items() for path in BASE.glob(files)]
    found = {name for path, pattern in sources for name in re.findall(pattern, path.read_text())}
    return sorted(found | {field for form in FORMS.values() for field in form.base_fields} | {"seen", "as", "code"})


NAMES = parameters()
LISTS = ("/operations/", "/audit/", "/audit/operations/", "/audit/numbers/")


def addresses(pk: object) -> Iterator[str]:
    """Each URL, those with an id for this id, those with a kind for each kind and two that are none."""
    for pattern in urlpatterns:
        wanted = pattern.pattern.converters
        kinds = [*FORMS, "nothing", "%FF"] if "kind" in wanted else [None]
        for kind in kinds:
            arguments: dict[str, object] = {name: SOME_ID for name in ("itwin_id", "imodel_id") if name in wanted}
            arguments |= {"kind": str(kind)} if kind else {}
            if "pk" in wanted:
                arguments["pk"] = 9**30 if isinstance(wanted["pk"], IntConverter) else pk
            yield reverse(f"imodels:{pattern.name}", kwargs=arguments)


PEOPLE = ["ines", "nobody", "mara", "tomas", "otto"]
# In each walk every parameter has another word. The admin, who sees most, walks further, and all walk on in the soak.
SHORT, LONG = {"ines": 1, "nobody": 1, "mara": 1}, {"ines": 12, "mara": 4}
WALKS = [
    pytest.param(person, walk, marks=() if walk < SHORT.get(person, 0) else pytest.mark.soak)
    for person in PEOPLE
    for walk in range(LONG.get(person, 2))
]
FRAGMENT = {"HX-Request": "true", "HX-Current-URL": "http://[", "HX-Target": "%FF"}
# Ends the person's session, on purpose.
GOOD_BYE = "/sign-out"


@pytest.fixture
def there(queued_clone, waiting_fork, failed_fork, otto, ines):
    """Ids of a queued, a waiting and a failed operation, and of nothing."""
    return [queued_clone.pk, waiting_fork.pk, failed_fork.pk, UUID(SOME_ID)]


@pytest.fixture
def visitor(there, request, sandbox):
    """visitor(name) is a browser of this person, which shows a 500 as its page."""

    def come(name: str) -> Client:
        client = Client(raise_request_exception=False)
        if name != "nobody":
            person = request.getfixturevalue(name)
            tokens.store(person, sandbox.tokens_for(name))
            client.force_login(person)
        return client

    return come


def holds(answer, address: str) -> None:
    """What is promised of every answer."""
    assert answer.status_code < 500 or answer.status_code == 503, (answer.status_code, address[:300])
    where = answer.headers.get("Location") or answer.headers.get("HX-Redirect") or ""
    is_ours = where == "" or (where.startswith("/") and not where.startswith(("//", "/\\")))
    assert is_ours or where.startswith(settings.OIDC_ISSUER), (where, address[:300])
    assert "x" not in answer.cookies


def query(walk: int) -> str:
    words = [NONSENSE[(walk * 7 + at) % len(NONSENSE)] for at in range(len(NAMES))]
    return "&".join(f"{name}={word}&{name}[]={word}" for name, word in zip(NAMES, words, strict=True))


@pytest.mark.parametrize(("person", "walk"), WALKS)
def test_an_address_with_every_parameter_made_up_is_answered(visitor, there, person, walk):
    client, asked = visitor(person), query(walk)

    for address in addresses(there[0]):
        holds(client.get(f"{address}?{asked}"), f"GET {address}, walk {walk}")
        holds(client.get(f"{address}?{asked}", headers=FRAGMENT), f"GET {address}, walk {walk}, for htmx")


@pytest.mark.parametrize(("person", "walk"), WALKS)
def test_a_form_with_every_field_made_up_is_answered(visitor, there, person, walk):
    client, sent = visitor(person), query(walk)

    for address in addresses(there[1]):
        if address == GOOD_BYE:
            continue
        answer = client.post(address, sent, content_type="application/x-www-form-urlencoded")
        holds(answer, f"POST {address}, walk {walk}")


@pytest.mark.soak
@pytest.mark.parametrize("word", ["9" * 30, "%00", "nowhere"])
@pytest.mark.parametrize("person", PEOPLE[:3])
def test_each_parameter_alone_is_answered(visitor, there, person, word):
    """Where one is refused, the others behind it are not read: so each stands alone, too."""
    client = visitor(person)
    for address in (*LISTS, "/new/clone/", "/sign-in/", "/sign-in/start"):
        for name in NAMES:
            holds(client.get(f"{address}?{name}={word}"), f"GET {address}?{name}={word}")


ELSEWHERE = ["nowhere", "//evil.example", "https://evil.example/", "/\\evil.example", "/\n//evil", "", " /x", "a:b"]


@pytest.mark.parametrize("address", ["theme", "act-on-several", "cancel"])
def test_a_form_leads_back_to_a_page_of_ours_only(visitor, there, address):
    where, mara = reverse(f"imodels:{address}", args=[there[0]] if address == "cancel" else []), visitor("mara")

    for target in ELSEWHERE:
        with transaction.atomic():
            answer = mara.post(where, {"next": target, "sure": "yes"})
            transaction.set_rollback(True)
        assert answer.status_code == 302, target
        assert get_resolver().resolve(urlsplit(answer["Location"]).path), target


PLACES = ["", "0", "٣", "9" * 5000, "a:b", ".eJw:x", "[]", ":"]


@pytest.mark.parametrize("address", ["/operations/", "/audit/", "/audit/operations/", "/orphans/"])
def test_a_page_behind_a_place_that_makes_no_sense_is_the_first(visitor, address):
    ines = visitor("ines")
    first = names_on(ines.get(address))

    for name, place in product(("after", "before"), PLACES):
        assert names_on(ines.get(address, {name: place})) == first, (name, place)


def names_on(answer) -> list[str]:
    assert answer.status_code == 200
    return re.findall(r"Pier [\w ]+", answer.text)


BODIES = [b"\xff\xfe%", b"a=%ED%A0%BD&=&&", b"{}", b"--x\r\n\r\n", b"a=1;" * 3000]
CONTENT_TYPES = [
    "application/x-www-form-urlencoded; charset=utf-7",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/json",
    "text/plain; charset=nonsense",
    "\u00e9/\u00e9",
]


@pytest.mark.parametrize(
    "content_type", [CONTENT_TYPES[0], *(pytest.param(one, marks=pytest.mark.soak) for one in CONTENT_TYPES[1:])]
)
def test_a_body_of_another_kind_is_answered(visitor, there, content_type):
    client = visitor("mara")
    for address in addresses(there[2]):
        for body in BODIES if address != GOOD_BYE else []:
            holds(client.generic("POST", address, body, content_type=content_type), f"POST {address} {content_type}")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND"])
def test_a_method_that_nobody_expects_is_answered(visitor, there, method):
    client = visitor("mara")
    for address in addresses(there[3]):
        holds(client.generic(method, address), f"{method} {address}")
