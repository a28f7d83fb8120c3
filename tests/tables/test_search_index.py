"""SQLite finds what lists search for by trigrams, whatever becomes of the tables."""

import pytest
from django.core.management import call_command
from django.db import connection

from imodels_app import lifecycle
from imodels_app.audit import events
from imodels_app.models import Event, Operation
from imodels_app.runtime import clock
from imodels_app.states import Kind
from imodels_app.tables import filters

pytestmark = [pytest.mark.on_sqlite, pytest.mark.django_db]


def found(text: str) -> list[str]:
    return list(Operation.objects.filter(filters.named(text)).values_list("name", flat=True))


@pytest.mark.parametrize("text", ["BRÜCKE_7%", "rücke", '"7"', "ß"])
def test_a_part_of_a_name_is_found_in_whichever_capitals(bridge_team, mara, spec_for, text):
    name = 'Große Brücke_7% "7"'
    for one in (name, "Groß Brucke 78"):
        lifecycle.request(spec_for(Kind.EMPTY, name=one), by=mara)

    assert name in found(text)
    assert len(found(text)) == (2 if text == "ß" else 1)


def test_what_was_changed_is_found_by_its_new_name_only(queued_clone):
    Operation.objects.filter(pk=queued_clone.pk).update(file_name="quay.bim")
    Operation.objects.filter(pk=queued_clone.pk).update(file_name="jetty.bim")

    assert (found("quay.bim"), found("jetty.bim")) == ([], ["Pier 7 copy"])


def test_no_row_is_read_that_has_not_the_text(queued_clone):
    plan = Event.objects.filter(filters.written("retrofit")).explain()

    assert "imodels_app_event_words VIRTUAL TABLE INDEX" in plan


@pytest.mark.django_db(transaction=True)
def test_a_table_that_was_rebuilt_is_searched_as_before(queued_clone, ines):
    for model in (Event, Operation):
        for trigger in ("insert", "update"):
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TRIGGER {model._meta.db_table}_words_{trigger}")  # as a rebuild does
    events.record("signed_in", at=clock.now(), by=ines, note="while it was away")
    call_command("migrate", verbosity=0)
    events.record("signed_in", at=clock.now(), by=ines, note="when it was back")

    assert [Event.objects.filter(filters.written(text)).count() for text in ("it was away", "it was back")] == [1, 1]
    assert found("pier 7 copy") == ["Pier 7 copy"]
