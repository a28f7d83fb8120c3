"""A worker dies while it deletes what a failure left: another one finishes, and nothing is told twice."""

import pytest

from imodels_app import lifecycle
from imodels_app.models import Operation, Orphan
from imodels_app.runtime import clock
from imodels_app.states import OrphanState, State
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.people import HARBOUR

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("place", [pytest.param("cleanup.sending", marks=pytest.mark.soak), "cleanup.deleted"])
def test_killed_before_or_after_the_request_it_is_deleted_once(processes, sandbox, queued_clone, signed_in_mara, place):
    sandbox.next_outcome("failed")
    sandbox.advance_by_polls(0)
    submit(queued_clone.pk)
    poll(queued_clone.pk)
    operation = Operation.objects.get(state=State.FAILED)
    processes.worker()
    processes.arm(place, "kill")
    lifecycle.delete_orphan(operation, by=signed_in_mara)
    processes.struck(place)

    cleanup.delete(operation.pk)
    operation.refresh_from_db()
    assert operation.orphan.state == OrphanState.DELETING, "the lease of the dead worker holds others back"
    Orphan.objects.update(due_at=clock.now())
    cleanup.delete(operation.pk)

    operation.refresh_from_db()
    assert operation.orphan.state == OrphanState.DELETED
    assert sandbox.imodels_named(operation.name, HARBOUR) == []
    assert sum(call.method == "DELETE" for call in sandbox.journal) == 1
    assert operation.events.filter(verb="orphan_deleted").count() == 1
