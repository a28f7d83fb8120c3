"""What the text of a setting may be, and what it becomes: a function for each kind.

Each raises ValueError with the rest of a sentence that begins with the setting's name, and never with the text itself,
which may be a secret.
"""

import re
import ssl
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo

import dj_database_url
import psycopg
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from psycopg.conninfo import make_conninfo

BASE_DIR = Path(__file__).resolve().parent.parent
# What Django's own check of a deployment asks of its key.
SECRET_KEY_LENGTH, SECRET_KEY_VARIETY = 50, 5
# So that nobody finds a token by trying.
TOKEN_LENGTH = 24
# Ports that are meant by no port; and of mail, what encrypts.
WEB_PORTS = {"http": 80, "https": 443}
MAIL_PORTS = {"smtp": 25, "submission": 587, "smtps": 465}
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# What a header may have, and no space.
_VISIBLE = re.compile(r"[!-~]+")
# RFC 6749, 3.3; without the comma, which nobody means as a part of one.
_SCOPE = re.compile(r"[!#-+\--\[\]-~]+")
_TILE = re.compile(r"[^{}\s]*".join(["", *[r"(\{[xyz]\})"] * 3, ""]))
Kind = Callable[[str], Any]


def text(value: str) -> str:
    return value


def optional(parse: Kind) -> Kind:
    """Of this kind, or nothing."""
    return lambda value: parse(value) if value else ""


def token(value: str) -> str:
    """A secret that a program shows in a header, or nothing."""
    if value and not (_VISIBLE.fullmatch(value) and len(value) >= TOKEN_LENGTH):
        raise ValueError(f"must have at least {TOKEN_LENGTH} characters, without spaces and accents.")
    return value


def client_id(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError("must be the id of one client, without spaces and accents.")
    return value


def networks(value: str) -> list[IPv4Network | IPv6Network]:
    try:
        found = [ip_network(one) for one in _listed(value)]
    except ValueError:
        raise ValueError("must be addresses or networks, like 10.0.0.7, 10.1.0.0/16.") from None
    if any(one.prefixlen == 0 or one.network_address.is_multicast or one.is_unspecified for one in found):
        raise ValueError("must not be everybody's address, nor one that nobody has.")
    return found


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of: {', '.join(choices)}.")
        return value

    return parse


def flag(value: str) -> bool:
    return one_of("yes", "no")(value) == "yes"


def tier(value: str) -> str:
    """In small letters: the platform's page of 2026 writes capitals."""
    # The tiers' names on the pages of clone and fork, and those of that page.
    return one_of("trial", "basic", "premium", "enterprise", "community", "standard", "custom")(value.lower())


def number(*, most: int, least: int = 1) -> Callable[[str], int]:

    def parse(value: str) -> int:
        # Of thousands of digits Python makes no number.
        if not (value.isascii() and value.isdigit() and len(value) < 20 and least <= int(value) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}.")
        return int(value)

    return parse


# ---------- keys and names ----------


def secret_key(value: str) -> str:
    if len(value) < SECRET_KEY_LENGTH or len(set(value)) < SECRET_KEY_VARIETY or value.startswith("django-insecure-"):
        make = 'python -c "import secrets; print(secrets.token_urlsafe(50))"'
        raise ValueError(f"must be at least {SECRET_KEY_LENGTH} random characters. Make it with: {make}")
    return value


def token_keys(value: str) -> list[str]:
    keys = [key.strip() for key in value.split(",")]
    for place, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            make = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
            which = f"number {place} of {len(keys)} is none"
            raise ValueError(f"must be Fernet keys with commas between them; {which}. Make one with: {make}") from None
    return keys


def emails(value: str) -> set[str]:
    found = set(_listed(value))
    for mail in found:
        try:
            validate_email(mail)
        except ValidationError:
            raise ValueError("must be e-mail addresses with commas between them.") from None
    return found


def hosts(value: str) -> frozenset[str]:
    found = frozenset(host.strip("[]") for host in _listed(value))
    for host in found:
        _check_host(host)
    return found


def hosts_or_domains(value: str) -> frozenset[str]:
    """Hosts, and with a point in front whatever is below a domain."""
    found = frozenset(host.strip("[]") for host in _listed(value))
    for host in found:
        _check_host(host.removeprefix("."))
        if host.startswith(".") and "." not in host[1:]:
            raise ValueError("would allow a whole top-level domain. Name more of it.")
    return found


def hosts_with_ports(value: str) -> frozenset[str]:
    """Each with its port, if that is not the usual one."""
    return frozenset(urlsplit(origin(f"https://{one}")).netloc for one in _listed(value))


def issuers(value: str) -> frozenset[str]:
    return frozenset(issuer(one.strip()) for one in value.split(",") if one.strip())


def scopes(value: str) -> str:
    words = value.split()
    if "openid" not in words or not all(_SCOPE.fullmatch(word) for word in words):
        raise ValueError("must be scopes with spaces between them, and openid one of them.")
    return " ".join(words)


def zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone of the IANA database, such as Europe/Berlin.") from None
    return value


def role(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", value):
        raise ValueError("must be a user of PostgreSQL: small letters, digits and underscores.")
    return value


def _listed(value: str) -> list[str]:
    return [one.strip().lower() for one in value.split(",") if one.strip()]


# ---------- paths ----------


def folder(value: str) -> Path:
    """One that is there, or can be made. Without a slash in front it is below the folder of manage.py."""
    path = _path(value)
    if not next(one for one in (path, *path.parents) if one.exists()).is_dir():
        raise ValueError("must be the path of a folder.")
    return path


def certificates(value: str) -> Path:
    """A file of them."""
    path = _path(value)
    if not path.is_file():
        raise ValueError("must be the path of a file that is there.")
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError:
        raise ValueError("must be the path of a file with certificates (PEM).") from None
    return path


def _path(value: str) -> Path:
    if "://" in value:
        raise ValueError("must be a path, not a URL.")
    return BASE_DIR / value


# ---------- addresses ----------


def origin(value: str) -> str:
    """Scheme, host and, unless it is the usual one, port, as browsers write them."""
    parts = _address(value, *WEB_PORTS)
    if parts.path.strip("/"):
        raise ValueError("must have no path: https://host or https://host:port, and nothing after it.")
    return _origin(parts)


def issuer(value: str) -> str:
    parts = _address(value, *WEB_PORTS)
    if "/.well-known/" in parts.path:
        raise ValueError("must be the address of the provider itself, not of its discovery document.")
    return _origin(parts) + parts.path.rstrip("/")


def tiles(value: str) -> str:
    """A tile server's address: {z}, {x} and {y} once each, and nothing else for a browser to fill in."""
    found = _TILE.fullmatch(value)
    if not found or len(set(found.groups())) < 3 or "{" in urlsplit(value).netloc:
        raise ValueError("must be a full http or https URL with {z}, {x} and {y} in it, and no other braces.")
    _address(value, *WEB_PORTS, may_have="?")
    return value


def imodel_page(value: str) -> str:
    """Where an iModel is opened: {imodel_id} and perhaps {itwin_id}, after the host, and nothing else to fill in."""
    filled = value.replace("{imodel_id}", "m").replace("{itwin_id}", "t")
    host = value.split("/")[2:3]
    if "{imodel_id}" not in value or {"{", "}"} & set(filled) or "{" in "".join(host):
        raise ValueError("must be a full http or https URL with {imodel_id} in its path or query, and no other braces.")
    _address(filled, *WEB_PORTS, may_have="?#")
    return value


def redis(value: str) -> str:
    parts = _address(value, "redis", "rediss", may_have="@")
    if not re.fullmatch(r"/?[0-9]{0,5}", parts.path):
        raise ValueError("must end in the number of a database, such as /0, or in nothing.")
    return value


def mail(value: str) -> dict[str, Any]:
    """Django's settings for mail. No password leaves without TLS."""
    backend = "django.core.mail.backends.{}.EmailBackend".format
    if value == "console:":
        return {"EMAIL_BACKEND": backend("console")}
    if value.startswith("file:///"):
        path = folder("/" + value.removeprefix("file:").lstrip("/"))
        return {"EMAIL_BACKEND": backend("filebased"), "EMAIL_FILE_PATH": str(path)}
    return {"EMAIL_BACKEND": backend("smtp")} | _mail_server(value)


def _mail_server(value: str) -> dict[str, Any]:
    parts = _address(value, *MAIL_PORTS, may_have="@")
    if parts.path.strip("/"):
        raise ValueError("must have nothing after its host and port.")
    if bool(parts.username) != bool(parts.password):
        raise ValueError("must have a user and a password, or neither.")
    if parts.password and parts.scheme == "smtp":
        raise ValueError("would send a password without TLS. Begin it with submission:// (STARTTLS) or smtps://.")
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or MAIL_PORTS[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "submission",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
    }


def database(value: str) -> dict[str, Any]:
    """Django's settings for a database."""
    scheme = value.partition("://")[0]
    if scheme not in ("sqlite", "postgres", "postgresql") or "://" not in value:
        raise ValueError("must begin with postgres:// or sqlite:///.")
    try:
        found: dict[str, Any] = dict(dj_database_url.parse(value))
    except ValueError:
        raise ValueError("is no address of a database: its host or its port cannot be read.") from None
    return _sqlite(found) if scheme == "sqlite" else _postgres(found)


def _sqlite(found: dict[str, Any]) -> dict[str, Any]:
    path = BASE_DIR / found["NAME"]
    if found.get("HOST") or found.get("OPTIONS") or found["NAME"] == ":memory:" or path.is_dir():
        raise ValueError("must be sqlite:/// and the path of a file, which all processes share.")
    folder(str(path.parent))
    return found | {"NAME": str(path)}


def _postgres(found: dict[str, Any]) -> dict[str, Any]:
    if not found["NAME"] or "/" in found["NAME"]:
        raise ValueError("must name one database: postgres://user:password@host:5432/database.")
    if found["HOST"] and not found["HOST"].startswith("/"):
        _check_host(found["HOST"])
    options = found.get("OPTIONS", {})
    try:
        make_conninfo("", **options)
    except (psycopg.Error, TypeError):
        raise ValueError("has an option after its ? that PostgreSQL does not know.") from None
    if options.get("sslmode", "require") not in SSL_MODES:
        raise ValueError(f"has an sslmode that is none of: {', '.join(SSL_MODES)}.")
    return found


def _address(value: str, *schemes: str, may_have: str = "") -> SplitResult:
    """The parts of an address whose host can be one. may_have: "@" a user and a password, "?" a query, "#" a part."""
    begins = f"must be a full URL that begins with {' or '.join(f'{one}://' for one in schemes)}."
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is no address: its host or its port cannot be read.") from None
    if parts.scheme not in schemes or not host:
        raise ValueError(begins)
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("must have a port from 1 to 65535, or none.")
    if "@" in parts.netloc and "@" not in may_have:
        raise ValueError("must have no user and no password in it.")
    if any(mark in value and mark not in may_have for mark in "?#"):
        raise ValueError("must have nothing after a ? or a #.")
    if " " in value or "\\" in value:
        raise ValueError("must have no space and no backslash in it.")
    _check_host(host)
    return parts


def _check_host(host: str) -> None:
    is_address = ":" in host or host.rpartition(".")[2].isdigit()
    try:
        fits = not ip_address(host).is_unspecified if is_address else _HOST.fullmatch(host) and len(host) < 254
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("must have a host that can be one: letters, digits, hyphens and dots, or an IP address.")


def _origin(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    port = "" if parts.port in (None, WEB_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
