"""What comes of a call: nothing happened, it may have happened, or it will not happen."""

import socket
import threading
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from imodels_app.itwin import Platform, errors
from tests.people import HARBOUR, MAIN_BRIDGE

BODY = f'{{"iTwinId": "{HARBOUR}", "name": "Pier 7"}}'


@pytest.fixture
def mara_there(platform_of) -> Platform:
    return platform_of("mara")


def start(platform: Platform, path: str = f"/imodels/{MAIN_BRIDGE}/clone", body: str = BODY) -> str:
    return platform.start(path, body)


@pytest.mark.parametrize(
    "fault", [{"lost_answer": True}, {"cut": True}, {"status": 500}, {"status": 504}, {"status": 408}]
)
def test_a_post_without_a_clear_answer_may_have_happened(mara_there, sandbox, fault):
    sandbox.fault("POST", r"/clone$", times=1, **fault)

    with pytest.raises(errors.AnswerLost):
        start(mara_there)

    assert sandbox.calls("POST", "/clone") == 1


def test_a_post_that_answers_too_late_may_have_happened(sandbox):
    hurried = Platform(sandbox.url, sandbox.tokens_for("mara")["access_token"], read_timeout_s=0.3)
    sandbox.fault("POST", r"/clone$", held=True)

    with pytest.raises(errors.AnswerLost):
        start(hurried)


def test_a_post_to_nobody_has_not_happened():
    with pytest.raises(errors.Unavailable):
        start(Platform("http://127.0.0.1:9", "token"))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_get_that_meets_trouble_is_asked_again_later(mara_there, sandbox, status):
    sandbox.fault("GET", r"/imodels/", status=status, body="<html>", times=5)

    with pytest.raises(errors.Unavailable):
        mara_there.imodel(MAIN_BRIDGE)


def test_a_get_is_repeated_at_once_when_it_may_help(mara_there, sandbox):
    sandbox.fault("GET", r"/imodels/", status=503, times=1)

    assert mara_there.imodel(MAIN_BRIDGE).name == "Main Bridge"


@pytest.mark.parametrize(
    "body", ["<html>Hello</html>", '{"iModel": ', "[]", '{"iModel": null}', '{"iModel": {"id": 7}}']
)
def test_a_success_that_makes_no_sense_is_no_news(mara_there, sandbox, body):
    sandbox.fault("GET", r"/imodels/", status=200, body=body, times=1)

    with pytest.raises(errors.Unavailable):
        mara_there.imodel(MAIN_BRIDGE)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "HeaderNotFound", errors.SignedOut),
        (403, "InsufficientPermissions", errors.Forbidden),
        (404, "iTwinNotFound", errors.NotFound),
        (409, "iModelExists", errors.NameTaken),
        (409, "imodelexists", errors.NameTaken),
        (409, "iModelNotInitialized", errors.NotReady),
        (415, "UnsupportedMediaType", errors.Invalid),
        (422, "InvalidiModelsRequest", errors.Invalid),
    ],
)
def test_each_refusal_has_its_kind(mara_there, sandbox, status, code, kind):
    sandbox.fault("POST", r"/clone$", status=status, body=f'{{"error": {{"code": "{code}", "message": "m"}}}}', times=1)

    with pytest.raises(kind) as no:
        start(mara_there)

    assert (no.value.status, no.value.code) == (status, code)


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", '{"message": "gone"}', '{"error": "no"}', '{"error": {"details": 7}}']
)
def test_a_refusal_without_the_envelope_is_a_refusal(mara_there, sandbox, body):
    sandbox.fault("POST", r"/clone$", status=404, body=body, times=1)

    with pytest.raises(errors.NotFound):
        start(mara_there)


@pytest.mark.parametrize(("retry_after", "least", "most"), [(7, 7, 7), (None, 60, 60), (10**9, 3600, 3600)])
def test_a_429_says_how_long_to_wait(mara_there, sandbox, retry_after, least, most):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=retry_after, times=1)

    with pytest.raises(errors.TooMany) as later:
        start(mara_there)

    assert least <= later.value.retry_after_s <= most


def test_a_redirect_is_not_followed(mara_there, sandbox):
    sandbox.fault("GET", r"/imodels/", status=302, headers={"Location": f"{sandbox.url}/sandbox/"}, times=1)

    with pytest.raises(errors.Unavailable):
        mara_there.imodel(MAIN_BRIDGE)

    assert sandbox.calls("GET", "/sandbox/") == 0


def test_odd_characters_of_a_search_arrive_as_typed(mara_there, sandbox):
    mara_there.imodels(HARBOUR, search="a&b+c#d %é")

    searched = [parse_qs(call.query)["$search"] for call in sandbox.journal if call.path == "/imodels"]
    assert searched == [["a&b+c#d %é"], ["a&b+c#d %e\u0301"]]


def test_an_id_cannot_become_another_path(mara_there, sandbox):
    with pytest.raises(errors.NotFound):
        mara_there.imodel(f"{MAIN_BRIDGE}/changesets?x=")

    assert sandbox.journal[-1].query == ""


def test_no_error_tells_the_token(mara_there, sandbox):
    sandbox.fault("POST", r"/clone$", lost_answer=True, times=1)

    with pytest.raises(errors.AnswerLost) as lost:
        start(mara_there)

    assert "Bearer" not in str(lost.value)
    assert "eyJ" not in str(lost.value)


def test_a_netrc_does_not_take_the_place_of_the_token(sandbox, platform_of, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login mara password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert platform_of("mara").itwins()
    assert start(platform_of("mara"))


@pytest.mark.parametrize(
    ("text", "sent"),
    [("Pier 7", "Pier%207"), ("a+b", "a%2Bb"), ("50 % & more", "50%20%25%20%26%20more"), ("ø/ß", "%C3%B8%2F%C3%9F")],
)
def test_67_a_query_is_sent_percent_encoded(text, sent):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = Platform(f"http://127.0.0.1:{listener.getsockname()[1]}", "token", read_timeout_s=5)
        asking = threading.Thread(target=lambda: there.imodels(HARBOUR, name=text))
        asking.start()
        connection, _ = listener.accept()
        with connection:
            asked = connection.recv(65536)
            body = b'{"iModels": []}'
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            asking.join()

    assert f"name={sent} " in asked.decode().partition("\r\n")[0]


@pytest.mark.parametrize("ahead_s", [-3600, -400, 0, 400, 3600])
def test_59_the_time_at_the_platform_is_told_by_any_of_its_answers(mara_there, sandbox, ahead_s):
    sandbox.set_clock(ahead_s=ahead_s)

    with pytest.raises(errors.NotFound):
        mara_there.imodel(HARBOUR)

    assert mara_there.now is not None
    assert abs((mara_there.now - datetime.now(UTC)).total_seconds() - ahead_s) < 3
