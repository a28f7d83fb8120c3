"""“Tell me about this one”: whoever may see an operation is told of its end, by e-mail or by their browser."""

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts.preferences import TELLING
from imodels_app.models import Membership, Notification, Subscription, User
from imodels_app.states import NotificationKind
from tests.mail_server import deliver

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscribe(client, running_clone):
    def send(person, on="yes"):
        client.force_login(person)
        return client.post(reverse("imodels:subscribe", args=[running_clone.pk]), {"on": on})

    return send


def kinds_to(person):
    return list(Notification.objects.filter(to=person).values_list("kind", flat=True))


def test_whoever_asked_is_told_of_the_end_until_they_do_no_longer(subscribe, running_clone, tomas, ines, otto):
    assert [subscribe(person).status_code for person in (tomas, tomas, ines, otto)] == [302, 302, 302, 404]
    subscribe(ines, on="no")

    lifecycle.succeeded(running_clone)

    assert [kinds_to(person) for person in (tomas, ines, otto)] == [[NotificationKind.SUBSCRIBED], [], []]


def test_nobody_is_promised_a_mail_that_cannot_come(subscribe, running_clone, tomas, mara):
    User.objects.filter(pk=tomas.pk).update(email="")
    answers = [subscribe(User.objects.get(pk=tomas.pk))]
    lifecycle.succeeded(running_clone)
    answers.append(subscribe(mara))

    assert [answer.status_code for answer in answers] == [409, 409]
    assert "You have no confirmed address" in answers[0].text
    assert "It has ended." in answers[1].text
    assert not Subscription.objects.exists()


def test_a_requester_who_does_without_such_mails_is_told_of_this_one(subscribe, running_clone, mara):
    User.objects.filter(pk=mara.pk).update(muted_mail=" ".join(TELLING))
    subscribe(mara)
    running_clone.requested_by.refresh_from_db()

    lifecycle.succeeded(running_clone)

    assert kinds_to(mara) == [NotificationKind.SUBSCRIBED]


def test_who_may_see_it_no_longer_is_not_told(subscribe, running_clone, tomas, ines, mail_server):
    subscribe(tomas)
    subscribe(ines)
    lifecycle.succeeded(running_clone)
    Membership.objects.filter(user=tomas).delete()

    deliver()

    [mail] = mail_server.to(ines.email)
    assert mail["Subject"] == "Pier 7 copy has ended: Succeeded"
    assert "because you asked to be told about this one" in mail.get_body(("plain",)).get_content()
    assert not mail_server.to(tomas.email)
