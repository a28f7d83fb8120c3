"""Asking for a new iModel through the pages: it works, it refuses, it hides, it is late."""

import html
import re
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Operation, Preset
from imodels_app.requesting import reader
from imodels_app.runtime.timing import READ_TIMEOUT_S
from imodels_app.states import Kind, State
from imodels_app.views import new_imodel
from imodels_app.views.new_imodel import FORMS
from imodels_app.workers import submit
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

ORESUND = {"north": "55.68", "south": "55.55", "west": "12.6", "east": "12.9"}
KINDS = ["empty", "template", "clone", "fork"]


@pytest.fixture
def at_desk(client, mara, vera, sandbox):
    """A browser in which Mara is signed in."""
    tokens.store(mara, sandbox.tokens_for("mara"))
    client.force_login(mara)
    return client


def typed(kind, **fields):
    usual = {"form_id": str(uuid4()), "itwin": "Harbour Bridge", "name": "Pier 7", "description": ""}
    if kind != "empty":
        usual |= {"source": "Main Bridge", "up_to": "latest"}
    if kind == "fork":
        usual |= {"preserve_history": "on", "reason": "Try the retrofit of pier 7."}
    return usual | fields


def address(kind):
    return reverse(f"imodels:request-{kind}")


def text_of(answer):
    """What a person reads, without tags."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


# It works


def test_the_new_page_has_a_card_for_each_form(at_desk):
    page = at_desk.get(reverse("imodels:new")).content.decode()

    assert all(f'href="{address(kind)}"' in page for kind in KINDS)
    assert "disabled" not in re.sub(r"<link[^>]*>", "", page)


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_makes_one_operation_and_leads_to_its_page(at_desk, mara, kind):
    answer = at_desk.post(address(kind), typed(kind))

    operation = Operation.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, reverse("imodels:operation-detail", args=[operation.pk]))
    assert (operation.kind, operation.requested_by, operation.name) == (kind, mara, "Pier 7")
    assert operation.state == (State.AWAITING_APPROVAL if kind == "fork" else State.QUEUED)


def test_htmx_is_led_to_the_page_as_a_whole(at_desk):
    answer = at_desk.post(address("empty"), typed("empty"), headers={"HX-Request": "true"})

    assert answer["HX-Redirect"] == reverse("imodels:operation-detail", args=[Operation.objects.get().pk])


def test_nothing_is_sent_to_the_platform_by_the_form_itself(at_desk, sandbox):
    at_desk.post(address("fork"), typed("fork"))

    assert sandbox.calls("POST", "/imodels") == sandbox.calls("POST", "/fork") == 0


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("empty", {"description": "Says “hello” & <b>more</b> ü"}),
        ("template", {}),
        ("template", {"up_to": "changeset", "changeset": "40"}),
        ("template", {"up_to": "baseline", **ORESUND}),
        ("empty", ORESUND),
        ("clone", {"up_to": "everything"}),
        ("clone", {"up_to": "changeset", "changeset": "0"}),
        ("clone", {"up_to": "baseline"}),
        ("fork", {"preserve_history": ""}),
    ],
)
def test_the_preview_is_what_is_stored(at_desk, settings, kind, more):
    preview = at_desk.get(reverse("imodels:request-checks", args=[kind]), typed(kind, **more)).content.decode()
    at_desk.post(address(kind), typed(kind, **more))

    operation = Operation.objects.get()
    shown = re.search(r"<pre[^>]*>(.*?)</pre>", preview, re.DOTALL)[1]
    assert html.unescape(re.sub(r"</?span[^>]*>", "", shown)) == operation.request_body
    assert settings.ITWIN_API_URL + operation.request_path in preview


# Twice


def test_a_double_click_makes_one_operation(at_desk):
    once = typed("clone")

    first, second = at_desk.post(address("clone"), once), at_desk.post(address("clone"), once)

    assert first["Location"] == second["Location"]
    assert Operation.objects.count() == 1
    assert Operation.objects.get().events.count() == 1


def test_back_and_the_same_again_finds_the_operation_even_when_its_name_is_taken_by_now(at_desk, sandbox):
    once = typed("empty")
    first = at_desk.post(address("empty"), once)
    sandbox.fault("GET", r"/", status=503, times=50)

    assert at_desk.post(address("empty"), once)["Location"] == first["Location"]


def test_back_and_other_words_make_another_operation(at_desk):
    once = typed("empty")
    at_desk.post(address("empty"), once)
    at_desk.post(address("empty"), once | {"name": "Pier 8"})

    assert set(Operation.objects.values_list("name", flat=True)) == {"Pier 7", "Pier 8"}


@pytest.fixture
def quicker(at_desk, mara, sandbox):
    """quicker(kind, fields): sent twice; the first is answered while the second is at its first look-up."""

    def send(kind, first, second):
        held = sandbox.fault("GET", r"^/itwins", held=True)
        late = Client()
        late.force_login(mara)

        def send_late():
            try:
                return late.post(address(kind), second)
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(send_late)
            wait_until(lambda: held.holding, what="the second click's look-up")
            page = at_desk.post(address(kind), first)["Location"]
            for operation in Operation.objects.filter(state=State.QUEUED):
                submit.submit(operation.pk)
            held.release()
            return page, answer.result()

    return send


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_second_click_that_meets_the_first_ones_imodel_gets_its_page(quicker, sandbox, kind):
    once = typed(kind)
    page, answer = quicker(kind, once, once)

    assert (answer.status_code, answer["Location"]) == (303, page)
    assert Operation.objects.count() == 1
    assert kind == "fork" or sandbox.imodels_named("Pier 7")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_from_another_tab_gets_the_first_ones_page(quicker, at_desk, kind):
    page, answer = quicker(kind, typed(kind), typed(kind))

    assert (answer.status_code, answer["Location"]) == (303, page)
    assert Operation.objects.count() == 1
    again = at_desk.post(address(kind), typed(kind))
    assert "You had already requested exactly this" in text_of(at_desk.get(again["Location"]))


def test_other_words_under_a_name_that_one_took_oneself_are_no_second_click(at_desk):
    at_desk.post(address("clone"), typed("clone"))
    at_desk.post(address("clone"), typed("clone", up_to="baseline"))

    assert Operation.objects.count() == 2


def test_what_failed_can_be_asked_for_again_in_the_same_words(at_desk, mara):
    at_desk.post(address("empty"), typed("empty"))
    lifecycle.cancel(Operation.objects.get(), by=mara)

    assert at_desk.post(address("empty"), typed("empty")).status_code == 303
    assert Operation.objects.count() == 2


def test_two_requests_at_the_same_moment_end_in_the_same_row(mara, spec_for):
    spec, operation_id = spec_for(Kind.EMPTY), uuid4()

    first = lifecycle.request(spec, by=mara, operation_id=operation_id)
    second = lifecycle.request(spec, by=mara, operation_id=operation_id)

    assert first == second
    assert first.events.count() == 1


def test_nobody_is_given_somebody_elses_operation_for_an_id(mara, tomas, spec_for):
    from django.db import IntegrityError

    theirs = lifecycle.request(spec_for(Kind.EMPTY), by=tomas)

    with pytest.raises(IntegrityError):
        lifecycle.request(spec_for(Kind.EMPTY), by=mara, operation_id=theirs.pk)


# Bad input


@pytest.mark.parametrize(
    ("kind", "more", "field", "said"),
    [
        ("empty", {"name": ""}, "name", "Give the new iModel a name."),
        ("empty", {"name": "  "}, "name", "Give the new iModel a name."),
        ("empty", {"name": "x" * 256}, "name", "At most 255 characters; this has 256."),
        ("empty", {"name": "Main Bridge"}, "name", "Already in Harbour Bridge."),
        ("clone", {"description": "x" * 256}, "description", "At most 255 characters; this has 256."),
        ("empty", {"itwin": "Atlantis"}, "itwin", "No iTwin “Atlantis” that you can see."),
        ("clone", {"source": "{not-initialized}"}, "source", "Main Bridge temporary works is not ready"),
        ("fork", {"source": "{metro-line-4}"}, "source", "No iModel with this id, or you cannot see it."),
        ("clone", {"itwin_id": "{city-transit}"}, "itwin", "No iTwin with this id, or you cannot see it."),
        ("clone", {"up_to": "changeset", "changeset": "-1"}, "changeset", "“-1” is not a changeset."),
        ("clone", {"up_to": "changeset", "changeset": "ten"}, "changeset", "“ten” is not a changeset."),
        ("clone", {"changesetId": "", "changesetIndex": "1"}, "up_to", "Give a changeset by its id or its number"),
        ("fork", {"up_to": "sideways"}, "up_to", "Choose how far to copy."),
        ("fork", {"reason": ""}, "reason", "Say why you need the fork."),
        ("empty", {"north": "55.68"}, "east", "Enter all four numbers, or none."),
        ("template", {"west": "200"}, "west", "West is between −180 and 180 degrees."),
        ("template", {"source": ""}, "source", "Pick the template iModel."),
        ("template", {"up_to": "everything"}, "up_to", "Choose how far to copy."),
    ],
)
def test_bad_input_is_told_at_its_field_and_stores_nothing(at_desk, sandbox, kind, more, field, said):
    more = {key: sandbox.ids[value.strip("{}")] if value.startswith("{") else value for key, value in more.items()}
    answer = at_desk.post(address(kind), typed(kind, **more))

    page = answer.content.decode()
    at_field = re.search(rf'id="{field}_msg">(.*?)</div>', page, re.DOTALL)[1]
    assert answer.status_code == 422
    assert said in html.unescape(re.sub(r"<[^>]+>", "", at_field))
    assert f'<a href="#{field}">' in page  # from the banner
    assert f'id="{field}"' in page
    assert Operation.objects.count() == 0


def test_several_wrong_fields_are_all_told_at_once(at_desk):
    answer = at_desk.post(address("fork"), typed("fork", up_to="", reason=""))

    assert "Two fields need a change." in text_of(answer)


def test_a_platform_that_is_down_keeps_all_that_was_typed(at_desk, sandbox):
    sandbox.fault("GET", r"/", status=503, times=50)
    answer = at_desk.post(address("fork"), typed("fork", name="Pier 7 retrofit"))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "The platform is not answering." in text_of(answer)
    assert 'value="Pier 7 retrofit"' in page
    assert "Try the retrofit of pier 7.</textarea>" in page
    assert Operation.objects.count() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_that_the_platform_refuses_keeps_all_that_was_typed(at_desk, sandbox, kind):
    sandbox.fault("GET", r"^/itwins$", status=422, times=9)
    answer = at_desk.post(address(kind), typed(kind, name="Pier 7 retrofit"))

    assert answer.status_code == 422
    assert "No iTwin “Harbour Bridge” that you can see." in text_of(answer)
    assert 'value="Pier 7 retrofit"' in answer.content.decode()


def test_a_person_whose_sign_in_ended_keeps_all_that_was_typed(at_desk, mara):
    mara.tokens.delete()
    answer = at_desk.post(address("empty"), typed("empty", name="Pier 7 retrofit"))

    assert answer.status_code == 422
    assert "Sign in in a new tab" in text_of(answer)
    assert 'value="Pier 7 retrofit"' in answer.content.decode()


def test_whoever_was_signed_out_meanwhile_keeps_all_that_was_typed(client, db):
    answer = client.post(address("fork"), typed("fork", name="Pier 7 retrofit"))

    assert answer.status_code == 422
    assert "You are signed out." in text_of(answer)
    assert 'value="Pier 7 retrofit"' in answer.content.decode()
    assert "Try the retrofit of pier 7.</textarea>" in answer.content.decode()


@pytest.mark.parametrize("history", ["on", None])
def test_whoever_was_signed_out_finds_the_history_switched_as_they_left_it(client, db, history):
    sent = typed("fork") | {"preserve_history": history}
    page = client.post(address("fork"), {name: value for name, value in sent.items() if value is not None})

    switch = re.search(r'<input[^>]*name="preserve_history"[^>]*>', page.content.decode())[0]
    assert (" checked" in switch) == (history == "on")


def test_whoever_was_signed_out_keeps_what_the_form_carries_unseen(client, db):
    unseen = {"pinned": f"{uuid4()}:118", "from": str(uuid4())}
    page = client.post(address("clone"), typed("clone", **unseen)).content.decode()

    assert all(re.search(f'<input[^>]*name="{name}"[^>]*value="{value}"', page) for name, value in unseen.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_that_save_as_preset_hands_back_is_sent_to_its_own_address(client, db, kind):
    page = client.post(reverse("imodels:save-preset", args=[kind]), typed(kind)).content.decode()

    form = re.search(r'<form[^>]*id="request"[^>]*>', page)[0]
    assert f'action="{address(kind)}"' in form


@pytest.mark.parametrize("name", ["pick-itwins", "pick-imodels", "pick-changesets", "pick-versions"])
def test_a_list_for_the_signed_out_leaves_the_page_where_it_is(client, db, name):
    answer = client.get(reverse(f"imodels:{name}"), headers={"HX-Request": "true"})

    assert "You are signed out." in text_of(answer)
    assert "HX-Redirect" not in answer.headers


def test_what_is_typed_is_shown_as_text(at_desk):
    answer = at_desk.post(address("empty"), typed("empty", itwin='"><script>alert(1)</script>'))

    assert b"<script>alert" not in answer.content


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_without_its_csrf_token_is_refused(mara, sandbox, kind):
    tokens.store(mara, sandbox.tokens_for("mara"))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(mara)

    assert strict.post(address(kind), typed(kind)).status_code == 403
    assert Operation.objects.count() == 0


@pytest.fixture
def from_old_page(mara, sandbox):
    """from_old_page(address, fields): sent by Mara from a page that she opened before she signed in again."""
    tokens.store(mara, sandbox.tokens_for("mara"))
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(mara)
    old_token = token_in(browser.get(address("empty")))
    browser.cookies.clear()
    browser.force_login(mara)
    browser.get(address("empty"))
    return lambda at, fields: (browser, browser.post(at, fields | {"csrfmiddlewaretoken": old_token}))


def token_in(page):
    return re.search(r'name="csrfmiddlewaretoken"[^>]*value="(\w+)"', page.content.decode())[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_older_than_the_sign_in_is_handed_back_and_can_be_sent_again(from_old_page, vera, kind):
    once = typed(kind, name="Pier 7 retrofit")
    browser, page = from_old_page(address(kind), once)

    assert page.status_code == 422
    assert "This page is older than your sign-in. Nothing was sent" in text_of(page)
    assert 'value="Pier 7 retrofit"' in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert Operation.objects.count() == 0

    again = browser.post(address(kind), once | {"csrfmiddlewaretoken": token_in(page)})
    assert again.status_code == 303
    assert Operation.objects.get().name == "Pier 7 retrofit"


def test_a_preset_from_a_form_older_than_the_sign_in_is_not_kept_and_the_form_is(from_old_page):
    fields = typed("fork", preset_name="Retrofit") | {"preset_team": ""}
    _, page = from_old_page(reverse("imodels:save-preset", args=["fork"]), fields)

    assert page.status_code == 422
    assert "This page is older than your sign-in." in text_of(page)
    assert "Try the retrofit of pier 7.</textarea>" in page.content.decode()
    assert not Preset.objects.exists()


@pytest.mark.parametrize(
    "name", ["new", "request-empty", "request-clone", "request-fork", "pick-itwins", "pick-imodels", "pick-changesets"]
)
def test_the_signed_out_are_led_to_the_door(client, db, name):
    assert client.get(reverse(f"imodels:{name}"))["Location"].startswith(reverse("imodels:sign-in"))


# Filled in


def test_a_form_can_be_filled_in_by_its_address(at_desk, sandbox):
    page = at_desk.get(address("clone"), {"source": sandbox.ids["viaduct"], "name": "A & B", "up_to": "baseline"})

    text = page.content.decode()
    assert 'value="Viaduct"' in text
    assert f'name="source_id" id="source_id" value="{sandbox.ids["viaduct"]}"' in text
    assert 'value="A &amp; B"' in text
    assert re.search(r'value="baseline"[^>]* checked', text)
    assert 'class="msg msg-bad"' not in text


def test_a_fork_filled_in_by_its_address_keeps_its_history_unless_told_otherwise(at_desk):
    given = {"source": "Main Bridge", "itwin": "Harbour Bridge", "name": "Pier 7"}

    kept = at_desk.get(address("fork"), given)
    squashed = at_desk.get(address("fork"), given | {"preserve_history": "no"})

    assert '"preserveHistory" : true' in text_of(kept)
    assert '"preserveHistory" : false' in text_of(squashed)


def test_what_was_shown_as_now_comes_along_with_the_form(at_desk, sandbox):
    page = at_desk.get(address("clone"), {"source": "Main Bridge"})

    assert f'id="pinned" value="{sandbox.ids["main-bridge"]}:120"' in page.content.decode()
    assert "Pinned at #120" in text_of(page)


def test_the_same_again_fills_in_the_whole_spec(at_desk):
    at_desk.post(address("clone"), typed("clone", up_to="changeset", changeset="40", description="As tendered"))
    page = at_desk.get(address("clone"), {"from": Operation.objects.get().pk}).content.decode()

    assert 'value="Main Bridge"' in page
    assert 'value="As tendered"' in page
    assert 'name="changeset" value="40"' in page
    assert re.search(r'value="changeset"[^>]* checked', page)


def test_the_same_template_again_says_its_changeset_by_number(at_desk):
    at_desk.post(address("template"), typed("template", up_to="changeset", changeset="40"))
    operation = Operation.objects.get()
    page = at_desk.get(address("template"), {"from": operation.pk}).content.decode()

    assert 'name="changeset" value="40"' in page
    assert operation.changeset_id in page  # in the request that is shown


def test_an_operation_from_a_template_speaks_of_its_template(at_desk):
    at_desk.post(address("template"), typed("template"))
    page = text_of(at_desk.get(reverse("imodels:operation-detail", args=[Operation.objects.get().pk])))

    assert "requested an iModel from a template" in page
    assert "Template iModel Main Bridge @ 120" in page
    assert "as template at #120" in page


def test_the_checks_of_a_template_tell_of_reading_and_of_the_data_center(at_desk, sandbox):
    sandbox.allow(sandbox.ids["harbour-bridge"], "mara", ["imodels_webview", "imodels_manage"])
    page = text_of(at_desk.get(reverse("imodels:request-checks", args=["template"]), typed("template")))

    assert "You do not have imodels_read in Harbour Bridge" in page
    assert "Same data center, East US" in page
    assert "Content up to #120 becomes the baseline" in page


def test_templates_are_listed_as_what_can_be_read(at_desk, sandbox):
    asked = {"source": "pumping", "as": "template"}
    as_template = at_desk.get(reverse("imodels:pick-imodels"), asked).content.decode()
    as_source = at_desk.get(reverse("imodels:pick-imodels"), {"source": "pumping"}).content.decode()

    assert 'aria-disabled="true"' not in as_template
    assert 'aria-disabled="true"' in as_source


def test_the_same_again_fills_in_the_extent_and_the_coordinate_system(at_desk, settings):
    settings.ITWIN_CREATION_MODES = True
    at_desk.post(address("empty"), typed("empty", **ORESUND, crs="EPSG:25832"))
    operation = Operation.objects.get()
    page = at_desk.get(address("empty"), {"from": operation.pk}).content.decode()

    assert all(f'name="{side}" value="{number}"' in page for side, number in ORESUND.items())
    assert 'name="crs" value="EPSG:25832"' in page
    facts = text_of(at_desk.get(reverse("imodels:operation-detail", args=[operation.pk])))
    assert "North 55.68°, south 55.55°, west 12.6°, east 12.9°" in facts


def test_a_coordinate_system_is_asked_for_only_where_creation_modes_are_sent(at_desk, settings):
    assert 'name="crs"' not in at_desk.get(address("empty")).content.decode()

    settings.ITWIN_CREATION_MODES = True
    assert 'name="crs"' in at_desk.get(address("empty")).content.decode()
    assert 'name="crs"' not in at_desk.get(address("template")).content.decode()


WAYS = [
    {"up_to": "latest"},
    {"up_to": "baseline"},
    {"up_to": "changeset", "changeset": "40"},
    {"up_to": "version", "version": "60 % design"},
]
EVERY_FIELD = [
    ("empty", {"crs": "EPSG:25832", **ORESUND}),
    *(("template", {**way, **ORESUND}) for way in WAYS),
    *(("clone", way) for way in [*WAYS, {"up_to": "everything"}]),
    *(("fork", {**way, "preserve_history": kept}) for way, kept in zip(WAYS, ["on", "", "on", ""], strict=True)),
]


def filled_in(kind, page):
    """What each field of a form's page holds, by name, as a browser would send it."""
    form = re.search(r'<form[^>]* id="request".*?</form>', page, re.DOTALL)[0]
    held = dict.fromkeys(FORMS[Kind(kind)].base_fields, "")
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = (re.search(rf' {part}="([^"]*)"', tag) for part in ("name", "value"))
        is_choice = 'type="radio"' in tag or 'type="checkbox"' in tag
        if name and name[1] in held and (not is_choice or " checked" in tag):
            held[name[1]] = html.unescape(value[1]) if value else "on" * is_choice
    # A line break right after the tag is none of the text.
    for name, text in re.findall(r'<textarea[^>]* name="([^"]*)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL):
        held[name] = html.unescape(text)
    return held


@pytest.mark.parametrize(
    ("kind", "more"), EVERY_FIELD, ids=lambda one: one if isinstance(one, str) else one.get("up_to")
)
def test_every_field_of_every_kind_comes_by_address_by_same_again_and_by_preset(at_desk, mara, settings, kind, more):
    """Filled in by address, by an operation or by a preset, a form holds the same, and is sent as the same request."""
    settings.ITWIN_CREATION_MODES = True
    words = {"name": "Pier & “7” + ü #1", "description": "50 % <done>", "itwin": "Harbour Bridge"} | more
    words |= {"reason": "First line\nsecond & last"}
    words |= {"source": "Main Bridge"} if kind != "empty" else {}

    by_address = filled_in(kind, at_desk.get(address(kind), words).text)
    assert {name: by_address[name] for name in words} == words
    assert all(by_address[name] for name in FORMS[Kind(kind)].base_fields if not _may_be_empty(name, more))

    assert at_desk.post(address(kind), by_address).status_code == 303
    first = Operation.objects.get()
    lifecycle.cancel(first, by=mara)  # until then its name counts as taken
    again = filled_in(kind, at_desk.get(address(kind), {"from": first.pk}).text)
    if more.get("up_to") == "version":  # asked for by its number: the named version may be gone or moved by then
        assert (again["up_to"], again["changeset"]) == ("changeset", "96")
        again |= {"up_to": "version", "version": "60 % design", "changeset": ""}
    assert again == by_address
    assert at_desk.post(address(kind), again).status_code == 303
    second = Operation.objects.exclude(pk=first.pk).get()
    assert (second.request_path, second.request_body) == (first.request_path, first.request_body)

    kept = at_desk.post(reverse("imodels:save-preset", args=[kind]), by_address | {"preset_name": "Mine"})
    assert filled_in(kind, at_desk.get(kept["Location"]).text) == by_address


def _may_be_empty(name, more):
    return name in {"changeset", "version", "preserve_history", "not_before"} - set(filter(more.get, more))


def test_the_address_can_fill_in_an_extent(at_desk):
    page = at_desk.get(address("template"), ORESUND).content.decode()

    assert all(f'name="{side}" value="{number}"' in page for side, number in ORESUND.items())


@pytest.mark.parametrize(
    ("swapped", "warning"),
    [
        ({"north": "55.55", "south": "55.68"}, "South is north of North"),
        ({"west": "12.9", "east": "12.6"}, "West is east of East"),
    ],
)
def test_swapped_corners_are_warned_of_and_sent_as_they_are(at_desk, swapped, warning):
    asked = typed("empty", **(ORESUND | swapped))

    assert warning in text_of(at_desk.get(reverse("imodels:request-checks", args=["empty"]), asked))
    assert at_desk.post(address("empty"), asked).status_code == 303


def test_the_new_page_offers_the_last_different_specs_again(at_desk):
    for name in ("One", "Two"):
        at_desk.post(address("clone"), typed("clone", name=name))

    page = at_desk.get(reverse("imodels:new")).content.decode()
    assert page.count("Fill in the form") == 1
    assert "like Two" in page


@pytest.mark.parametrize(("state", "names_it"), [(State.FAILED, True), (State.SUCCEEDED, False)])
def test_only_trying_again_after_a_failure_names_what_failed(at_desk, queued_clone, state, names_it):
    Operation.objects.filter(pk=queued_clone.pk).update(state=state)
    at_desk.post(address("clone"), typed("clone", name="Once more", **{"from": str(queued_clone.pk)}))

    assert Operation.objects.get(name="Once more").again_of == (queued_clone if names_it else None)


def test_somebody_elses_operation_cannot_be_asked_for_again(at_desk, otto, spec_for):
    theirs = lifecycle.request(spec_for(Kind.EMPTY), by=otto)

    for asked in (theirs.pk, uuid4(), "garbage"):
        assert at_desk.get(address("empty"), {"from": asked}).status_code == 404


# Checks and lists


def test_checks_tell_who_must_agree_and_what_is_in_the_way(at_desk, sandbox, tomas):
    from imodels_app.models import Membership, Team, TeamITwin

    team = Team.objects.create(name="Bridge team")
    TeamITwin.objects.create(team=team, itwin_id=sandbox.ids["harbour-bridge"])
    Membership.objects.create(team=team, email=tomas.email, user=tomas, role=Membership.Role.LEAD)

    page_text = text_of(
        at_desk.get(reverse("imodels:request-checks", args=["fork"]), typed("fork", name="Main Bridge"))
    )

    assert "1 lead of Bridge team Tomas Novak" in page_text
    assert "Name is taken in Harbour Bridge" in page_text
    assert "Main Bridge is ready" in page_text
    assert "Changesets up to #120 will be copied 120 at most." in page_text
    assert "You may create iModels in Harbour Bridge" in page_text


def test_a_lead_who_asks_is_not_named_among_those_who_agree(at_desk, mara, sandbox):
    from imodels_app.models import Membership, Team, TeamITwin

    team = Team.objects.create(name="Bridge team")
    TeamITwin.objects.create(team=team, itwin_id=sandbox.ids["harbour-bridge"])
    Membership.objects.create(team=team, email=mara.email, user=mara, role=Membership.Role.LEAD)

    page_text = text_of(at_desk.get(reverse("imodels:request-checks", args=["fork"]), typed("fork")))

    assert "This cannot be requested" in page_text
    assert "This has to be approved by 1 lead of Bridge team, and nobody else can." in page_text


def test_checks_offer_to_take_the_newer_changesets_too(at_desk, sandbox):
    bridge = sandbox.ids["main-bridge"]
    answer = at_desk.get(reverse("imodels:request-checks", args=["clone"]), typed("clone", pinned=f"{bridge}:117"))

    assert "3 newer changesets since you opened this page" in text_of(answer)
    assert f'data-fill="pinned" data-value="{bridge}:120"' in answer.content.decode()


def test_checks_tell_of_another_operation_with_this_name(at_desk):
    at_desk.post(address("empty"), typed("empty"))
    page_text = text_of(at_desk.get(reverse("imodels:request-checks", args=["empty"]), typed("empty", name="PIER 7")))

    assert "One with this name is already under way Requested by Mara Lindqvist." in page_text


def test_checks_of_an_untouched_form_scold_nobody(at_desk):
    answer = at_desk.get(reverse("imodels:request-checks", args=["fork"]), {"up_to": "latest"})

    assert answer.status_code == 200
    assert "msg-bad" not in answer.content.decode()


def test_checks_are_only_for_kinds_that_have_a_form(at_desk):
    assert at_desk.get(reverse("imodels:request-checks", args=["thing"])).status_code == 404


def test_a_preview_shows_no_token(at_desk, mara):
    answer = at_desk.get(reverse("imodels:request-checks", args=["clone"]), typed("clone"))

    assert "$ITWIN_TOKEN" in answer.content.decode()
    assert tokens.access_token(mara) not in answer.content.decode()


def test_imodels_in_the_list_say_whether_they_can_be_copied(at_desk, sandbox):
    page = at_desk.get(reverse("imodels:pick-imodels"), {"source": "main"}).content.decode()

    assert '<ul role="listbox"' in page
    options = {re.search(r'data-text="([^"]*)"', li)[1]: li for li in re.findall(r"<li.*?</li>", page, re.DOTALL)}
    assert "Ready" in options["Main Bridge"]
    assert "Not ready" in options["Main Bridge temporary works"]
    assert "View only" in options["West Main DN800"]
    assert 'aria-disabled="true"' in options["West Main DN800"]


def test_an_imodel_with_permissions_of_its_own_is_not_said_to_be_ready(at_desk, sandbox):
    listed = {"source": "Depot"}
    assert "Ready" in text_of(at_desk.get(reverse("imodels:pick-imodels"), listed))

    sandbox.secure(sandbox.ids["depot"], "tomas", ["imodels_webview"])
    cache.clear()
    said = text_of(at_desk.get(reverse("imodels:pick-imodels"), listed))
    assert "Depot" in said
    assert "Ready" not in said


def test_lists_of_changesets_and_versions_belong_to_a_source(at_desk, sandbox):
    of = {"source_id": sandbox.ids["main-bridge"]}

    assert 'data-text="120"' in at_desk.get(reverse("imodels:pick-changesets"), of).content.decode()
    assert "60 % design" in text_of(at_desk.get(reverse("imodels:pick-versions"), of))
    assert "Pick the iModel first." in text_of(at_desk.get(reverse("imodels:pick-versions")))


def test_itwins_in_the_list_say_their_status_and_which_are_favourites(at_desk, sandbox):
    sandbox.world.favorites[f"itwins:{sandbox.person('mara').id}"] = [sandbox.ids["harbour-bridge"]]
    sandbox.world.itwins[sandbox.ids["rail-corridor"]].status = "Trial"
    itwins = reverse("imodels:pick-itwins")

    assert "Harbour Bridge HB-2031, East US , favourite" in text_of(at_desk.get(itwins))
    assert "Rail Corridor 2027 RC-2027, East US Trial" in text_of(at_desk.get(itwins))
    assert "Old Ferry Terminal OF-1998, East US Inactive" in text_of(at_desk.get(itwins, {"itwin": "ferry"}))


def test_changesets_in_the_list_tell_who_pushed_them_and_lead_to_older_ones(at_desk, sandbox):
    asked = {"source_id": sandbox.ids["main-bridge"]}
    first = at_desk.get(reverse("imodels:pick-changesets"), asked)
    more = html.unescape(re.search(r'data-more="([^"]*)"', first.text)[1])
    then = at_desk.get(more).text

    assert re.search(r"#120 [^#]*(Mara Lindqvist|Tomas Novak|Ines Duarte)", text_of(first))
    assert re.findall(r'data-text="(\d+)"', first.text) == [str(index) for index in range(120, 108, -1)]
    assert re.findall(r'data-text="(\d+)"', then) == [str(index) for index in range(108, 96, -1)]
    assert "listbox" not in then


def test_older_changesets_that_cannot_be_had_say_why_in_the_list(at_desk, sandbox):
    sandbox.fault("GET", r"/changesets", status=503, times=50)
    asked = {"source_id": sandbox.ids["main-bridge"], "before": "109"}

    assert 'aria-disabled="true"' in at_desk.get(reverse("imodels:pick-changesets"), asked).text


def test_a_hidden_named_version_is_marked(at_desk, sandbox):
    sandbox.world.imodels[sandbox.ids["main-bridge"]].named_versions[1].state = "hidden"
    answer = at_desk.get(reverse("imodels:pick-versions"), {"source_id": sandbox.ids["main-bridge"]})

    assert "60 % design #96, Issued for independent check Hidden" in text_of(answer)


def test_a_list_that_cannot_be_had_says_why_and_what_else_can_be_done(at_desk, sandbox):
    sandbox.fault("GET", r"/", status=503, times=50)
    answer = at_desk.get(reverse("imodels:pick-itwins"), {"itwin": "harbour"})

    assert answer.status_code == 200
    assert "The platform is not answering. You can paste an id or a link instead." in text_of(answer)


def test_a_right_that_is_not_listed_is_said_and_left_to_the_platform(at_desk, sandbox):
    """An organization administrator may create where no list says so."""
    form = {"itwin": "Water West", "name": "Pier 7"}

    checks = at_desk.get(reverse("imodels:request-checks", args=["empty"]), form)

    assert "You do not have imodels_manage in Water West" in checks.text


# It is slow


@pytest.mark.parametrize("kind", KINDS)
def test_an_untouched_form_asks_the_platform_nothing(at_desk, sandbox, kind):
    assert at_desk.get(address(kind)).status_code == 200
    assert sandbox.calls("GET", "/") == 0


def test_a_form_that_comes_filled_in_waits_no_more_than_a_moment_for_names(at_desk, sandbox, monkeypatch):
    monkeypatch.setattr(new_imodel, "FILL_IN_S", 0.5)
    held = sandbox.fault("GET", r"/", cut=True, held=True, times=50)
    began = time.monotonic()
    page = at_desk.get(address("clone"), {"source": sandbox.ids["viaduct"], "itwin": "Harbour Bridge", "name": "A"})

    assert held.holding
    assert time.monotonic() - began < READ_TIMEOUT_S, "a worker's patience, not a person's"
    assert f'name="source" value="{sandbox.ids["viaduct"]}"' in page.text
    assert 'hx-trigger="load, input' in page.text  # the side column goes on by itself
    assert "msg-bad" not in page.text


@pytest.mark.parametrize("kind", ["empty", "clone"])
def test_a_form_by_ids_is_taken_down_while_the_platform_is_slow(at_desk, sandbox, kind, monkeypatch):
    monkeypatch.setattr(reader, "READ_TIMEOUT_S", 0.5)
    held = sandbox.fault("GET", r"/", cut=True, held=True, times=50)
    ids = {"itwin": sandbox.ids["harbour-bridge"], "source": sandbox.ids["viaduct"], "up_to": "baseline"}
    page_text = text_of(at_desk.get(reverse("imodels:request-checks", args=[kind]), typed(kind, **ids)))
    answer = at_desk.post(address(kind), typed(kind, **ids))

    assert "The platform is not answering, so nothing was checked You can still send it" in page_text
    assert answer.status_code == 303
    assert held.holding
    assert Operation.objects.get().itwin_id == sandbox.ids["harbour-bridge"]
    assert at_desk.get(answer["Location"]).status_code == 200


# Many


def test_among_ten_thousand_itwins_a_search_asks_once_and_reads_one_page(at_desk, sandbox):
    sandbox.crowd(10_000)
    found = at_desk.get(reverse("imodels:pick-itwins"), {"itwin": "section 0424"})

    assert found.text.count('role="option"') == 10
    assert sandbox.calls("GET", "/itwins") == 1


def test_an_imodel_that_is_in_none_of_the_first_itwins_is_not_said_to_be_nowhere(at_desk, sandbox):
    sandbox.crowd(40)

    page_text = text_of(at_desk.get(reverse("imodels:pick-imodels"), {"source": "track bed 00040"}))
    assert "Type its iTwin’s name, a slash and its own name" in page_text
    found = at_desk.get(reverse("imodels:pick-imodels"), {"source": "section 00040 / track"})
    assert 'data-text="Track bed 00040"' in found.text


def test_ten_thousand_itwins_are_never_all_read(at_desk, sandbox):
    sandbox.crowd(10_000)
    for name, asked in (("itwins", {}), ("itwins", {"itwin": "se"}), ("imodels", {}), ("imodels", {"source": "track"})):
        at_desk.get(reverse(f"imodels:pick-{name}"), asked)
    at_desk.get(reverse("imodels:request-checks", args=["clone"]), typed("clone"))

    pages = [entry for entry in sandbox.journal if entry.path.rstrip("/") == "/itwins"]
    assert len(pages) == 5  # the first ones, “se”, what is named exactly that, and the form's own “Harbour Bridge”
    assert len(sandbox.journal) < 40
    asked = at_desk.get(reverse("imodels:pick-imodels"), {"source": "section 04240 / track"})
    assert "Track bed 04240" in asked.text


def test_a_name_that_is_under_way_is_not_called_free(at_desk, mara, spec_for, bridge_team):
    lifecycle.request(spec_for(Kind.EMPTY, name="Pier 70"), by=mara)

    checks = at_desk.get("/new/empty/checks/", {"itwin": "Harbour Bridge", "name": "pier 70"}).text

    assert "A request under way will use this name in Harbour Bridge" in checks
    assert "One with this name is already under way" in checks
    assert "ree in Harbour Bridge" not in checks
