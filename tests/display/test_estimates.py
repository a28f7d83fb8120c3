"""Estimates rest on enough earlier ones, and cost one query a kind."""

from datetime import timedelta

import pytest
from django.utils import timezone

from imodels_app.display.estimates import Estimates
from imodels_app.models import Operation
from imodels_app.states import Kind, State


@pytest.fixture
def earlier(queued_clone):
    """earlier(minutes=..., source=...) is a clone that succeeded after that time."""

    def make(minutes: float, source: str = "", kind: Kind = Kind.CLONE) -> None:
        now = timezone.now()
        values = dict(Operation.objects.filter(pk=queued_clone.pk).values().get())
        values |= {"state": State.SUCCEEDED, "kind": kind, "source_id": source, "name": f"{minutes} {source}"}
        values |= {"imodel_id": "", "accepted_at": now - timedelta(minutes=minutes), "finished_at": now}
        values.pop("id")
        Operation.objects.create(**values)

    return make


def test_fewer_than_five_earlier_ones_tell_nothing(running_clone, earlier):
    for minutes in range(1, 5):
        earlier(minutes, running_clone.source_id)

    assert Estimates().of(running_clone) is None


def test_half_and_nine_in_ten_of_the_same_source(running_clone, earlier):
    for minutes in range(1, 11):
        earlier(minutes, running_clone.source_id)
        earlier(60, "another")

    usual = Estimates().of(running_clone)

    assert (round(usual.median.total_seconds() / 60), round(usual.p90.total_seconds() / 60)) == (6, 10)
    assert (usual.count, usual.source) == (10, running_clone.source_name)


def test_other_sources_help_when_the_same_one_has_too_few(running_clone, earlier):
    for _ in range(5):
        earlier(7, "another")

    usual = Estimates().of(running_clone)

    assert (usual.count, usual.source) == (5, "")


def test_a_page_asks_once_for_each_kind(running_clone, earlier, django_assert_num_queries):
    estimates = Estimates()

    with django_assert_num_queries(1):
        for _ in range(25):
            estimates.of(running_clone)
