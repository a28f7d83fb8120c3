"""What templates say: icons, words for states and kinds, times, numbers, and the exact request in colour."""

import json
import re
from datetime import datetime

from django import template
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from imodels_app.display import formats, identity, links, rule_texts, status
from imodels_app.models import Operation
from imodels_app.runtime import foreign_text

register = template.Library()

TURNING = {"st-running"}


@register.simple_tag
def icon(name: str, size: str = "", *, still: bool = False) -> SafeString:
    """One shape of img/icons.svg, hidden from screen readers: a word always stands beside it."""
    classes = "icon" + (" spin" if name in TURNING and not still else "") + (f" icon-{size}" if size else "")
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"></use></svg>', classes, static("img/icons.svg"), name
    )


register.filter("identity", identity.of_person)
register.filter("requester_identity", identity.of_requester)
register.filter("decider_identity", identity.of_decider)
register.filter("kind_label", status.kind_label)
register.filter("thousands", formats.thousands)
register.filter("file_size", formats.file_size)
register.filter("arrived_of", formats.arrived)
register.filter("clock", formats.clock)
register.filter("clock_s", formats.clock_s)
register.filter("day_time", formats.day_time)
register.filter("deadline", formats.deadline)
register.filter("moment", formats.moment)
register.filter("lasted", formats.lasted)
register.filter("lasted_s", formats.lasted_s)
register.filter("age", formats.age)
register.filter("short_name", formats.short_name)
register.filter("short_id", formats.short_id)
register.filter("lower_first", formats.lower_first)
register.filter("first_name", formats.first_name)
register.filter("made_from", status.made_from)
register.filter("up_to", status.up_to)
register.filter("right_text", rule_texts.right_text)
register.filter("verdict_text", status.verdict_text)
register.filter("what_is_asked", status.what_is_asked)
register.filter("elsewhere", status.elsewhere)
register.filter("fork_history", status.fork_history)
register.filter("origin", status.origin)
register.filter("was_refused", status.was_refused)
register.filter("origin_verb", status.origin_verb)
register.filter("platform_state_text", status.platform_state_text)
register.filter("browser", formats.browser)
register.filter("imodel_url", links.imodel_url)
register.filter("itwin_url", links.itwin_url)
register.filter("open_url", links.open_url)
register.filter("copy_url", links.copy_url)
register.filter("page_url", links.page_url)
register.filter("exact", formats.exact)
register.filter("audit_time", formats.audit_time)
register.filter("history_time", formats.history_time)
register.filter("attempt_text", status.attempt_text)
register.filter("baseline_text", status.baseline_text)
# For attributes and titles, which hold no <bdi>.
register.filter("isolated", foreign_text.isolated)


@register.filter
def bdi(text: object) -> str:
    """Foreign text in a page: from right to left it stands in <bdi>, and other text disturbs nothing."""
    return (
        format_html("<bdi>{}</bdi>", text) if foreign_text.is_right_to_left(str(text)) else foreign_text.isolated(text)
    )


@register.simple_tag
def again_url(operation: Operation) -> str:
    """The form, filled in like this operation; empty for a kind that has no form."""
    try:
        return f"{reverse(f'imodels:request-{operation.kind}')}?from={operation.pk}"
    except NoReverseMatch:
        return ""


@register.filter
def iso(moment: datetime) -> str:
    """For <time datetime>: UTC, to the second, so that an unchanged row renders the same."""
    return formats.iso(moment)


_TOKENS = re.compile(r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<value>"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)')


@register.filter
def json_code(text: str) -> SafeString:
    """JSON text, byte for byte, with its keys and values in colour."""
    parts, at = [], 0
    for found in _TOKENS.finditer(text):
        parts.append(("", text[at : found.start()]))
        parts.append(("k" if found["key"] else "v", found.group()))
        at = found.end()
    parts.append(("", text[at:]))
    return format_html_join("", "{}", ((_coloured(name, part),) for name, part in parts))


def _coloured(name: str, part: str) -> SafeString:
    return format_html('<span class="{}">{}</span>', name, part) if name else format_html("{}", part)


@register.filter
def pretty(text: str) -> str:
    """An answer of the platform with line breaks, if it is JSON."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
