"""What a team's chat reads: enough to decide, and a link; later by whom it was decided. Nothing is done from a chat.

What people typed is shown as it is. Neither kind of card reads it as markup there: a name is no link and calls nobody.
Source: https://adaptivecards.io/explorer/, https://docs.slack.dev/reference/block-kit/blocks
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from imodels_app.display import status
from imodels_app.models import ChatMessage
from imodels_app.notifications import texts
from imodels_app.states import Chat, Verb

# What Slack takes of a header and of a field; Teams takes more.
LONGEST_TITLE, LONGEST_FACT = 150, 1_900


class Card(NamedTuple):
    """title; facts: what it is called, and what it is; the label and the address of its link."""

    title: str
    facts: list[tuple[str, str]]
    label: str
    url: str


# Of what was decided, by the verb of its event.
_DECIDED = {
    Verb.APPROVED: "{decider_name} approved {name}",
    Verb.REJECTED: "{decider_name} rejected {name}",
    Verb.CHANGES_REQUESTED: "{decider_name} asks for changes to {name}",
    Verb.BYPASSED: "{decider_name} bypassed the approval of {name}",
    Verb.CANCELLED: "{name} was withdrawn",
    Verb.EXPIRED: "{name} expired: nobody decided",
}
ASKS = {Verb.REQUESTED, Verb.REASSIGNED, Verb.EDITED, Verb.APPROVAL_LAPSED}
TOLD = ASKS | set(_DECIDED)


def payload(message: ChatMessage) -> bytes:
    """The body of the POST that tells it."""
    card = _card(message)
    return json.dumps(_WRITERS[Chat(message.webhook.chat)](card), ensure_ascii=False).encode()


def _card(message: ChatMessage) -> Card:
    operation, verb = message.operation, Verb(message.event.verb)
    said = texts.values(operation, message.event)
    url = texts.page_of(operation, to_decide=True)
    if verb in _DECIDED:
        comment = message.event.note if verb not in (Verb.CANCELLED, Verb.EXPIRED) else ""
        facts = [("Requested by", said["requester"]), ("Comment", comment)]
        return Card(_DECIDED[verb].format_map(said), _filled(facts), "Details", url)
    facts = [
        ("Requested by", f"{said['requester']}, {said['identity']}"),
        ("Why", operation.reason),
        ("Copies", f"{said['source']}{said['up_to']}" if operation.source_id else status.kind_label(operation.kind)),
        ("History", {True: "preserved", False: "squashed", None: ""}[operation.preserve_history]),
        ("Into", " ".join(filter(None, [said["itwin"], operation.itwin_number]))),
        ("Note", f"into another {operation.elsewhere.replace(' ', ' and ')}" if operation.elsewhere else ""),
        ("Required by rule", ", ".join(match.rule.name for match in operation.plan.matches)),
        ("Decides", said["askers"]),
        ("Decide by", said["until"]),
    ]
    asks = "{requester} requests {what}" if verb == Verb.REQUESTED else "{name} waits for a decision"
    return Card(asks.format_map(said), _filled(facts), "Review and decide", url)


def _filled(facts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(what, text) for what, text in facts if text]


def _for_teams(card: Card) -> dict[str, Any]:
    """For a workflow “When a Teams webhook request is received”. Text runs know no markdown, other texts do."""
    runs = [[_run(f"{what}: ", weight="bolder"), _run(text)] for what, text in card.facts]
    body = [[_run(card.title, weight="bolder", size="medium")], *runs]
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": inlines} for inlines in body],
        "actions": [{"type": "Action.OpenUrl", "title": card.label, "url": card.url}],
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": content}],
    }


def _run(text: str, **look: str) -> dict[str, str]:
    return {"type": "TextRun", "text": text, **look}


def _for_slack(card: Card) -> dict[str, Any]:
    """For an incoming webhook. Plain text calls nobody; the text of the notification is marked up, so it is escaped."""
    facts = [_plain(f"{what}: {text}", LONGEST_FACT) for what, text in card.facts]
    link = {"type": "mrkdwn", "text": f"<{card.url}|{card.label}>"}
    blocks = [
        {"type": "header", "text": _plain(card.title, LONGEST_TITLE)},
        *({"type": "section", "text": fact} for fact in facts),
        {"type": "section", "text": link},
    ]
    escaped = card.title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": escaped, "blocks": blocks}


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": text if len(text) <= most else text[: most - 1] + "…", "emoji": False}


_WRITERS = {Chat.TEAMS: _for_teams, Chat.SLACK: _for_slack}
