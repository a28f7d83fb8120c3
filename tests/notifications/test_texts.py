"""What e-mails say: who asks what, why it failed, and where to act."""

import pytest
from django.conf import settings

from imodels_app.models import Notification
from imodels_app.notifications import texts
from imodels_app.states import NotificationKind
from tests.mail_server import deliver, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


def test_a_lead_reads_what_is_asked_and_by_when_and_cannot_decide_from_the_mail(waiting_fork, tomas, mail_server):
    deliver()

    (mail,) = mail_server.to(tomas.email)
    text = text_of(mail)
    assert mail["Subject"].startswith("Mara requests a fork of Main Bridge (decide by ")
    assert "Mara Lindqvist wants to fork Main Bridge up to changeset 120 into Harbour Bridge" in text
    assert "“Try the seismic retrofit of pier 7.”" in text
    assert f"Review and decide: {settings.DASHBOARD_URL}/approvals/{waiting_fork.pk}/" in text
    assert "nobody can decide from this e-mail" in text


def test_a_requester_reads_why_it_failed_and_what_to_do(failed_fork, mara, mail_server):
    Notification.objects.exclude(kind=NotificationKind.FAILED).delete()
    deliver()

    mail = mail_server.to(mara.email)[-1]
    assert mail["Subject"] == "Pier 7 retrofit was not made: FederationGuids missing"
    assert "Add the missing FederationGuids to the main iModel" in text_of(mail)
    assert f"{settings.DASHBOARD_URL}/operations/{failed_fork.pk}/" in text_of(mail)


def test_success_leads_on(succeeded_clone, mara, mail_server):
    Notification.objects.exclude(kind=NotificationKind.SUCCEEDED).delete()
    deliver()

    text = text_of(mail_server.to(mara.email)[-1]).replace("\r", "")
    made = succeeded_clone.imodel_id
    assert f"Open: https://viewer.example/{succeeded_clone.itwin_id}/{made}\n" in text
    assert f"Clone it: {settings.DASHBOARD_URL}/new/clone/?source={made}\n" in text
    assert f"Fork it: {settings.DASHBOARD_URL}/new/fork/?source={made}\n" in text


@pytest.mark.parametrize("kind", NotificationKind.values)
def test_every_message_has_words_and_a_link_and_no_secret(queued_clone, mara, sandbox, kind):
    queued_clone.name = "Pier\r\nBcc: everybody@example.com"
    secret = sandbox.tokens_for("mara")["access_token"]

    subject, text = texts.subject_and_text([Notification(operation=queued_clone, to=mara, kind=kind)])

    assert "\n" not in subject
    assert settings.DASHBOARD_URL in text
    assert "{" not in subject + text
    assert secret[:20] not in text


def test_only_who_is_asked_reads_that_one_decides_after_signing_in(queued_clone, waiting_fork, mara, tomas):
    def said(*messages):
        return "signed in to decide" in texts.subject_and_text([Notification(**one) for one in messages])[1]

    done = {"operation": queued_clone, "to": mara, "kind": NotificationKind.SUCCEEDED}
    own = {"operation": waiting_fork, "to": mara, "kind": NotificationKind.HALF_WAY}
    asked = own | {"to": tomas}
    assert (said(done, done), said(done, own), said(own)) == (False, False, False)
    assert (said(done, asked), said(asked)) == (True, True)


def test_a_lead_reads_what_is_asked_of_whichever_kind_it_is(queued_clone, tomas):
    subject, text = texts.subject_and_text(
        [Notification(operation=queued_clone, to=tomas, kind=NotificationKind.REQUESTED)]
    )

    assert subject == "Mara requests the clone of Main Bridge “Pier 7 copy”"
    assert "Mara Lindqvist wants to make the clone of Main Bridge “Pier 7 copy” up to changeset 120" in text
    assert "fork" not in text
