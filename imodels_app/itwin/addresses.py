"""Where a request may go whose address came from outside: to the public internet, and to hosts that a setting names.

A name is looked up when its connection opens, and what is connected to is what was checked: a name that leads
elsewhere a moment later (DNS rebinding) leads nowhere. Redirects are for the caller not to follow.
"""

import ipaddress
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError
from urllib3.util import parse_url

# All of IPv6 that is given out to hosts; outside are mapped and translated addresses, and networks of one's own.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        "2001::/32",  # Teredo: another address is inside
        "2002::/16",  # 6to4: likewise
        "192.88.99.0/24",  # its relays
        "192.0.0.0/24",  # of protocols: whatever is nearest answers
        "3fff::/20",  # documentation
        "168.63.129.16/32",  # the host below each machine in Azure
    )
]


class NotPublic(Exception):
    """An address leads where only we can go. Nothing was sent there."""


def resolve(host: str, *, private_hosts: Collection[str] = ()) -> list[str]:
    """The addresses of a host, all of them public unless it is one of private_hosts. Raises NotPublic and OSError."""
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror("This is no name of a host.") from None
    found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
    if host.lower().rstrip(".") not in private_hosts and not all(is_public(address) for address in found):
        raise NotPublic
    return found


def is_public(text: str) -> bool:
    """Whether an address is one host's in the public internet, and is reached as itself."""
    if "%" in text:  # a zone: of this link only
        return False
    address = ipaddress.ip_address(text)
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if address.version == 6 and (address not in _GLOBAL_UNICAST or _is_isatap(address)):
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


def _is_isatap(address: ipaddress.IPv6Address) -> bool:
    """Whether another address is inside, as RFC 5214 puts it there."""
    return (int(address) >> 32) & 0xFDFFFFFF == 0x5EFE


def parts(url: str) -> SplitResult:
    """The parts of an address, if whoever connects to it reads the same host in it as we. Raises ValueError.

    They differ about a backslash, and about escapes: what is checked would not be what is connected to.
    """
    found = urlsplit(url)
    if (parse_url(url).host or "").strip("[]") != (found.hostname or ""):
        raise ValueError("This is not a web address.")
    return found


class PublicOnly(HTTPAdapter):
    """For a session of requests: opens connections to what resolve() gives. Raises NotPublic.

    A proxy that the environment names is connected to as it is: then it is the proxy that decides where it goes.
    """

    def __init__(self, *, private_hosts: Collection[str] = ()) -> None:
        self._private_hosts = frozenset(private_hosts)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, self._resolve),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, self._resolve),
        }

    def _resolve(self, host: str) -> list[str]:
        return resolve(host, private_hosts=self._private_hosts)


def session(*, private_hosts: Collection[str] = ()) -> requests.Session:
    """A session that goes to the public internet, and to private_hosts."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, PublicOnly(private_hosts=private_hosts))
    return made


def _pool(pool: Any, connection: Any, resolve_host: Callable[[str], list[str]]) -> Any:
    """A pool of connections that are checked as they open. The name stays what TLS and the Host header say."""

    class Checked(connection):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            name: str = self._dns_host  # type: ignore[has-type]
            try:
                return self._first_of(resolve_host(name))
            except socket.gaierror as error:
                raise NameResolutionError(name, self, error) from error
            finally:
                self._dns_host = name

        def _first_of(self, addresses: list[str]) -> socket.socket:
            *others, last = addresses
            for self._dns_host in others:
                with suppress(HTTPError):
                    return super()._new_conn()  # type: ignore[no-any-return]
            self._dns_host = last
            return super()._new_conn()  # type: ignore[no-any-return]

    return type("CheckedPool", (pool,), {"ConnectionCls": Checked})
