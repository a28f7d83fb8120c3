"""E-mails: written with the change they tell of, sent apart from it, retried, and calm."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import CircuitBreaker, Notification, User
from imodels_app.notifications import outbox
from imodels_app.states import Kind, NotificationKind, WaitReason

pytestmark = pytest.mark.django_db


def written() -> list[tuple[str, str]]:
    """Who is told what."""
    return [(one.to.first_name, one.kind) for one in Notification.objects.select_related("to").order_by("pk")]


def later(**gap) -> None:
    """As if so much time had passed for the mail server and its messages."""
    for row in CircuitBreaker.objects.filter(name="mail", open_until__isnull=False):
        CircuitBreaker.objects.filter(pk=row.pk).update(open_until=row.open_until - timedelta(**gap))
    for message in Notification.objects.filter(due_at__isnull=False):
        Notification.objects.filter(pk=message.pk).update(
            due_at=message.due_at - timedelta(**gap), written_at=message.written_at - timedelta(**gap)
        )


# ---------- who is told what ----------


def test_the_leads_are_asked_and_the_requester_learns_the_decision(waiting_fork, tomas):
    assert written() == [("Tomas", NotificationKind.REQUESTED)]

    lifecycle.approve(waiting_fork, by=tomas)

    assert written()[1:] == [("Mara", NotificationKind.APPROVED)]


def test_a_lead_who_asks_is_not_asked_to_decide(bridge_team, tomas, spec_for):
    lifecycle.request(spec_for(Kind.FORK), by=tomas)

    assert written() == []


def test_the_requester_learns_how_it_ended(succeeded_clone, failed_fork):
    assert written()[0] == ("Mara", NotificationKind.SUCCEEDED)
    assert written()[-1] == ("Mara", NotificationKind.FAILED)


def test_whoever_must_sign_in_is_told_once_however_much_waits(bridge_team, signed_in_mara, spec_for):
    until = timezone.now() + timedelta(days=5)
    for _ in range(3):
        lifecycle.wait(lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara), WaitReason.SIGN_IN, until)

    assert written() == [("Mara", NotificationKind.SIGN_IN)]


def test_after_the_next_sign_in_it_may_be_told_again(queued_clone, signed_in_mara, sandbox):
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, timezone.now() + timedelta(days=5))
    tokens.store(signed_in_mara, sandbox.tokens_for("mara"))
    lifecycle.wake_after_sign_in(signed_in_mara)
    queued_clone.refresh_from_db()

    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, timezone.now() + timedelta(days=5))

    assert written() == [("Mara", NotificationKind.SIGN_IN)] * 2


def test_whoever_wants_no_mail_gets_none(mara, waiting_fork, tomas):
    mara.wants_mail = False
    mara.save()

    lifecycle.reject(waiting_fork, by=tomas, comment="No.")

    assert written() == [("Tomas", NotificationKind.REQUESTED)]


def test_what_did_not_happen_is_not_told(waiting_fork, tomas):
    with transaction.atomic():
        lifecycle.approve(waiting_fork, by=tomas)
        transaction.set_rollback(True)

    assert written() == [("Tomas", NotificationKind.REQUESTED)]


# ---------- sending ----------


def test_a_message_is_sent_once(waiting_fork, tomas, mail_server):
    outbox.send_due()
    outbox.send_due()

    assert len(mail_server.inbox) == 1
    assert Notification.objects.get().sent_at


def test_what_was_decided_meanwhile_is_no_news_any_more(waiting_fork, tomas, mail_server):
    lifecycle.approve(waiting_fork, by=tomas)

    outbox.send_due()

    assert [mail["Subject"] for mail in mail_server.inbox] == ["Tomas approved Pier 7 retrofit"]


def test_one_address_that_is_refused_holds_up_nobody(waiting_fork, tomas, mara, mail_server):
    mail_server.refuses = {tomas.email}
    lifecycle.reject(waiting_fork, by=tomas, comment="Use the old one.")
    Notification.objects.filter(kind=NotificationKind.REQUESTED).update(kind=NotificationKind.SUCCEEDED)

    outbox.send_due()

    assert len(mail_server.to(mara.email)) == 1
    refused = Notification.objects.get(sent_at=None)
    assert (refused.tries, refused.due_at > timezone.now() + timedelta(minutes=1)) == (1, True)


def test_a_dead_server_is_left_alone_for_longer_and_longer_and_then_everything_arrives(waiting_fork, mail_server):
    mail_server.stop()
    gaps, half_a_minute = [], timedelta(seconds=30)
    for _ in range(9):
        tried_at = timezone.now()
        outbox.send_due()
        gaps.append((CircuitBreaker.objects.get(name="mail").open_until - tried_at) // half_a_minute)
        later(minutes=gaps[-1])
    assert gaps == [1, 2, 4, 8, 16, 32, 64, 120, 120]

    mail_server.start()
    outbox.send_due()

    assert len(mail_server.inbox) == 1


def test_while_it_is_left_alone_nobody_connects(waiting_fork, mail_server, settings):
    mail_server.silent, settings.EMAIL_TIMEOUT = True, 0.5
    outbox.send_due()
    outbox.send_due()

    assert mail_server.connections == 1


def test_a_message_that_is_never_taken_is_given_up_after_some_days(waiting_fork, tomas, mail_server):
    mail_server.refuses = {tomas.email}
    for _ in range(60):
        outbox.send_due()
        later(hours=4)

    message = Notification.objects.get()
    assert (message.sent_at, message.due_at) == (None, None)


@pytest.mark.parametrize("address", ["tomas@x.example\nBcc: all@x.example", "tomas@x.example\r\n", "a\nb@x.example"])
def test_an_address_with_a_line_break_is_refused_alone(waiting_fork, tomas, mara, mail_server, address):
    User.objects.filter(pk=tomas.pk).update(email=address)
    lifecycle.reject(waiting_fork, by=tomas, comment="Use the old one.")
    Notification.objects.filter(kind=NotificationKind.REQUESTED).update(kind=NotificationKind.SUCCEEDED)

    outbox.send_due()

    assert [mail["To"] for mail in mail_server.inbox] == [mara.email]
    assert not Notification.objects.filter(due_at__isnull=False).exists()


def test_a_name_from_right_to_left_is_isolated_in_mail(bridge_team, mara, tomas, spec_for, mail_server):
    lifecycle.request(spec_for(Kind.FORK, name="גשר 7"), by=mara)

    outbox.send_due()

    assert "as \u2068גשר 7\u2069." in mail_server.to(tomas.email)[0].get_content()
