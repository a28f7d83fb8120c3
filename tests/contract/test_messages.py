"""What the sandbox catches of what a program tells people, and its page of them."""

import smtplib

import requests

from sandbox.server import Sandbox
from tests.settings import free_port
from tests.waiting import PATIENCE_S

MAIL = "From: desk\r\nTo: tomas@harbour.example\r\nSubject: Pier 7 waits\r\nMessage-ID: <1@desk>\r\n\r\nDetails: http://d/7\r\n"
TEAMS = {
    "type": "message",
    "attachments": [
        {
            "content": {
                "body": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "Mara asks <b>you</b>"}]}],
                "actions": [{"type": "Action.OpenUrl", "title": "Review", "url": "http://d/8"}],
            }
        }
    ],
}
SLACK = {"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Otto asks"}}]}


def test_what_was_made_opens_on_a_page_of_the_sandbox(sandbox):
    place = f"{sandbox.url}/sandbox/imodels/{sandbox.ids['harbour-bridge']}"
    page = requests.get(f"{place}/{sandbox.ids['main-bridge']}", timeout=PATIENCE_S)

    assert page.ok
    assert "<h1>Main Bridge</h1>" in page.text
    assert "<td>Harbour Bridge</td>" in page.text
    assert requests.get(f"{place}/{sandbox.ids['harbour-bridge']}", timeout=PATIENCE_S).status_code == 404


def test_e_mails_and_cards_are_caught_once_each_and_shown():
    port = free_port()
    with Sandbox.start(mail_port=port) as sandbox:
        for _ in range(2):  # a repeat has the same id
            with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_S) as mailer:
                mailer.sendmail("desk", ["tomas@harbour.example"], MAIL)
            chat = f"{sandbox.url}/sandbox/chats/bridge"
            assert requests.post(chat, json=TEAMS, headers={"webhook-id": "7"}, timeout=PATIENCE_S).status_code == 202
        requests.post(chat, json=SLACK, headers={"webhook-id": "8"}, timeout=PATIENCE_S)
        odd = requests.post(chat, data="no card", timeout=PATIENCE_S)
        page = requests.get(f"{sandbox.url}/sandbox/messages/", timeout=PATIENCE_S).text

    assert odd.status_code == 400
    assert [page.count(words) for words in ("Pier 7 waits", "Mara asks", "Otto asks")] == [1, 1, 1]
    assert "&lt;b&gt;" in page
    assert 'href="http://d/7"' in page
    assert 'href="http://d/8"' in page
