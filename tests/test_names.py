"""Names that were retired, each as what it was: none is left. Words in sentences are not meant.

What replaced them stands in the glossary of docs/architecture.md.
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from imodels_app import urls

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("dashboard", "demo", "imodels_app", "sandbox", "tests", "tools")
# But for this file, which names them all, and what Django generated.
FILES = [
    path
    for path in chain.from_iterable((ROOT / folder).rglob("*.py") for folder in FOLDERS)
    if path != Path(__file__) and "migrations" not in path.parts
]
TEMPLATES = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("sandbox/templates/*.html")]

RETIRED = {
    "module": """
        bring budget circuit frame guards history keeper kept land leftovers listing messages policy provider pulse
        requests reseal_tokens settle turns wishes wording words
    """,
    "class": """
        Asked ChargeInline Choices Circuit Gone Held IModelWish ITwinCharge Keeper Kept Left LeftOvers Looked Message
        MessageQuerySet News NotNow NotYet Overtaken Place Shell Spent Told Usual Wait Wish Words
    """,
    "function": """
        _begun _filling _half_and_most _held _is_left_behind _is_news _keep _kept _knows _left _left_over _let_go
        _look _look_again _look_and_delete _may_be_told _move_shell _no_such_door _places _reseal_links _room
        _say_again _shell_event _standing _take_down _take_file _tell _to_the_door _told _wish _wish_of _words
        admin_door advance_by_looks advice answer_lost attempt_words audit_line baseline_words basis called carry
        catalog_room confirm_shell delete_leftover delete_shell do_advance_by_looks doing edge first_in_turn forget
        forget_unneeded frame guarded hands_back has_shell history house is_news keep_preset keep_uploading keeper
        kept kept_until kind_word lease_looks left_over leftover_detail leftover_list looked looks may_try
        measure_anew next_look nth opens_at platform_words postpone remains reseal retell seal send_messages settle
        shell_ended shell_sending shell_waits shown speaks_with sweep_leftovers sweep_lost take_looks take_shell
        take_upload tell_shell thin to_the_door told unseal upload_again wake_deleter wake_follower
        wake_whoever_signed_in why_not_delete_shell wish_for words worked
    """,
    "parameter": """
        a_look at_last calling hands_back look_after look_again wish
    """,
    "constant": """
        FILE_IS_KEPT FILE_WORDS FIRST_LOOK IN_LINE KEPT LEFTOVERS_WITHIN_S LOOKS_FOR_FILE_S LOOK_AT_IMODEL_EVERY
        LOOK_EVERY LOOK_EVERY_S LOOK_FOR_CLAIM_AFTER LOOK_LEASE OVER PLATFORM_TOLD RARELY_S SELDOM SETTLED_AFTER
        SHELLS SHELL_MOVES TELL_AGAIN TELL_EVERY_S TELL_THE_ADMINISTRATOR WAITS WORDS _SEALED _WORDS
    """,
    "column": """
        approved_hash changeset_wish charges decided_by news poll_after ready_after settle_after shell shell_after
        shell_anyway shell_at shell_by shell_by_name shell_note shell_sent_at short_name upload_after uploading_by
        was_ready
    """,
    "URL name": """
        delete-leftover keep-preset leftover-detail leftover-list
    """,
    "event verb": """
        shell_asked shell_deleted shell_gone shell_kept shell_usable shell_waits upload_again
    """,
    "task": """
        delete_leftover send_messages settle sweep_leftovers sweep_lost
    """,
    "template": """
        approvals/_asked.html approvals/_asks.html approvals/_over.html components/_told.html
        operations/_delete_shell.html operations/_nexts.html operations/_now.html operations/_shell.html
        requests/_preset_kept.html sign_in/door.html
    """,
    "template filter": """
        attempt_words baseline_words kept_history kind_word platform_words thin
    """,
    "id or class of pages": """
        asked-part budget delete-leftovers delete-shell door left-again left-by left-go left-name left-part left-twin
        left-why leftovers-poll leftovers-status nexts nexts-part now now-line now-part over-part settle-lost-answers
        spent tell-people told-aloud
    """,
}
# One name of each kind that there is: a search that finds nothing is none.
THERE = {
    "module": "lifecycle",
    "class": "Operation",
    "function": "request",
    "parameter": "operation",
    "constant": "FINISHED",
    "column": "imodel_id",
    "URL name": "operation-list",
    "event verb": "requested",
    "task": "sweep_queued",
    "template": "operations/_row.html",
    "template filter": "short_id",
    "id or class of pages": "panel",
}


def nodes(*kinds: type[ast.AST]) -> Iterator[Any]:
    for path in FILES:
        yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


def modules() -> set[str]:
    return {part for path in FILES for part in (path.stem, path.parent.name)}


def classes() -> set[str]:
    return {node.name for node in nodes(ast.ClassDef)}


def functions() -> set[str]:
    return {node.name for node in nodes(ast.FunctionDef, ast.AsyncFunctionDef)}


def parameters() -> set[str]:
    return {node.arg for node in nodes(ast.arg)}


def constants() -> set[str]:
    return {node.id for node in nodes(ast.Name) if isinstance(node.ctx, ast.Store) and node.id.isupper()}


def columns() -> set[str]:
    models = apps.get_app_config("imodels_app").get_models()
    return {field.name for model in models for field in model._meta.get_fields()}


def url_names() -> set[str | None]:
    return {pattern.name for pattern in urls.urlpatterns}


def texts() -> set[str]:
    """Strings that are one name: verbs of events, names of tasks without their prefix."""
    found = {node.value for node in nodes(ast.Constant) if isinstance(node.value, str)}
    return {text.removeprefix("imodels_app.") for text in found}


def template_files() -> set[str]:
    return {str(path.relative_to(ROOT / "templates")) for path in ROOT.glob("templates/**/*.html")}


def filters() -> set[str]:
    tags = chain.from_iterable(re.findall(r"{[{%].*?[%}]}", path.read_text(), re.DOTALL) for path in TEMPLATES)
    return {name for tag in tags for name in re.findall(r"\|(\w+)", tag)}


def ids() -> set[str]:
    """Ids and classes, in templates and in the style sheet."""
    found = set()
    for path in TEMPLATES:
        for value in re.findall(r'\b(?:id|for|class|aria-labelledby|aria-describedby)="([^"]*)"', path.read_text()):
            found |= set(re.sub(r"{[{%].*?[%}]}", " ", value).split())
    style = (ROOT / "static/css/app.css").read_text()
    return found | set(re.findall(r"[.#]([a-z][\w-]*)(?=[^{}]*{)", style))


FOUND = {
    "module": modules,
    "class": classes,
    "function": functions,
    "parameter": parameters,
    "constant": constants,
    "column": columns,
    "URL name": url_names,
    "event verb": texts,
    "task": texts,
    "template": template_files,
    "template filter": filters,
    "id or class of pages": ids,
}


@pytest.mark.parametrize("kind", RETIRED)
def test_no_retired_name_is_left(kind):
    found = FOUND[kind]()

    assert THERE[kind] in found
    assert set(RETIRED[kind].split()) & found == set()
