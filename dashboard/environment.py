"""The environment as settings: each variable's name, kind and default in one table.

The README's table describes the same variables; tests/dashboard/test_settings.py compares the two. Nothing is taken
that would only fail later: every fault is one line that begins with its variable. To add a setting, give it a row in
both tables, and a kind in setting_kinds.py if none fits.
"""

import difflib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dashboard import setting_kinds as kinds

# 50,000 blocks of 8 MiB: no storage takes more of one file.
LARGEST_FILE_MIB = 400_000
HOURS_OF_A_YEAR = 365 * 24
# How alike a variable is to a setting that it was probably meant for; short names are like too many others.
ALIKE, SHORT = 0.9, 8


class Misconfigured(Exception):
    """All that is wrong with the environment, one line for each variable."""


@dataclass(frozen=True)
class Setting:
    """One variable.

    default    the text in the place of none; None: it must be set
    is_secret  NAME_FILE may name a file that has it
    """

    kind: kinds.Kind
    default: str | None = ""
    is_secret: bool = False


SETTINGS = {
    "SECRET_KEY": Setting(kinds.secret_key, None, is_secret=True),
    # For the tokens at rest, newest first: the first encrypts, all decrypt.
    "TOKEN_KEYS": Setting(kinds.token_keys, None, is_secret=True),
    "DASHBOARD_URL": Setting(kinds.origin, "http://localhost:8000"),
    "DASHBOARD_ADMINS": Setting(kinds.emails),
    "TRUSTED_PROXIES": Setting(kinds.number(least=0, most=16), "0"),
    "SESSION_IDLE_HOURS": Setting(kinds.number(most=HOURS_OF_A_YEAR), "8"),
    "SESSION_HOURS": Setting(kinds.number(most=HOURS_OF_A_YEAR), "24"),
    "DATABASE_URL": Setting(kinds.database, "sqlite:///var/desk.sqlite3", is_secret=True),
    "DATABASE_APP_USER": Setting(kinds.optional(kinds.role)),
    "DATABASE_PGBOUNCER": Setting(kinds.flag, "no"),
    "REDIS_URL": Setting(kinds.redis, "redis://127.0.0.1:6379/0", is_secret=True),
    "REDIS_CA": Setting(kinds.optional(kinds.certificates)),
    "ITWIN_API_URL": Setting(kinds.origin, "https://api.bentley.com"),
    "ITWIN_TIER": Setting(kinds.tier, "trial"),
    "ITWIN_CREATION_MODES": Setting(kinds.flag, "no"),
    "PRIVATE_HOSTS": Setting(kinds.hosts),
    "WEBHOOK_HOSTS": Setting(kinds.hosts_or_domains),
    "MAP_TILES_URL": Setting(kinds.optional(kinds.tiles)),
    "MAP_TILES_CREDIT": Setting(kinds.text),
    "OPEN_IMODEL_URL": Setting(kinds.optional(kinds.imodel_page)),
    "STAGING_DIR": Setting(kinds.folder, "var/staging"),
    "BASELINE_MAX_MIB": Setting(kinds.number(most=LARGEST_FILE_MIB), "20480"),
    "STAGING_PERSON_MIB": Setting(kinds.number(most=10**9), "40960"),
    "STAGING_RESERVE_MIB": Setting(kinds.number(most=10**9), "1024"),
    "OIDC_ISSUER": Setting(kinds.issuer, "https://ims.bentley.com"),
    "OIDC_CLIENT_ID": Setting(kinds.client_id, None),
    "OIDC_CLIENT_SECRET": Setting(kinds.text, is_secret=True),
    "OIDC_SCOPES": Setting(kinds.scopes, "openid profile email offline_access itwin-platform"),
    "OIDC_HOSTS": Setting(kinds.hosts_with_ports),
    "OIDC_SIGN_OUT_WITH_ID_TOKEN": Setting(kinds.flag, "no"),
    "VERIFIED_EMAIL_ISSUERS": Setting(kinds.issuers),
    "EMAIL_URL": Setting(kinds.mail, "console:", is_secret=True),
    "METRICS_TOKEN": Setting(kinds.token, is_secret=True),
    "METRICS_ADDRESSES": Setting(kinds.networks),
    "TIME_ZONE": Setting(kinds.zone, "UTC"),
    "LOG_LEVEL": Setting(kinds.one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
    "FAILPOINTS": Setting(kinds.optional(kinds.folder)),
    "DEBUG": Setting(kinds.flag, "no"),
}


def read(environ: Mapping[str, str]) -> dict[str, Any]:
    """Every setting by its name. Raises Misconfigured with all that is wrong."""
    values: dict[str, Any] = {}
    faults = list(_misspelt(environ))
    for name, setting in SETTINGS.items():
        try:
            values[name] = setting.kind(_text(environ, name, setting))
        except ValueError as fault:
            faults.append(f"{name} {fault}")
    # What contradicts another setting is told once each is understood by itself.
    faults = faults or [f"{name} {why}" for name, why in _contradictions(values)]
    if faults:
        raise Misconfigured("\n".join(faults))
    return values


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """What is set, but for secrets, as the audit says it."""
    return {name: _text(environ, name, setting) for name, setting in SETTINGS.items() if not setting.is_secret}


def _text(environ: Mapping[str, str], name: str, setting: Setting) -> str:
    """The text of a setting, from its variable or its file. An empty one counts as not set."""
    text, path = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if path and setting.is_secret:
        if text:
            raise ValueError(f"is set, and so is {name}_FILE. Set one of the two.")
        text = _read_file(name, path)
    text = text or setting.default or ""
    if not text and setting.default is None:
        raise ValueError("is not set. The README's settings table describes it.")
    if not text.isprintable():
        raise ValueError("has a line break or a control character in it, or is not UTF-8.")
    return text


def _read_file(name: str, path: str) -> str:
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"is not set: the file that {name}_FILE names cannot be read ({why}).") from None
    if not text:
        raise ValueError(f"is not set: the file that {name}_FILE names is empty.")
    return text


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    """Variables that nobody reads and that were probably meant for a setting."""
    known = {*SETTINGS, *(f"{name}_FILE" for name, setting in SETTINGS.items() if setting.is_secret)}
    for name in sorted(name for name, value in environ.items() if value and name not in known):
        if name.endswith("_FILE") and name.removesuffix("_FILE") in SETTINGS:
            yield f"{name} is no setting: only secrets are read from files."
        elif close := difflib.get_close_matches(name.upper(), [one for one in known if len(one) >= SHORT], 1, ALIKE):
            yield f"{name} is no setting. Did you mean {close[0]}?"


def _contradictions(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings that are fine by themselves, each with why they are not beside another."""
    public = urlsplit(values["DASHBOARD_URL"])
    # To try it on one machine, with TLS too, needs neither a proxy nor a certificate for the stand-in platform.
    if not _is_this_machine(str(public.hostname)):
        yield from _wrong_in_public(values, is_https=public.scheme == "https")
    yield from _wrong_numbers(values)
    yield from _without_what_they_are_for(values)


def _wrong_in_public(values: Mapping[str, Any], *, is_https: bool) -> Iterator[tuple[str, str]]:
    if values["DEBUG"]:
        yield "DEBUG", "shows secrets in tracebacks, so it is refused when DASHBOARD_URL is a public address."
    if values["FAILPOINTS"]:
        yield "FAILPOINTS", "breaks the program on purpose: it is refused when DASHBOARD_URL is a public address."
    if not is_https:
        return
    if not values["TRUSTED_PROXIES"]:
        yield (
            "TRUSTED_PROXIES",
            "must be 1 or more when DASHBOARD_URL begins with https://: a proxy of yours speaks TLS.",
        )
    for name in ("ITWIN_API_URL", "OIDC_ISSUER", "MAP_TILES_URL"):
        if values[name].lower().startswith("http:"):
            yield name, "must begin with https:// when DASHBOARD_URL does."


def _wrong_numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, other in (("SESSION_IDLE_HOURS", "SESSION_HOURS"), ("BASELINE_MAX_MIB", "STAGING_PERSON_MIB")):
        if values[name] > values[other]:
            defaults = f"{SETTINGS[name].default} and {SETTINGS[other].default}"
            yield name, f"must not be more than {other}. Without a value they are {defaults}."


def _without_what_they_are_for(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if values["REDIS_CA"] and not values["REDIS_URL"].lower().startswith("rediss:"):
        yield "REDIS_CA", "is for rediss:// only, and REDIS_URL begins otherwise."
    if values["MAP_TILES_CREDIT"] and not values["MAP_TILES_URL"]:
        yield "MAP_TILES_CREDIT", "is what a tile server requires, and MAP_TILES_URL names none."
    trusted = values["VERIFIED_EMAIL_ISSUERS"]
    if trusted and values["OIDC_ISSUER"] not in trusted:
        yield "VERIFIED_EMAIL_ISSUERS", "must have OIDC_ISSUER among them: nobody signs in at another one."
    database, app_user = values["DATABASE_URL"], values["DATABASE_APP_USER"]
    for name in ("DATABASE_APP_USER", "DATABASE_PGBOUNCER"):
        if values[name] and database["ENGINE"].endswith("sqlite3"):
            yield name, "is for PostgreSQL only, and DATABASE_URL names SQLite."
    if app_user and app_user == database.get("USER"):
        yield "DATABASE_APP_USER", "must be another user than DATABASE_URL's, which owns the tables."


def _is_this_machine(host: str) -> bool:
    """Whether an address of this host leads nowhere but to the machine on which it is typed."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def redis_tls(values: Mapping[str, Any]) -> dict[str, Any]:
    """What redis-py, and so cache and broker, is told of TLS: the certificate is verified, or nothing works."""
    if not values["REDIS_URL"].lower().startswith("rediss:"):
        return {}
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(values["REDIS_CA"]) if values["REDIS_CA"] else None,
    }
