"""The live table and the page of one operation: they work, refuse, hide, and are late in a civil way."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Operation, User
from imodels_app.requesting.spec import ITwinRef
from imodels_app.states import Kind, State, WaitReason

LIST = "/operations/"
HTMX = {"HX-Request": "true"}


def page_of(operation) -> str:
    return reverse("imodels:operation-detail", args=[operation.pk])


def cancel_of(operation) -> str:
    return reverse("imodels:cancel", args=[operation.pk])


def seen(answer) -> str:
    return answer.context["seen"]


def names(answer) -> list[str]:
    return [row.operation.name for row in answer.context["rows"]]


def said(answer) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


# ---------- the table ----------


def test_the_way_home_leads_to_the_table(client, mara):
    client.force_login(mara)

    assert client.get("/").headers["Location"] == LIST


def test_a_person_sees_their_own_operations_first(client, mara, otto, queued_clone, spec_for):
    lifecycle.request(spec_for(Kind.EMPTY, name="Somebody else’s"), by=otto)
    client.force_login(mara)

    assert names(client.get(LIST)) == ["Pier 7 copy"]


def test_a_team_sees_what_its_members_asked_for(client, tomas, queued_clone):
    client.force_login(tomas)

    assert names(client.get(LIST, {"whose": "mine"})) == []
    assert names(client.get(LIST, {"whose": "team"})) == ["Pier 7 copy"]


def test_another_team_sees_nothing_of_it(client, otto, queued_clone):
    client.force_login(otto)

    assert names(client.get(LIST, {"whose": "team"})) == []
    assert "Pier 7 copy" not in client.get(LIST, {"q": "Pier"}).content.decode()


@pytest.mark.parametrize("word", ["all", "nobody"])
def test_only_admins_have_a_tab_with_everything(client, mara, ines, queued_clone, word):
    client.force_login(mara)
    assert client.get(LIST, {"whose": word}).status_code == 404

    client.force_login(ines)
    assert names(client.get(LIST, {"whose": "all"})) == ["Pier 7 copy"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=pier", True),
        ("q=copy+pier", True),
        ("q=quay", False),
        ("state=waiting&state=failed", True),
        ("state=succeeded", False),
        ("kind=clone", True),
        ("kind=fork", False),
        ("itwin=b2b00000-0000-4000-8000-000000000001", True),
        ("itwin=another", False),
        ("since=2020-01-01", True),
        ("until=2020-01-01", False),
        ("person=999999", False),
        ("since=nonsense&state=nonsense&kind=nonsense&person=x&after=-4&before=x", True),
        ("since=2026-02-31", True),
    ],
)
def test_filters_live_in_the_address(client, mara, queued_clone, query, found):
    client.force_login(mara)

    assert bool(names(client.get(f"{LIST}?{query}"))) is found


@pytest.mark.parametrize(
    ("sort", "order"),
    [("name", "ABC"), ("-name", "CBA"), ("age", "BCA"), ("-duration", "ABC"), ("state", "CBA"), ("nonsense", "ACB")],
)
def test_the_table_has_the_order_of_its_address(client, mara, bridge_team, spec_for, sort, order):
    made = {name: lifecycle.request(spec_for(Kind.EMPTY, name=name), by=mara) for name in "BCA"}
    for took, (name, state) in enumerate([("C", State.CANCELLED), ("B", State.FAILED), ("A", State.REJECTED)], start=1):
        ended = made[name].created_at + timedelta(minutes=took)
        Operation.objects.filter(pk=made[name].pk).update(state=state, finished_at=ended)
    client.force_login(mara)

    answer = client.get(LIST, {"sort": sort})

    assert "".join(names(answer)) == order
    if sort == "name":
        assert answer.text.count('aria-sort="ascending"') == 1
        assert "sort=-name" in answer.text


def test_an_operation_is_found_by_its_id_and_by_its_imodel(client, mara, running_clone):
    client.force_login(mara)

    for text in (
        str(running_clone.pk),
        str(running_clone.pk)[:8],
        running_clone.imodel_id,
        running_clone.imodel_id[:6],
    ):
        assert names(client.get(LIST, {"q": text})) == ["Pier 7 copy"]


def test_an_empty_page_says_how_many_the_filter_hides(client, mara, queued_clone):
    client.force_login(mara)

    answer = client.get(LIST, {"q": "quay"}).content.decode()

    assert "No operations match the filter" in answer
    assert "One operation is hidden by the filter." in " ".join(answer.split())


def test_old_pages_are_older(client, mara, bridge_team, spec_for):
    for number in range(27):
        lifecycle.request(spec_for(Kind.EMPTY, name=f"Number {number}"), by=mara)
    client.force_login(mara)

    first = client.get(LIST)
    second = client.get(LIST, {"after": first.context["rows"].older})
    back = client.get(LIST, {"before": second.context["rows"].newer})

    assert (len(names(first)), names(second), names(back)) == (25, ["Number 1", "Number 0"], names(first))
    assert "25 on this page, 27 in total" in first.content.decode()


def test_a_page_of_rows_costs_no_query_for_each_row(client, mara, bridge_team, spec_for, django_assert_max_num_queries):
    for number in range(20):
        lifecycle.request(spec_for(Kind.CLONE, name=f"Number {number}"), by=mara)
    client.force_login(mara)

    with django_assert_max_num_queries(30):
        client.get(LIST)


@pytest.fixture
def in_many_itwins(mara, bridge_team, spec_for):
    """45 operations, each in an iTwin and of a requester of its own: iTwin 00 to 44, Person 00 to 44."""
    people = User.objects.bulk_create(
        User(username=f"p{one}", first_name="Person", last_name=f"{one:02}") for one in range(45)
    )
    for number, person in enumerate(people):
        itwin = ITwinRef(id=str(uuid4()), name=f"iTwin {number:02}")
        lifecycle.request(spec_for(Kind.EMPTY, name=f"In its own {number}", itwin=itwin), by=person)
    return people


def chip_of(answer, name: str):
    return next(chip for chip in answer.context["chips"] if chip.name == name)


@pytest.mark.parametrize(
    ("name", "first", "last"), [("itwin", "iTwin 00", "iTwin 39"), ("person", "Person 00", "Person 39")]
)
def test_a_menu_that_is_not_whole_says_so(client, ines, in_many_itwins, name, first, last):
    client.force_login(ines)

    answer = client.get(LIST)

    labels = [choice.label for choice in chip_of(answer, name).menu.choices]
    assert (len(labels), labels[0], labels[-1]) == (40, first, last)
    assert answer.content.decode().count("There are more: search to find them.") == 2


def test_a_menu_that_is_whole_says_nothing(client, mara, queued_clone):
    client.force_login(mara)

    assert "There are more" not in client.get(LIST).content.decode()


@pytest.mark.parametrize("text", ["itwin 44", "person 44"])
def test_what_is_not_in_the_menu_is_found_by_the_name_of_its_itwin_and_of_who_asked(client, ines, in_many_itwins, text):
    client.force_login(ines)

    assert names(client.get(LIST, {"q": text})) == ["In its own 44"]


def test_what_is_picked_is_in_the_menu_and_has_its_name(client, ines, in_many_itwins):
    last = Operation.objects.get(name="In its own 44")
    client.force_login(ines)

    answer = client.get(LIST, {"itwin": last.itwin_id, "person": [last.requested_by_id, 999_999]})

    assert chip_of(answer, "itwin").words == "iTwin 44"
    assert chip_of(answer, "person").words == "Person 44, 999999"
    assert last.itwin_id in [choice.value for choice in chip_of(answer, "itwin").menu.choices]


def test_an_itwin_that_was_renamed_is_one_choice(client, mara, queued_clone, running_clone, spec_for):
    again = lifecycle.request(spec_for(Kind.EMPTY, name="Later"), by=mara)
    Operation.objects.filter(pk=again.pk).update(itwin_name="New name")
    client.force_login(mara)

    assert len(chip_of(client.get(LIST), "itwin").menu.choices) == 1


def test_the_summary_counts_what_runs_waits_and_needs_a_person(client, mara, running_clone, waiting_fork, spec_for):
    signed_out = lifecycle.request(spec_for(Kind.EMPTY, name="Asleep"), by=mara)
    lifecycle.wait(signed_out, WaitReason.SIGN_IN, timezone.now() + timedelta(days=5))
    client.force_login(mara)

    numbers = client.get(LIST).context["numbers"]

    assert (numbers["running"], numbers["waiting"], numbers["person"], numbers["failed_today"]) == (1, 0, 2, 0)


# ---------- its poll ----------


def test_a_poll_that_missed_nothing_gets_no_content(client, mara, queued_clone):
    client.force_login(mara)
    token = seen(client.get(LIST))

    answer = client.get(LIST, {"seen": token}, headers=HTMX)

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.django_db(transaction=True)
def test_a_poll_that_missed_something_gets_the_live_parts_alone(client, mara, queued_clone):
    client.force_login(mara)
    token = seen(client.get(LIST))
    lifecycle.cancel(queued_clone, by=mara)

    answer = client.get(LIST, {"seen": token}, headers=HTMX)

    assert answer.status_code == 200
    assert b"<html" not in answer.content
    assert b"Cancelled" in answer.content
    assert seen(answer) != token
    assert "HX-Request" in answer.headers["Vary"]


def test_a_poll_asks_for_the_filter_that_is_shown(client, mara, queued_clone):
    client.force_login(mara)

    answer = client.get(LIST, {"q": "quay", "seen": "old"}, headers=HTMX).content.decode()

    assert 'hx-get="/operations/?q=quay"' in answer


def test_a_poll_without_a_right_stays_a_404(client, mara):
    client.force_login(mara)

    assert client.get(LIST, {"whose": "all"}, headers=HTMX).status_code == 404


def test_a_row_renders_the_same_until_something_changes(client, mara, queued_clone):
    client.force_login(mara)

    def rows() -> str:
        whole = client.get(LIST, headers=HTMX).content.decode()
        return whole[whole.index("<tbody") : whole.index("</tbody>")]

    assert rows() == rows()


# ---------- the page of one ----------


def test_the_page_tells_history_and_the_exact_request(client, mara, failed_fork):
    client.force_login(mara)

    answer = " ".join(client.get(page_of(failed_fork)).content.decode().split())

    assert "Failed: FederationGuids missing" in answer
    assert "Main Bridge has elements without a FederationGuid" in answer
    assert "Tomas Novak</span> approved" in answer
    assert "&quot;preserveHistory&quot;" in answer
    assert failed_fork.request_path in answer


def test_curl_carries_the_exact_body_and_no_token(client, mara, spec_for, bridge_team):
    made = lifecycle.request(spec_for(Kind.EMPTY, name='It\'s "quoted" <b>'), by=mara)
    client.force_login(mara)

    answer = client.get(page_of(made))

    assert "$ITWIN_TOKEN" in answer.context["curl"]
    assert "<b>" not in answer.content.decode()


@pytest.mark.parametrize("who", ["otto", "nobody"])
def test_what_is_not_yours_and_what_does_not_exist_look_the_same(client, request, otto, queued_clone, who):
    client.force_login(otto)
    address = page_of(queued_clone) if who == "otto" else reverse("imodels:operation-detail", args=[uuid4()])

    answer = client.get(address)

    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_page_of_one_is_polled_the_same_way(client, mara, queued_clone):
    client.force_login(mara)
    token = seen(client.get(page_of(queued_clone)))

    assert client.get(page_of(queued_clone), {"seen": token}, headers=HTMX).status_code == 204
    lifecycle.cancel(queued_clone, by=mara)
    answer = client.get(page_of(queued_clone), {"seen": token}, headers=HTMX)

    assert b"<html" not in answer.content
    assert b'data-pace="0"' in answer.content


def test_lineage_shows_what_this_person_may_see(client, mara, otto, succeeded_clone, spec_for):
    Operation.objects.filter(pk=succeeded_clone.pk).update(source_id="")
    hidden = lifecycle.request(spec_for(Kind.EMPTY, name="Hidden child"), by=otto)
    Operation.objects.filter(pk=hidden.pk).update(source_id=succeeded_clone.imodel_id, team=hidden.team)
    shown = lifecycle.request(spec_for(Kind.EMPTY, name="Shown child"), by=mara)
    Operation.objects.filter(pk=shown.pk).update(source_id=succeeded_clone.imodel_id)
    Operation.objects.filter(pk=hidden.pk).update(team=otto.membership_set.get().team)
    client.force_login(mara)

    answer = client.get(page_of(succeeded_clone)).content.decode()

    assert "Shown child" in answer
    assert "Hidden child" not in answer


def test_what_it_was_asked_again_after_is_named_to_those_who_may_see_it(client, mara, otto, failed_fork, spec_for):
    again = lifecycle.request(spec_for(Kind.EMPTY, name="Second try"), by=mara, again_of=failed_fork)
    Operation.objects.filter(pk=again.pk).update(team=otto.membership_set.get().team)

    client.force_login(mara)
    assert "Requested again after" in client.get(page_of(again)).content.decode()

    client.force_login(otto)
    answer = client.get(page_of(again)).content.decode()
    assert "Second try" in answer
    assert failed_fork.name not in answer
    assert str(failed_fork.pk) not in answer


# ---------- cancel ----------


def test_a_person_cancels_their_own_and_comes_back_to_the_list(client, mara, queued_clone):
    client.force_login(mara)

    asked = client.post(cancel_of(queued_clone), {"next": "/operations/?state=waiting"})
    queued_clone.refresh_from_db()
    assert queued_clone.state == State.QUEUED
    assert "Cancel “Pier 7 copy”?" in asked.text
    answer = client.post(cancel_of(queued_clone), dict(asked.context["sends"]))

    queued_clone.refresh_from_db()
    assert queued_clone.state == State.CANCELLED
    assert answer.headers["Location"] == "/operations/?state=waiting"
    assert "Pier 7 copy was cancelled" in said(answer)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_after_an_act_nobody_is_sent_elsewhere(client, mara, queued_clone, target):
    client.force_login(mara)

    answer = client.post(cancel_of(queued_clone), {"next": target, "sure": "yes"})

    assert answer.headers["Location"] == page_of(queued_clone)


def test_a_lead_cannot_cancel_what_somebody_else_asked_for(client, tomas, queued_clone):
    client.force_login(tomas)

    answer = client.post(cancel_of(queued_clone))

    assert answer.status_code == 403
    assert "Only Mara Lindqvist can cancel this." in answer.content.decode()


def test_another_team_cannot_even_see_what_it_would_cancel(client, otto, queued_clone):
    client.force_login(otto)

    assert client.post(cancel_of(queued_clone)).status_code == 404


def test_too_late_to_cancel_shows_the_page_as_it_is_now(client, mara, running_clone):
    client.force_login(mara)

    answer = client.post(cancel_of(running_clone))

    assert answer.status_code == 409
    assert "Not cancelled." in answer.content.decode()
    assert "The platform cannot stop a clone." in answer.content.decode()


def test_an_act_needs_post(client, mara, queued_clone):
    client.force_login(mara)

    answer = client.get(cancel_of(queued_clone))

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert f'href="{reverse("imodels:operation-detail", args=[queued_clone.pk])}">Back' in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "q=%00a",
        "itwin=%00&person=%00&state=%00&kind=%00",
        "q=%F0%9F%8C%89%22%27%3B--%25_",
        "after=-1&before=WyJhIl0:x",
        "after=99999999999999999999&sort=-nothing&code=%00&imodel=%00&event=%00&ended_to=0001-01-01",
        "person=99999999999999999999",
        "since=yesterday&until=2026-99-99",
        "until=9999-12-31",
        "since=9999-12-31&until=0001-01-01",
        "since=0001-01-01",
        "since=0002-01-01&until=0002-01-01",
        "since=9998-12-31&until=9998-12-31",
    ],
)
@pytest.mark.parametrize("page", ["/operations/", "/audit/", "/audit/export"])
def test_nonsense_in_the_address_finds_something_or_nothing_and_breaks_nothing(client, ines, queued_clone, page, query):
    client.force_login(ines)

    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Niue"):
        with timezone.override(zone):
            answer = client.get(f"{page}?{query}")

        assert answer.status_code == 200
        assert b"".join(answer) if answer.streaming else answer.content


@pytest.mark.parametrize(
    "typed", ["ÖRTLICHE", "örtliche", "O\u0308rtliche", "rtliche bru\u0308", "BRÜCKE_7%", "\u200bÖrtliche\0"]
)
def test_a_search_looks_past_capitals_and_forms(client, mara, bridge_team, spec_for, typed):
    lifecycle.request(spec_for(Kind.EMPTY, name="Örtliche Brücke_7%"), by=mara)
    lifecycle.request(spec_for(Kind.EMPTY, name="Ortliche Brucke 78"), by=mara)
    client.force_login(mara)

    assert names(client.get(LIST, {"q": typed})) == ["Örtliche Brücke_7%"]
