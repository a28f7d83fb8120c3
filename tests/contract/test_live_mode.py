"""``pytest -m live`` as an operator runs it, with a sandbox of its own in the place of the real platform."""

import os
import subprocess
import sys

import pytest

from sandbox.remote import RemoteSandbox
from tests.contract.conftest import ROOT
from tests.settings import free_port


@pytest.fixture
def real(program):
    """What the run takes for the real platform."""
    remote = RemoteSandbox(program().url)
    remote.advance_by_polls(polls=0)
    return remote


def ask_live(url, *options, **env):
    command = [sys.executable, "-m", "pytest", "-m", "live", "-p", "no:cacheprovider", "tests/contract", *options]
    usual = {name: value for name, value in os.environ.items() if not name.startswith("LIVE_")}
    env = usual | {"LIVE_ITWIN_API_URL": url} | env
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def token(remote):
    return remote.tokens_for("mara")["access_token"]


def made(remote):
    return {entry.imodel_id for entry in remote.journal if entry.imodel_id}


def deleted(remote):
    return {entry.path.rsplit("/", 1)[1] for entry in remote.journal if (entry.method, entry.status) == ("DELETE", 204)}


def test_without_credentials_it_says_what_it_would_ask_and_is_not_run(real):
    run = ask_live(real.url)

    assert run.returncode == 0, run.stdout
    assert "not run: set LIVE_ACCESS_TOKEN" in run.stdout
    assert "a token that nobody issued is 401" in run.stdout
    assert "passed" not in run.stdout
    assert real.journal == []


def test_with_a_token_it_only_reads(real):
    run = ask_live(real.url, LIVE_ACCESS_TOKEN=token(real))

    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert {entry.method for entry in real.journal} == {"GET"}
    assert "not run: set LIVE_ITWIN_ID" in run.stdout


def test_with_an_itwin_it_makes_one_imodel_and_one_clone_and_deletes_both(real):
    run = ask_live(real.url, LIVE_ACCESS_TOKEN=token(real), LIVE_ITWIN_ID=real.ids["harbour-bridge"])

    assert run.returncode == 0, run.stdout
    assert "not run" not in run.stdout
    assert len(made(real)) == 2
    assert deleted(real) == made(real)


def test_what_was_made_is_deleted_though_its_answer_was_lost(real):
    real.fault("POST", "/clone$", lost_answer=True)

    run = ask_live(real.url, LIVE_ACCESS_TOKEN=token(real), LIVE_ITWIN_ID=real.ids["harbour-bridge"])

    assert run.returncode == 1, run.stdout
    assert len(made(real)) == 2
    assert deleted(real) == made(real)


def test_a_failure_does_not_show_the_token():
    nobody = f"http://127.0.0.1:{free_port()}"

    run = ask_live(nobody, "-k", "person_behind or create_operation", "--showlocals", LIVE_ACCESS_TOKEN="canary")

    assert run.returncode == 1, run.stdout
    assert "canary" not in run.stdout + run.stderr


def test_any_other_run_leaves_the_real_platform_alone(real):
    run = ask_live(real.url, "-m", "not soak", "-k", "permissions", LIVE_ACCESS_TOKEN=token(real))

    assert " passed" in run.stdout
    assert real.journal == []
