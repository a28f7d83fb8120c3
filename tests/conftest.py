"""Which tests are played, in which order and how patiently. What they run on and the people in them are modules beside:

servers.py, database.py, processes.py, browser.py, people.py. Each part starts when a test asks for it, and ends with
the run.
"""

import gc
import shutil
import subprocess
from typing import Any

import pytest

from tests.settings import EMBEDDED_PG, IN_CI, ON_POSTGRES
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.servers", "tests.database", "tests.processes", "tests.browser", "tests.people"]

# What they share (a demo, an installed Azurite) is made once.
IN_ONE_PROCESS = {"tests/itwin/test_azurite.py", "tests/demo/test_demo.py"}
WAITING = ("processes", "browser", "own_postgres", "demo")
MARKED_BY_FIXTURE = {
    "browser": "browser",
    "db": "database",
    "postgres_process": "own_postgres",
    "transactional_db": "database",
    "processes": "processes",
    "sandbox": "sandbox",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by what they use, so that `-m "not browser"` needs no care in the tests.

    What stops a PostgreSQL is for runs that have one of their own, what fills a disk for those that may mount one
    for SQLite, and what only one of the two databases can do is for that one: elsewhere no test was left out.
    """
    elsewhere = [] if EMBEDDED_PG else [one for one in items if "postgres_process" in getattr(one, "fixturenames", ())]
    others = {"on_sqlite"} if ON_POSTGRES else {"on_postgres"}
    if ON_POSTGRES or not _may_mount():
        others.add("own_disk")
    elsewhere += [one for one in items if any(map(one.get_closest_marker, others))]
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [one for one in items if one not in elsewhere]
    for item in items:
        for fixture, mark in MARKED_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if item.get_closest_marker("django_db"):
            item.add_marker("database")
    _spread(items)


def _spread(items: list[pytest.Item]) -> None:
    """Those that wait for processes among those that compute; none of them is the last, for which all would wait."""
    halves: dict[bool, list[pytest.Item]] = {True: [], False: []}
    for item in items:
        halves[any(map(item.get_closest_marker, WAITING))].append(item)
    ends = {True: 0.8, False: 1}
    place = {one: ends[half] * at / len(halves[half]) for half in halves for at, one in enumerate(halves[half])}
    items.sort(key=place.__getitem__)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is imported and collected by now stays to the end: to look through it again and again for something that
    is not needed any more took a seventh of all the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 20, 50)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test for itself to whichever process is free; but one process plays a file whose tests share much."""
    from xdist.scheduler import LoadScopeScheduling

    class OneByOne(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in IN_ONE_PROCESS else nodeid

    return OneByOne(config, log)


def _may_mount() -> bool:
    """Whether this process may mount a file system; tried in a namespace of its own, so that nothing stays."""
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and not subprocess.run(trial, check=False, capture_output=True).returncode


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI every part is there, so a test that is left out is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and exitstatus == pytest.ExitCode.OK and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("Tests were left out, and in CI none may be.", red=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests measured: record_property("figure", ...) in whichever process they ran."""
    reports = [one for kind in terminalreporter.stats.values() for one in kind if hasattr(one, "user_properties")]
    # A report of a test's end repeats what that of its call had.
    figures = dict.fromkeys(text for report in reports for name, text in report.user_properties if name == "figure")
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Whoever may touch the database may touch the cache: it begins empty."""
    if _has_rows(request):
        request.getfixturevalue("redis_url")


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages here wait for the platform, and workers for a token, as long as a test does.

    The few seconds of their own are soon over on a busy machine. Tests that are about those say how many there are.
    """
    if not _has_rows(request):
        return
    from imodels_app.accounts import tokens
    from imodels_app.requesting import card_facts, catalog, contents, itwin_catalog, reader
    from imodels_app.views import new_imodel, pickers

    limits = {
        reader: ("READ_TIMEOUT_S",),
        catalog: ("SEARCH_FOR_S", "BRIEFLY_S", "A_WHILE_S"),
        contents: ("SEARCH_FOR_S", "BRIEFLY_S", "A_WHILE_S"),
        itwin_catalog: ("BRIEFLY_S", "A_WHILE_S"),
        card_facts: ("WITHIN_S",),
        pickers: ("WITHIN_S",),
        new_imodel: ("FILL_IN_S", "CHECK_WITHIN_S", "SEND_WITHIN_S"),
        tokens: ("WAIT_FOR_OTHERS_S",),
    }
    for module, names in limits.items():
        for name in names:
            monkeypatch.setattr(module, name, PATIENCE_S)


def _has_rows(request: pytest.FixtureRequest) -> bool:
    asked = {"db", "transactional_db", "live_server"} & set(request.fixturenames)
    return bool(asked or request.node.get_closest_marker("django_db"))
