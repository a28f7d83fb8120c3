"""E-mails: written with the change they tell of, sent apart from it, retried, and calm."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import CircuitBreaker, Membership, Notification, User
from imodels_app.notifications import outbox, texts
from imodels_app.runtime import clock
from imodels_app.states import Kind, NotificationKind, WaitReason
from tests.mail_server import deliver, text_of

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


def test_a_lead_who_asks_is_not_asked_to_decide(ida, tomas, spec_for):
    lifecycle.request(spec_for(Kind.FORK), by=tomas)

    assert written() == [("Ida", NotificationKind.REQUESTED)]


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
    deliver()
    deliver()

    assert len(mail_server.inbox) == 1
    assert Notification.objects.get().sent_at


def test_what_was_decided_meanwhile_is_no_news_any_more(waiting_fork, tomas, mail_server):
    lifecycle.approve(waiting_fork, by=tomas)

    deliver()

    assert [mail["Subject"] for mail in mail_server.inbox] == ["Tomas approved Pier 7 retrofit"]


def test_one_address_that_is_refused_holds_up_nobody(waiting_fork, tomas, mara, mail_server):
    mail_server.refuses = {tomas.email}
    lifecycle.reject(waiting_fork, by=tomas, comment="Use the old one.")
    Notification.objects.filter(kind=NotificationKind.REQUESTED).update(kind=NotificationKind.SUCCEEDED)

    deliver()

    assert len(mail_server.to(mara.email)) == 1
    refused = Notification.objects.get(sent_at=None)
    assert (refused.tries, refused.due_at > timezone.now() + timedelta(minutes=1)) == (1, True)


def test_a_dead_server_is_left_alone_for_longer_and_longer_and_then_everything_arrives(waiting_fork, mail_server):
    mail_server.stop()
    gaps, half_a_minute = [], timedelta(seconds=30)
    for _ in range(9):
        tried_at = clock.now()
        deliver()
        gaps.append(round((CircuitBreaker.objects.get(name="mail").open_until - tried_at) / half_a_minute))
        later(minutes=gaps[-1])
    assert gaps == [1, 2, 4, 8, 16, 32, 64, 120, 120]

    mail_server.start()
    deliver()

    assert len(mail_server.inbox) == 1


def test_while_it_is_left_alone_nobody_connects(waiting_fork, mail_server, settings):
    mail_server.silent, settings.EMAIL_TIMEOUT = True, 0.5
    deliver()
    deliver()

    assert mail_server.connections == 1


def test_a_message_that_is_never_taken_is_given_up_after_some_days(waiting_fork, tomas, mail_server):
    mail_server.refuses = {tomas.email}
    for _ in range(60):
        deliver()
        later(hours=4)

    message = Notification.objects.get()
    assert (message.sent_at, message.due_at) == (None, None)


@pytest.mark.parametrize("address", ["tomas@x.example\nBcc: all@x.example", "tomas@x.example\r\n", "a\nb@x.example"])
def test_an_address_with_a_line_break_is_refused_alone(waiting_fork, tomas, mara, mail_server, address):
    User.objects.filter(pk=tomas.pk).update(email=address)
    lifecycle.reject(waiting_fork, by=tomas, comment="Use the old one.")
    Notification.objects.filter(kind=NotificationKind.REQUESTED).update(kind=NotificationKind.SUCCEEDED)

    deliver()

    assert [mail["To"] for mail in mail_server.inbox] == [mara.email]
    assert not Notification.objects.filter(due_at__isnull=False).exists()


def test_a_name_from_right_to_left_is_isolated_in_mail(bridge_team, mara, tomas, spec_for, mail_server):
    lifecycle.request(spec_for(Kind.FORK, name="גשר 7"), by=mara)

    deliver()

    assert "as \u2068גשר 7\u2069." in text_of(mail_server.to(tomas.email)[0])


# ---------- nobody is flooded ----------


@pytest.fixture
def two_leads(bridge_team, tomas, otto):
    Membership.objects.create(team=bridge_team, email=otto.email, user=otto, role=Membership.Role.LEAD)
    return [tomas, otto]


@pytest.mark.parametrize("many", [2, 25, 30])
def test_many_requests_are_one_mail_to_each_lead_with_a_line_each(two_leads, mara, spec_for, mail_server, many):
    forks = [lifecycle.request(spec_for(Kind.FORK), by=mara) for _ in range(many)]

    outbox.send_due()
    assert mail_server.inbox == []  # more may come
    deliver()
    deliver()

    assert len(mail_server.inbox) == 2
    for lead in two_leads:
        (mail,) = mail_server.to(lead.email)
        text = text_of(mail)
        assert mail["Subject"].endswith(f", and {many - 1} more")
        assert text.count("- Mara requests a fork of Main Bridge") == many
        assert all(f"/approvals/{fork.pk}/" in text for fork in forks)
    assert not Notification.objects.filter(sent_at=None).exists()


def test_what_keeps_coming_is_not_waited_for_longer_than_two_minutes(bridge_team, mara, spec_for, mail_server):
    for _ in range(24):
        lifecycle.request(spec_for(Kind.FORK), by=mara)
        outbox.send_due()
        later(seconds=6)

    assert len(mail_server.inbox) == 1
    assert text_of(mail_server.inbox[0]).count("- Mara requests") >= 20


def test_different_news_for_one_person_are_one_mail(succeeded_clone, waiting_fork, tomas, mara, mail_server):
    lifecycle.reject(waiting_fork, by=tomas, comment="No.")

    deliver()

    (mail,) = mail_server.to(mara.email)
    assert mail["Subject"] == "Pier 7 copy is ready, and 1 more"
    assert re.search('<a href="[^"]+">Pier 7 copy is ready</a>', mail.get_body(("html",)).get_content())
    assert "- Tomas rejected Pier 7 retrofit" in text_of(mail)


def test_what_was_decided_meanwhile_is_no_line(bridge_team, mara, tomas, spec_for, mail_server):
    forks = [lifecycle.request(spec_for(Kind.FORK), by=mara) for _ in range(3)]
    lifecycle.cancel(forks[0], by=mara)

    deliver()

    (mail,) = mail_server.to(tomas.email)
    assert str(forks[0].pk) not in text_of(mail)
    assert str(forks[1].pk) in text_of(mail)


def test_whoever_had_many_mails_this_hour_gets_the_rest_in_one(waiting_fork, tomas, mara, mail_server):
    def tell() -> None:
        now = clock.now()
        Notification.objects.create(
            to=mara, operation=waiting_fork, kind=NotificationKind.FAILED, written_at=now, due_at=now
        )
        outbox.send_due()

    for _ in range(outbox.MAILS_AN_HOUR + 15):
        tell()
    assert len(mail_server.to(mara.email)) == outbox.MAILS_AN_HOUR

    deliver()  # still not for her, and nobody else waits for it
    assert len(mail_server.to(tomas.email)) == 1
    assert len(mail_server.to(mara.email)) == outbox.MAILS_AN_HOUR

    later(hours=1)
    Notification.objects.exclude(sent_at=None).update(sent_at=F("sent_at") - timedelta(hours=1))
    deliver()

    assert text_of(mail_server.to(mara.email)[-1]).count("Pier 7 retrofit was not made") == 15


def test_a_mail_that_is_refused_comes_whole_with_the_next_try(bridge_team, mara, tomas, spec_for, mail_server):
    for _ in range(3):
        lifecycle.request(spec_for(Kind.FORK), by=mara)
    mail_server.refuses = {tomas.email}
    deliver()
    mail_server.refuses = set()
    later(minutes=3)

    deliver()

    assert len(mail_server.inbox) == 1
    assert text_of(mail_server.inbox[0]).count("- Mara requests") == 3


def test_of_very_many_the_first_hundred_are_listed(waiting_fork, mara):
    many = [Notification(operation=waiting_fork, to=mara, kind=NotificationKind.FAILED) for _ in range(130)]

    subject, text = texts.subject_and_text(many)

    assert subject.endswith(", and 129 more")
    assert text.count("was not made") == 100
    assert "30 more: " in text


# ---------- once a day, and once ----------


def test_what_is_wanted_once_a_day_is_one_mail_in_the_reader_s_morning(bridge_team, mara, tomas, spec_for, mail_server):
    User.objects.filter(pk=tomas.pk).update(daily_mail="requested", time_zone="Asia/Tokyo")
    for _ in range(3):
        lifecycle.request(spec_for(Kind.FORK), by=mara)
    outbox.send_due()

    due = {message.due_at for message in Notification.objects.filter(to=tomas)}
    assert not mail_server.inbox
    assert {at.astimezone(ZoneInfo("Asia/Tokyo")).hour for at in due} == {outbox.DIGEST_AT}
    Notification.objects.update(due_at=clock.now(), written_at=F("written_at") - timedelta(days=1))
    outbox.send_due()
    assert [text_of(mail).count("- Mara requests") for mail in mail_server.to(tomas.email)] == [3]


def test_thirty_requests_in_a_minute_are_one_mail_with_30_lines_to_each_lead(
    bridge_team, ida, tomas, mara, spec_for, mail_server
):
    for _ in range(30):
        lifecycle.request(spec_for(Kind.FORK), by=mara)
        outbox.send_due()
        later(seconds=2)
    later(seconds=10)
    outbox.send_due()

    for lead in (ida, tomas):
        assert [text_of(mail).count("- Mara requests") for mail in mail_server.to(lead.email)] == [30]


def test_a_mail_is_text_and_html_with_only_our_links(bridge_team, mara, tomas, spec_for, mail_server):
    reason = "See <b>https://evil.example</b>"
    fork = lifecycle.request(spec_for(Kind.FORK, reason=reason), by=mara)
    deliver()

    (mail,) = mail_server.to(tomas.email)
    html = mail.get_body(("html",)).get_content()
    assert re.findall('href="([^"]+)"', html) == [f"{settings.DASHBOARD_URL}/approvals/{fork.pk}/"]
    assert "&lt;b&gt;https://evil.example&lt;/b&gt;" in html
    assert "<script" not in html


def test_what_is_tried_again_is_the_same_mail_and_what_came_since_is_another(
    bridge_team, mara, tomas, spec_for, mail_server
):
    lifecycle.request(spec_for(Kind.FORK, name="First"), by=mara)
    mail_server.loses = lambda: True
    deliver()
    mail_server.loses = lambda: False
    lifecycle.request(spec_for(Kind.FORK, name="Second"), by=mara)
    for _ in range(2):
        later(hours=1)
        outbox.send_due()

    first, again, second = mail_server.to(tomas.email)
    assert first["Message-ID"] == again["Message-ID"] != second["Message-ID"]
    assert ("First" in text_of(again), "Second" in text_of(again)) == (True, False)
