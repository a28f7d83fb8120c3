"""The server's half of the tus protocol: by hand, with the official Python client as a peer, and cut in the middle."""

import base64
import hashlib
import os
import socket
from datetime import timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from select import select
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import pytest
import requests
from django.test import Client
from django.urls import reverse

from imodels_app.models import StagedFile, User
from imodels_app.requesting import staging
from imodels_app.runtime import clock
from imodels_app.views import uploads
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db

MIB = staging.MIB
SLOW = 24
PROTOCOL = {"Tus-Resumable": "1.0.0"}


def imodel(size: int) -> bytes:
    return staging.HEADER + os.urandom(size - len(staging.HEADER))


@pytest.fixture(autouse=True)
def _folder(tmp_path, settings):
    settings.STAGING_DIR = tmp_path / "staging"


@pytest.fixture
def at_desk(client, mara):
    client.force_login(mara)
    return client


def named(name: str) -> str:
    return f"filename {base64.b64encode(name.encode()).decode()}"


def announce(client, size: int | str, name: str = "harbour.bim", **headers):
    said = PROTOCOL | {"Upload-Length": str(size), "Upload-Metadata": named(name)} | headers
    return client.post(reverse("imodels:staged-files"), headers=said)


def bring(client, where: str, data: bytes, *, at: int, content_type="application/offset+octet-stream", **headers):
    said = PROTOCOL | {"Upload-Offset": str(at)} | headers
    return client.generic("PATCH", where, data, content_type=content_type, headers=said)


def test_a_file_comes_in_pieces_and_each_answer_tells_where_it_stands(at_desk, mara):
    data = imodel(3000)

    announced = announce(at_desk, 3000)
    where = announced["Location"]
    first = bring(at_desk, where, data[:2000], at=0)
    asked_again = at_desk.head(where, headers=PROTOCOL)
    last = bring(at_desk, where, data[2000:], at=2000)

    assert [announced.status_code, first.status_code, asked_again.status_code, last.status_code] == [201, 204, 200, 204]
    assert [first["Upload-Offset"], asked_again["Upload-Offset"], last["Upload-Offset"]] == ["2000", "2000", "3000"]
    assert asked_again["Upload-Length"] == "3000"
    assert asked_again["Cache-Control"] == "no-store"
    staged = StagedFile.objects.get()
    assert (staged.owner, staged.name, bool(staged.arrived_at)) == (mara, "harbour.bim", True)
    assert staging.path_of(staged).read_bytes() == data


def test_it_tells_what_it_speaks_and_takes(at_desk, settings):
    settings.BASELINE_MAX_MIB = 5

    response = at_desk.options(reverse("imodels:staged-files"))

    assert response.status_code == 204
    assert response["Tus-Version"] == response["Tus-Resumable"] == "1.0.0"
    assert response["Tus-Extension"] == "creation,termination,expiration"
    assert response["Tus-Max-Size"] == str(5 * MIB)


def test_another_version_is_told_ours(at_desk):
    response = at_desk.post(reverse("imodels:staged-files"), headers={"Tus-Resumable": "0.2.2"})

    assert (response.status_code, response["Tus-Version"]) == (412, "1.0.0")


def test_it_says_until_when_a_file_is_kept_and_each_piece_makes_that_later(at_desk):
    where = announce(at_desk, 3000)["Location"]
    StagedFile.objects.update(touched_at=StagedFile.objects.get().touched_at - timedelta(hours=5))
    before = parsedate_to_datetime(at_desk.head(where, headers=PROTOCOL)["Upload-Expires"])

    after = parsedate_to_datetime(bring(at_desk, where, imodel(100), at=0)["Upload-Expires"])

    assert timedelta(hours=4, minutes=59) < after - before < timedelta(hours=5, minutes=1)


def test_a_file_that_is_taken_back_is_gone(at_desk):
    where = announce(at_desk, 3000)["Location"]
    bring(at_desk, where, imodel(100), at=0)

    assert at_desk.delete(where, headers=PROTOCOL).status_code == 204
    assert at_desk.head(where, headers=PROTOCOL).status_code == 404
    assert not StagedFile.objects.exists()


@pytest.mark.parametrize(
    ("size", "name", "status", "said"),
    [
        (100, "/", 422, "The file has no name"),
        (0, "harbour.bim", 422, "The file is empty"),
        (2 * MIB + 1, "harbour.bim", 413, "larger than 2 MiB"),
        ("many", "harbour.bim", 400, "Upload-Length must be a number"),
        ("-1", "harbour.bim", 400, "Upload-Length must be a number"),
    ],
)
def test_a_file_is_refused_with_a_sentence_before_a_byte_of_it_comes(at_desk, settings, size, name, status, said):
    settings.BASELINE_MAX_MIB = 2

    refused = announce(at_desk, size, name)

    assert refused.status_code == status
    assert said in refused.content.decode()
    assert not StagedFile.objects.exists()


def override(client, where: str, method: str, data: bytes = b"", **headers):
    said = PROTOCOL | {"X-HTTP-Method-Override": method} | headers
    return client.post(where, data, content_type="application/offset+octet-stream", headers=said)


@pytest.mark.parametrize("spelt", [str.upper, str.lower, str.title])
def test_where_only_post_passes_its_override_says_what_is_meant(at_desk, spelt):
    data = imodel(3000)
    where = announce(at_desk, len(data))["Location"]

    brought = override(at_desk, where, spelt("PATCH"), data[:2000], **{"Upload-Offset": "0"})
    assert (brought.status_code, brought["Upload-Offset"]) == (204, "2000")
    assert override(at_desk, where, spelt("HEAD"))["Upload-Offset"] == "2000"
    assert override(at_desk, where, spelt("OPTIONS")).status_code == 204
    assert override(at_desk, where, spelt("PATCH"), data[2000:], **{"Upload-Offset": "2000"}).status_code == 204
    assert override(at_desk, where, spelt("DELETE")).status_code == 204
    assert not StagedFile.objects.exists()


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "TRACE", "", "PATCH, DELETE", "é"])
def test_an_override_to_what_is_not_spoken_here_is_refused(at_desk, method):
    where = announce(at_desk, 3000)["Location"]

    assert override(at_desk, where, method).status_code == 405
    assert StagedFile.objects.exists()


def test_a_new_file_may_be_announced_by_an_override_too(at_desk):
    assert announce(at_desk, 3000, **{"X-HTTP-Method-Override": "POST"}).status_code == 201


@pytest.mark.parametrize("real", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT"])
def test_only_a_post_with_its_csrf_token_can_mean_something_else(mara, real):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(mara)
    staged = staging.announce(name="harbour.bim", size=3000, owner=mara)
    where = reverse("imodels:staged-file", args=[staged.pk])

    for method in ("DELETE", "PATCH"):
        strict.generic(real, where, headers=PROTOCOL | {"X-HTTP-Method-Override": method, "Upload-Offset": "0"})
        assert override(strict, where, method).status_code == 403

    assert StagedFile.objects.exists()


@pytest.mark.parametrize("metadata", ["", "filename", "filename %%%", "filename /w==", "name eA=="])
def test_a_file_without_a_readable_name_is_refused(at_desk, metadata):
    assert announce(at_desk, 100, **{"Upload-Metadata": metadata}).status_code == 400


@pytest.mark.parametrize("name", ["../../etc/harbour.bim", "C:\\iModels\\harbour.bim", "har\0bour.bim\n"])
def test_of_a_name_only_what_can_be_shown_is_kept(at_desk, name):
    assert announce(at_desk, 100, name).status_code == 201
    assert StagedFile.objects.get().name == "harbour.bim"


def test_a_full_disk_refuses_new_files_and_pieces_and_keeps_what_is_here(at_desk, settings):
    where = announce(at_desk, 3000)["Location"]
    bring(at_desk, where, imodel(2000), at=0)
    settings.STAGING_RESERVE_MIB = 1 << 40

    assert announce(at_desk, 3000).status_code == 507
    assert bring(at_desk, where, bytes(1000), at=2000).status_code == 507
    assert at_desk.head(where, headers=PROTOCOL)["Upload-Offset"] == "2000"


def test_what_is_no_imodel_is_refused_with_its_first_piece_and_forgotten(at_desk):
    where = announce(at_desk, 3000)["Location"]

    refused = bring(at_desk, where, b"PK\3\4" + bytes(100), at=0)

    assert refused.status_code == 422
    assert "does not begin like an SQLite file" in refused.content.decode()
    assert at_desk.head(where, headers=PROTOCOL).status_code == 404


def test_a_piece_for_another_place_is_told_the_right_one(at_desk):
    where = announce(at_desk, 3000)["Location"]
    bring(at_desk, where, imodel(100), at=0)

    response = bring(at_desk, where, imodel(100), at=0)

    assert (response.status_code, response["Upload-Offset"]) == (409, "100")


@pytest.mark.parametrize(
    ("piece", "status"),
    [
        ({"data": b"x" * 3001, "at": 0}, 413),
        ({"data": b"x", "at": 0, "content_type": "text/plain"}, 415),
        ({"data": b"x", "at": 0, "Upload-Offset": "none"}, 400),
        ({"data": b"x", "at": 0, "Tus-Resumable": "2"}, 412),
    ],
)
def test_a_piece_that_is_not_as_it_should_be_changes_nothing(at_desk, piece, status):
    where = announce(at_desk, 3000)["Location"]

    assert bring(at_desk, where, **piece).status_code == status
    assert at_desk.head(where, headers=PROTOCOL)["Upload-Offset"] == "0"


def test_a_piece_is_not_larger_than_eight_mebibytes(at_desk):
    where = announce(at_desk, 20 * MIB)["Location"]

    assert bring(at_desk, where, imodel(uploads.PIECE + 1), at=0).status_code == 413
    assert bring(at_desk, where, imodel(uploads.PIECE), at=0).status_code == 204


def test_others_find_nothing_there(at_desk, tomas):
    where = announce(at_desk, 3000)["Location"]
    other = Client()
    other.force_login(tomas)

    assert other.head(where, headers=PROTOCOL).status_code == 404
    assert bring(other, where, imodel(100), at=0).status_code == 404
    assert other.delete(where, headers=PROTOCOL).status_code == 404
    assert other.post(reverse("imodels:remove-staged-file", args=[StagedFile.objects.get().pk])).status_code == 404
    assert at_desk.head(where, headers=PROTOCOL)["Upload-Offset"] == "0"


def test_whoever_was_signed_out_is_told_to_sign_in_and_the_file_stays(at_desk):
    where = announce(at_desk, 3000)["Location"]

    response = bring(Client(), where, imodel(100), at=0)

    assert response.status_code == 401
    assert "Sign in in another tab" in response.content.decode()
    assert at_desk.head(where, headers=PROTOCOL)["Upload-Offset"] == "0"


def test_every_change_needs_the_token_of_a_page_of_ours(at_desk, mara):
    where = announce(at_desk, 3000)["Location"]
    elsewhere = Client(enforce_csrf_checks=True)
    elsewhere.force_login(mara)

    assert announce(elsewhere, 3000).status_code == 403
    assert bring(elsewhere, where, imodel(100), at=0).status_code == 403
    assert elsewhere.delete(where, headers=PROTOCOL).status_code == 403
    assert at_desk.head(where, headers=PROTOCOL)["Upload-Offset"] == "0"


def test_an_unknown_file_is_not_found(at_desk):
    assert at_desk.head(reverse("imodels:staged-file", args=[uuid4()]), headers=PROTOCOL).status_code == 404


@pytest.fixture
def signed_in(transactional_db, mara):
    return headers_of(mara)


def headers_of(person: User) -> dict[str, str]:
    """Of somebody who is signed in and has a page of ours."""
    client = Client()
    client.force_login(person)
    token = "t" * 32
    cookies = f"desk-session={client.cookies['desk-session'].value}; desk-csrf={token}"
    return {"Cookie": cookies, "X-CSRFToken": token}


class TestOverHTTP:
    pytestmark = pytest.mark.django_db(transaction=True)

    def test_the_official_client_brings_a_file_and_goes_on_where_another_one_stopped(self, live_server, signed_in):
        from tusclient.client import TusClient

        data = imodel(2 * MIB + 12345)
        client = TusClient(live_server.url + reverse("imodels:staged-files"), headers=signed_in)

        def uploader(**options):
            metadata = {"filename": "harbour.bim"}
            return client.uploader(file_stream=BytesIO(data), chunk_size=MIB // 2, metadata=metadata, **options)

        begun = uploader()
        begun.upload(stop_at=MIB)
        resumed = uploader(url=begun.url)
        offset = resumed.offset
        resumed.upload()

        assert offset == MIB
        staged = StagedFile.objects.get()
        assert staged.arrived_at
        assert hashlib.sha256(staging.path_of(staged).read_bytes()).digest() == hashlib.sha256(data).digest()

    def test_what_came_of_a_piece_that_was_cut_is_kept(self, live_server, signed_in, mara):
        staged = staging.announce(name="harbour.bim", size=4 * MIB, owner=mara)
        data = imodel(4 * MIB)

        cut_after(live_server.url, staged, signed_in, data, sent=3 * MIB)

        wait_until(lambda: StagedFile.objects.get().received >= 2 * MIB, what="the part that came")
        safe = StagedFile.objects.get().received
        assert safe <= 3 * MIB
        assert staging.path_of(staged).read_bytes()[:safe] == data[:safe]

    def test_a_connection_that_hangs_does_not_keep_the_file_from_another_one(self, live_server, signed_in, mara):
        """The laptop was closed: our end of its connection still waits, and a new one comes."""
        staged = staging.announce(name="harbour.bim", size=4 * MIB, owner=mara)
        data = imodel(4 * MIB)
        hanging = begin_piece(live_server.url, staged, signed_in, data, sent=MIB)

        client = Client()
        client.force_login(mara)
        where = reverse("imodels:staged-file", args=[staged.pk])
        at = int(client.head(where, headers=PROTOCOL)["Upload-Offset"])
        assert bring(client, where, data[at:], at=at).status_code == 204
        hanging.sendall(b"y" * (3 * MIB))

        assert hanging.recv(100).startswith(b"HTTP/1.1 409")
        hanging.close()
        assert staging.path_of(staged).read_bytes() == data


class TestWebProcess:
    """The dashboard as it is served."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def web(self, processes, settings):
        processes.env["STAGING_DIR"] = str(settings.STAGING_DIR)
        return processes.web()

    @pytest.mark.measure
    @pytest.mark.parametrize(("size", "grows"), [(64 * MIB, 32 * MIB), (300 * MIB, 64 * MIB)])
    def test_a_large_file_needs_little_memory(self, web, signed_in, mara, size, grows, record_property):
        warm_up = staging.announce(name="small.bim", size=uploads.PIECE, owner=mara)
        whole_in_pieces(web, warm_up, signed_in)
        before = rss_of_web()
        staged = staging.announce(name="large.bim", size=size, owner=mara)

        most = whole_in_pieces(web, staged, signed_in)

        assert StagedFile.objects.get(pk=staged.pk).arrived_at
        record_property("figure", f"{size // MIB} MiB came, and the web grew by {(most - before) / MIB:.1f} MiB")
        assert most - before < grows

    def test_a_killed_web_process_costs_no_byte_that_was_counted(self, web, processes, signed_in, mara):
        staged = staging.announce(name="harbour.bim", size=4 * MIB, owner=mara)
        data = imodel(4 * MIB)
        send_piece(web, staged, signed_in, data[: 2 * MIB], at=0)
        line = begin_piece(web, staged, signed_in, data[2 * MIB :], at=2 * MIB, sent=MIB)

        processes.kill_web()
        line.close()

        send_piece(processes.web(), staged, signed_in, data[2 * MIB :], at=2 * MIB)
        assert staging.path_of(staged).read_bytes() == data

    def test_a_cut_piece_breaks_nothing(self, web, processes, signed_in, mara):
        staged = staging.announce(name="harbour.bim", size=4 * MIB, owner=mara)
        data = imodel(4 * MIB)
        cut_after(web, staged, signed_in, data, sent=3 * MIB)

        send_piece(web, staged, signed_in, data, at=0)

        assert staging.path_of(staged).read_bytes() == data
        assert not any("Traceback" in log for log in processes.logs().values())

    def test_slow_pieces_do_not_hold_up_other_pages(self, web, signed_in, mara):
        slow = [begin_piece(web, slow_file(mara), signed_in, imodel(MIB), sent=1000) for _ in range(SLOW)]

        for page in ("/healthz", "/sign-in/", "/new/"):
            assert requests.get(web + page, headers=signed_in, timeout=PATIENCE_S).status_code == 200

        assert not select(slow, [], [], 0)[0]  # all of them are still on their way
        for line in slow:
            line.close()


def slow_file(owner: User) -> StagedFile:
    now = clock.now()
    return StagedFile.objects.create(owner=owner, name="slow.bim", size=MIB, created_at=now, touched_at=now)


def whole_in_pieces(web: str, staged: StagedFile, headers: dict[str, str]) -> int:
    """Bring the whole file; the most memory that the web's processes had meanwhile."""
    piece, most = imodel(uploads.PIECE), 0
    for at in range(0, staged.size, uploads.PIECE):
        send_piece(web, staged, headers, piece[: staged.size - at], at=at)
        most = max(most, rss_of_web())
    return most


def send_piece(
    web: str, staged: StagedFile, headers: dict[str, str], data: bytes, *, at: int, by: Any = requests
) -> None:
    said = headers | PROTOCOL | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(at)}
    where = web + reverse("imodels:staged-file", args=[staged.pk])
    answer = by.patch(where, data=data, headers=said, timeout=PATIENCE_S)
    assert answer.status_code == 204, answer.text


def rss_of_web() -> int:
    """Bytes of memory that the web's processes hold."""
    ours = psutil.Process().children(recursive=True)
    web = [process for process in ours if "gunicorn" in " ".join(process.cmdline())]
    return sum(process.memory_info().rss for process in web)


def begin_piece(
    url: str, staged: StagedFile, headers: dict[str, str], data: bytes, *, sent: int, at: int = 0
) -> socket.socket:
    """A PATCH of which only so much has left."""
    web = urlsplit(url)
    response = {
        "Host": web.netloc,
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(len(data)),
        "Upload-Offset": str(at),
    }
    lines = [f"{name}: {value}" for name, value in (response | PROTOCOL | headers).items()]
    line = socket.create_connection((web.hostname, web.port), timeout=PATIENCE_S)
    where = reverse("imodels:staged-file", args=[staged.pk])
    line.sendall("\r\n".join([f"PATCH {where} HTTP/1.1", *lines, "", ""]).encode() + data[:sent])
    return line


def cut_after(url: str, staged: StagedFile, headers: dict[str, str], data: bytes, *, sent: int) -> None:
    begin_piece(url, staged, headers, data, sent=sent).close()
