"""Where a request may go whose address came from outside."""

import contextlib
import http.server
import io
import socket
import threading

import pytest

from imodels_app.itwin import addresses, errors
from imodels_app.itwin.storage import Storage, check_destination
from imodels_app.itwin.types import UploadLink

INSIDE = {
    "loopback": ["127.0.0.1", "127.8.8.8", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "of a provider": ["100.64.0.1", "100.127.255.254", "168.63.129.16"],
    "link-local": ["169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%1", "fec0::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": [
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.1",
        "192.0.0.9",
        "192.0.0.170",
        "198.18.0.1",
        "4000::1",
        "100::1",
    ],
    "for documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "NAT64": ["64:ff9b::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "64:ff9b:1:ffff::10.0.0.1"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "192.88.99.1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "ISATAP": ["2603:1030::5efe:a00:1", "2603:1030::200:5efe:a00:1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:0:127.0.0.1"],
}
NUMBERS = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "0"]
# Hosts in which one reader of addresses sees the first name, and another one the last; or which are written oddly.
TWO_FACED = [
    *(r"evil.example\.blob.example", r"evil.example\@blob.example", "blob.example@evil.example", "%6c%6fcalhost"),
    *("evil.example%5c.blob.example", "evil.example\t.blob.example", "１２７.0.0.1", "[::1].blob.example"),
]


@pytest.mark.parametrize("address", [one for kind in INSIDE.values() for one in kind])
def test_an_address_that_is_not_one_of_the_public_internet_is_refused(address):
    assert not addresses.is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "20.60.1.1", "52.239.148.36", "172.32.0.1", "2603:1030::1", "2a00:1450:4001::1", "2606:4700::1"],
)
def test_an_address_of_the_public_internet_is_used(address):
    assert addresses.is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *NUMBERS,
        *TWO_FACED,
        "localhost",
        "LOCALHOST",
        "mara@127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
    ],
)
def test_a_link_to_it_is_refused_however_it_is_written(host):
    with pytest.raises(errors.ForeignLink):
        check_destination(UploadLink(f"https://{host}/c/b?sig=1"), "https://8.8.4.4")


@pytest.mark.parametrize("named", ["127.0.0.1", "localhost"])
def test_a_host_that_a_setting_names_is_used(named):
    check_destination(UploadLink(f"https://{named.upper()}/c/b?sig=1"), "https://8.8.4.4", private_hosts={named})


@pytest.fixture
def storage_here():
    """A storage on this machine: its port, and what it was sent with which Host."""
    heard = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            heard.append((self.headers["Host"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, heard
    server.shutdown()
    server.server_close()


@pytest.fixture
def names(monkeypatch):
    """names["blob.example"] = [what each look-up finds, ...]; the last one stays. Other names are as they are."""
    table: dict[str, list[str]] = {}
    look_up = socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **more):
        found = table.get(host)
        return look_up((found.pop(0) if len(found) > 1 else found[0]) if found else host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


class Bytes(io.BytesIO):
    def __len__(self) -> int:
        return len(self.getvalue())


def put(storage: Storage, way: str) -> None:
    with contextlib.closing(storage):
        storage.put_block(0, b"bytes") if way == "block" else storage.put(Bytes(b"bytes"))


@pytest.mark.parametrize("way", ["whole", "block"])
def test_a_name_that_leads_elsewhere_once_it_was_checked_leads_nowhere(names, storage_here, way):
    port, heard = storage_here
    names["blob.example"] = ["8.8.8.8", "127.0.0.1"]
    link = UploadLink(f"http://blob.example:{port}/c/b?sig=1")

    check_destination(link, "http://8.8.4.4")
    with pytest.raises(errors.ForeignLink):
        put(Storage(link), way)

    assert heard == []


@pytest.mark.parametrize("way", ["whole", "block"])
def test_what_was_checked_is_what_is_connected_to_under_its_name(names, storage_here, way):
    port, heard = storage_here
    names["storage.lan"] = ["127.0.0.1", "127.0.0.2"]

    put(Storage(UploadLink(f"http://storage.lan:{port}/c/b?sig=1"), private_hosts={"storage.lan"}), way)

    assert heard == [(f"storage.lan:{port}", b"bytes")]


@pytest.mark.parametrize("way", ["whole", "block"])
def test_a_name_that_nobody_knows_is_waited_for(way):
    with pytest.raises(errors.Unavailable):
        put(Storage(UploadLink("http://nobody.invalid/c/b?sig=1")), way)


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(addresses.NotPublic):
        addresses.resolve("both.example")


def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch, storage_here):
    port, heard = storage_here
    monkeypatch.setattr(addresses, "resolve", lambda *_, **__: ["127.0.0.9", "127.0.0.1"])

    with addresses.session(private_hosts={"two.lan"}) as session:
        assert session.put(f"http://two.lan:{port}/", data=b"bytes", timeout=60).status_code == 201
    assert len(heard) == 1
