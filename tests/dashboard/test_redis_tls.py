"""rediss://: cache, broker and whoever waits for Redis verify its certificate alike, without being told to."""

import datetime as dt
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.settings import BASE_DIR, REDIS_PASSWORD, REDIS_PORT
from tests.waiting import PATIENCE_S


def certificate(folder: Path, *, host: str, days: int = 1) -> Path:
    """A certificate that nobody but itself has signed, with its key in the same file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{host}-{days}.pem"
    path.write_bytes(signed.public_bytes(pem) + private)
    return path


@pytest.fixture
def tls_redis(redis_url) -> Iterator[Callable[[Path], int]]:
    """tls_redis(certificate) is the port of a TLS end before the tests' Redis."""
    listeners: list[socket.socket] = []

    def start(path: Path) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_serve, args=[listener, context], daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # it was closed
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=_pass_on, args=[plain, context], daemon=True).start()


def _pass_on(plain: socket.socket, context: ssl.SSLContext) -> None:
    address = ("127.0.0.1", REDIS_PORT)
    with (
        plain,
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as client,
        socket.create_connection(address) as redis,
    ):
        threading.Thread(target=_copy, args=[redis, client], daemon=True).start()
        _copy(client, redis)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


WHO = {
    "cache": "from django.core.cache import cache; cache.set('who', 'cache'); print(cache.get('who'))",
    "broker": (
        "from dashboard.celery import app\n"
        "with app.connection_for_write() as connection: connection.default_channel.client.ping(); print('broker')"
    ),
    "wait": "from dashboard import wait; print(wait.redis() or 'wait')",
}


def reach(who: str, port: int, **env: str) -> tuple[str, str]:
    env |= {
        "REDIS_URL": f"rediss://:{REDIS_PASSWORD}@localhost:{port}/0",
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
    }
    command = [sys.executable, "-c", f"import django; django.setup()\n{WHO[who]}"]
    done = subprocess.run(
        command, cwd=BASE_DIR, env=os.environ | env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("host", "days"), [("localhost", 1), ("other.example", 1), ("localhost", -1)])
def test_a_certificate_that_nobody_vouches_for_is_refused(tls_redis, tmp_path, who, host, days):
    port = tls_redis(path := certificate(tmp_path, host=host, days=days))
    # One that is trusted must also be of this host, and of today.
    trusted = {} if (host, days) == ("localhost", 1) else {"REDIS_CA": str(path)}

    said, error = reach(who, port, **trusted)

    assert said != who
    assert "certificate verify failed" in said + error


@pytest.mark.parametrize("who", WHO)
def test_the_authority_that_a_setting_names_is_trusted(tls_redis, tmp_path, who):
    port = tls_redis(path := certificate(tmp_path, host="localhost"))

    assert reach(who, port, REDIS_CA=str(path))[0] == who
