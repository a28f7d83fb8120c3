"""The mail server is down or hangs: line 39."""

from datetime import timedelta

import pytest

from imodels_app import lifecycle
from imodels_app.models import CircuitBreaker, Notification, Operation
from imodels_app.states import Kind, State
from tests.mail_server import deliver, text_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.same_on_both]


@pytest.mark.soak
@pytest.mark.parametrize("how", ["down", "hangs"])
def test_39_a_mail_server_that_is_down_or_hangs_holds_up_no_operation_and_gets_everything_later(
    bridge_team, signed_in_mara, spec_for, sandbox, processes, mail_server, reached, how
):
    if how == "down":
        mail_server.stop()
    mail_server.silent = how == "hangs"
    processes.env["EMAIL_URL"] = f"smtp://127.0.0.1:{mail_server.port}"
    sandbox.advance_by_polls(2)
    processes.desk()

    asked = [lifecycle.request(spec_for(Kind.CLONE, name=f"Pier {at}"), by=signed_in_mara) for at in range(6)]
    for operation in asked:
        reached(operation, State.SUCCEEDED)
    wait_until(lambda: CircuitBreaker.objects.filter(name="mail", failures__gt=0).exists(), what="a failed try")

    assert Notification.objects.filter(sent_at=None).count() == 6
    assert not Operation.objects.exclude(state=State.SUCCEEDED).exists()
    mail_server.silent = False
    if how == "down":
        mail_server.start()
    for row in CircuitBreaker.objects.filter(name="mail"):  # its pause is over
        CircuitBreaker.objects.filter(pk=row.pk).update(open_until=row.open_until - timedelta(hours=1))
    wait_until(lambda: not Notification.objects.filter(sent_at=None).exists(), what="six messages")
    told = "".join(mail["Subject"] + text_of(mail) for mail in mail_server.inbox)
    assert all(operation.name in told for operation in asked)


def test_39_a_mail_server_that_hangs_is_given_up_after_its_time_out(waiting_fork, mail_server, settings):
    mail_server.silent, settings.EMAIL_TIMEOUT = True, 0.5

    deliver()

    assert mail_server.waiting == 1
    assert Notification.objects.get().sent_at is None
