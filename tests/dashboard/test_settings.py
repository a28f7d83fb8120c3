"""Settings fail loudly, and the README tells of each of them."""

import os
import re
import subprocess
import sys
from collections.abc import Hashable
from typing import Any

import certifi
import pytest
import yaml
from django.core.mail import get_connection

from dashboard import environment
from tests.settings import BASE_DIR

# Not made anew: the names of tests have it, and each process of a run has to know the same ones.
KEYS = {
    "SECRET_KEY": "only-for-tests-" + "x" * 40,
    "TOKEN_KEYS": "LBvQrOawzHUKW6tRGyYMi2uuTVI-sGDK92CpQLmPnuQ=",
    "OIDC_CLIENT_ID": "imodel-desk",
}
PUBLIC = {"DASHBOARD_URL": "https://desk.example", "TRUSTED_PROXIES": "1"}
POSTGRES = {"DATABASE_URL": "postgres://desk@db/desk"}


def run_with(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command of Python's in a process of its own, with this environment and no other."""
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "dashboard.settings", **KEYS, **env}
    whole = [sys.executable, *command]
    return subprocess.run(whole, cwd=BASE_DIR, env=env, capture_output=True, text=True, check=False)


def faults(**env: str) -> list[str]:
    """What is said of this environment, line by line."""
    try:
        environment.read(KEYS | env)
    except environment.Misconfigured as why:
        return str(why).splitlines()
    return []


def test_the_readme_lists_each_setting_and_no_other_with_its_default():
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*) \|$", (BASE_DIR / "README.md").read_text(), re.MULTILINE)
    listed = {name: (default, meaning) for name, default, meaning in rows}

    assert set(listed) == set(environment.SETTINGS)
    for name, setting in environment.SETTINGS.items():
        default, meaning = listed[name]
        assert f"`{setting.default}`" in default if setting.default else not default.startswith("`"), name
        assert meaning.startswith("secret:") == setting.is_secret, name


class EachKeyOnce(yaml.SafeLoader):
    """As Docker reads it; PyYAML alone takes the last one of two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value]
        assert len(names) == len(set(names)), f"said twice: {[name for name in names if names.count(name) > 1]}"
        return super().construct_mapping(node, deep)


def test_the_compose_file_passes_each_setting_on_and_says_it_once():
    compose = yaml.load((BASE_DIR / "docker-compose.yml").read_text(), EachKeyOnce)

    passed_on = {name.removesuffix("_FILE") for name in compose["services"]["web"]["environment"]}
    # Of one machine, of a database and a Redis of one's own, and of tests.
    not_meant = {"DATABASE_APP_USER", "DATABASE_PGBOUNCER", "DEBUG", "FAILPOINTS", "REDIS_CA", "STAGING_DIR"}
    assert set(environment.SETTINGS) - passed_on == not_meant
    assert passed_on - set(environment.SETTINGS) == {"PGPASSFILE"}


NONSENSE = {
    "SECRET_KEY": ["", "x", "short-but-random-3Fg", "x" * 60, "django-insecure-" + "abcdefghij" * 5],
    "TOKEN_KEYS": ["", "abc", ",", f"{KEYS['TOKEN_KEYS']},abc", f"{KEYS['TOKEN_KEYS']},", KEYS["TOKEN_KEYS"][:-1]],
    "DASHBOARD_URL": [
        *("desk.example", "https://", "https:desk.example", "ftp://desk.example", "https://desk.example/desk"),
        *("https://desk.example?x=1", "https://desk.example#top", "https://desk.example?", "https://desk.example:0"),
        *("https://desk.example:99999", "https://desk.example:abc", "https://desk.example:", "https://a b.example"),
        *("https://mara:pw@desk.example", "https://desk_1.example", "https://desk..example", "https://-desk.example"),
        *("https://*.example", "https://.example", "https://bücher.example", "https://999.1.1.1", "https://0.0.0.0"),
        *("https://[::1", "https://[bad]", r"https://desk.example\x", "https://desk.example,https://b.example"),
    ],
    "DASHBOARD_ADMINS": ["ines", "ines@", "@harbour.example", "ines@a.example;tomas@a.example", "Ines <i@a.example>"],
    "TRUSTED_PROXIES": ["-1", "one", "1.0", "17"],
    "SESSION_IDLE_HOURS": ["0", "8 h", "8761"],
    "SESSION_HOURS": ["0", "a day"],
    "DATABASE_URL": [
        *("x", "postgres", "postgres://", "postgres://desk@db", "postgres://desk@db/", "mysql://desk@db/desk"),
        *("postgres:desk@db/desk", "postgres://desk@db:abc/desk", "postgres://desk@db:99999/desk", "sqlite://"),
        *("postgres://desk@db/desk?sslmod=require", "postgres://desk@db/desk?sslmode=yes", "postgres://a b/desk"),
        *("postgres://desk@db/desk/more", "sqlite:///", "sqlite://:memory:", "sqlite:///:memory:", "sqlite:////tmp"),
        *("sqlite://host/desk.sqlite3", "sqlite:///desk.sqlite3?mode=ro", "sqlite:////etc/passwd/desk", "desk.sqlite3"),
    ],
    "REDIS_URL": [
        *("localhost", "localhost:6379", "redis://", "redis:localhost", "http://redis:6379", "redis://redis:abc"),
        *("redis://redis:99999", "redis://redis/abc", "redis://redis/0/1", "redis://redis/0?ssl_cert_reqs=none"),
        *("rediss://redis/0?ssl_cert_reqs=CERT_NONE", "unix:///run/redis.sock", "redis://redis/-1", "redis://a,b/0"),
    ],
    "REDIS_CA": ["/nowhere/ca.pem", "/tmp", "https://ca.example", "/etc/passwd", "/dev/null"],
    "ITWIN_API_URL": ["api.bentley.com", "https://api.bentley.com/imodels", "https://key@api.bentley.com", "https://"],
    "ITWIN_TIER": ["gold", "trial community", "trial,basic"],
    "ITWIN_CREATION_MODES": ["true", "1", "Yes", "on"],
    "PRIVATE_HOSTS": ["https://storage.lan", "storage lan", "*", "10.0.0.0/8", "storage.lan;other.lan"],
    "WEBHOOK_HOSTS": ["https://hooks.slack.com", "*.slack.com", ".com", ".", "hooks slack com", "hooks.slack.com/x"],
    "OPEN_IMODEL_URL": [
        *("https://viewer.example/{itwin_id}", "https://{imodel_id}.example/", "viewer.example/{imodel_id}"),
        *("https://viewer.example/{imodel_id}/{name}", "javascript:alert('{imodel_id}')"),
    ],
    "MAP_TILES_URL": [
        *("https://tiles.example/{z}/{x}.png", "tiles.example/{z}/{x}/{y}.png", "https://{s}.t.example/{z}/{x}/{y}"),
        *("https://mara:secret@tiles.example/{z}/{x}/{y}.png", "https://tiles.example:abc/{z}/{x}/{y}.png"),
        *("https://tiles.example; script-src */{z}/{x}/{y}.png", "https://[bad/{z}/{x}/{y}.png"),
        *(
            "https://{z}.tiles.example/{x}/{y}.png",
            "https://t.example/{z}/{x}/{x}",
            "https://t.example/{z}/{x}/{y}/{z}",
        ),
        *("ftp://tiles.example/{z}/{x}/{y}.png", "https://tiles.example:99999/{z}/{x}/{y}.png"),
    ],
    "STAGING_DIR": ["/etc/passwd", "/etc/passwd/staging", "https://files.example/staging"],
    "BASELINE_MAX_MIB": ["20 GiB", "0", "-1", "1e3", "1.5", "400001", "٣", "9" * 5000],
    "STAGING_PERSON_MIB": ["-1", "0", "much"],
    "STAGING_RESERVE_MIB": ["0", "a lot", "1_000", "99999999999999999999"],
    "OIDC_ISSUER": [
        *("ims.bentley.com", "ftp://ims.example", "https://ims.example/?tenant=1", "https://id:secret@ims.example"),
        "https://ims.example/.well-known/openid-configuration",
    ],
    "OIDC_CLIENT_ID": ["", " ", "imodel desk", "imodel-desk, other", "bücher"],
    "METRICS_TOKEN": ["x", "x" * 23, "x" * 20 + " " + "x" * 20, "ü" * 30],
    "METRICS_ADDRESSES": [
        "10.0.0.5/16",
        "10.0.0.0/33",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0",
        "224.0.0.1",
        "prometheus",
        "10.0.0.1;",
    ],
    "OIDC_HOSTS": ["https://keys.example", "keys example", "keys.example:abc", "keys.example/path", "*.example"],
    "VERIFIED_EMAIL_ISSUERS": ["ims.example", "https://ims.example;https://b.example"],
    "OIDC_SIGN_OUT_WITH_ID_TOKEN": ["true"],
    "OIDC_SCOPES": ["profile", "openid,profile", "openid; profile", 'openid "profile"'],
    "EMAIL_URL": [
        *("mail", "mail.example:587", "smtp://", "smtp:mail.example", "http://mail.example", "smtp://mail.example:abc"),
        *("smtp://user:password@mail.example:587", "smtp://user:password@mail.example", "file:", "file://folder"),
        *("smtp://user:password@mail.example:587?tls=no", "smtp://mail.example/path", "submission://user@mail.example"),
        *("file:///etc/passwd", "submission://mail.example?ssl=yes", "memory:", "consol:"),
    ],
    "TIME_ZONE": ["Mars", "UTC+2", "Europe", "Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "+02:00"],
    "LOG_LEVEL": ["loud", "info", "10"],
    "FAILPOINTS": ["/etc/passwd", "https://failpoints.example"],
    "DEBUG": ["true", "1", "YES"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NONSENSE.items() for value in values])
def test_nonsense_is_one_line_that_begins_with_the_setting_and_tells_no_value(name, value):
    (line,) = faults(**{name: value})

    assert line.startswith(f"{name} ")
    assert len(line) < 250
    assert len(value) < 9 or value.endswith("/") or value not in line


@pytest.mark.parametrize("name", environment.SETTINGS)
@pytest.mark.parametrize("odd", ["\x07", "\x1b[31m", "a\nb", "\u202e", "\udcff"], ids=repr)
def test_a_control_character_is_in_no_setting(name, odd):
    assert faults(**{name: f"https://a{odd}b.example"})[0].startswith(f"{name} has a line break or a control")


TOGETHER = [
    ("DEBUG", {"DEBUG": "yes", **PUBLIC}),
    ("DEBUG", {"DEBUG": "yes", "DASHBOARD_URL": "http://desk.example"}),
    ("DEBUG", {"DEBUG": "yes", "DASHBOARD_URL": "http://10.1.2.3:8000"}),
    ("DEBUG", {"DEBUG": "yes", "DASHBOARD_URL": "http://localhost.example"}),
    ("FAILPOINTS", {"FAILPOINTS": "/tmp", **PUBLIC}),
    ("FAILPOINTS", {"FAILPOINTS": "/tmp", "DASHBOARD_URL": "http://desk.example"}),
    ("OIDC_ISSUER", {"OIDC_ISSUER": "http://ims.example", **PUBLIC}),
    ("ITWIN_API_URL", {"ITWIN_API_URL": "http://api.example", **PUBLIC}),
    ("ITWIN_API_URL", {"ITWIN_API_URL": "HTTP://127.0.0.1:9000", **PUBLIC}),
    ("MAP_TILES_URL", {"MAP_TILES_URL": "http://tiles.example/{z}/{x}/{y}.png", **PUBLIC}),
    ("MAP_TILES_URL", {"MAP_TILES_URL": "HTTP://tiles.example/{z}/{x}/{y}.png", **PUBLIC}),
    ("TRUSTED_PROXIES", {**PUBLIC, "TRUSTED_PROXIES": "0"}),
    ("SESSION_IDLE_HOURS", {"SESSION_IDLE_HOURS": "25"}),
    ("SESSION_IDLE_HOURS", {"SESSION_HOURS": "7"}),
    ("BASELINE_MAX_MIB", {"BASELINE_MAX_MIB": "40961"}),
    ("BASELINE_MAX_MIB", {"STAGING_PERSON_MIB": "20479"}),
    ("MAP_TILES_CREDIT", {"MAP_TILES_CREDIT": "© Contributors"}),
    ("VERIFIED_EMAIL_ISSUERS", {"VERIFIED_EMAIL_ISSUERS": "https://ims.example"}),
    ("DATABASE_APP_USER", {"DATABASE_APP_USER": "desk", **POSTGRES}),
    ("REDIS_CA", {"REDIS_CA": certifi.where()}),
    ("DATABASE_APP_USER", {"DATABASE_APP_USER": "desk_app"}),
    ("DATABASE_APP_USER", {"DATABASE_APP_USER": "desk_app; DROP TABLE x", **POSTGRES}),
    ("DATABASE_PGBOUNCER", {"DATABASE_PGBOUNCER": "yes"}),
    ("SECRET_KEY", {"SECRET_KEY_FILE": "/etc/hostname"}),
    ("SECRET_KEY", {"SECRET_KEY": "", "SECRET_KEY_FILE": "/nowhere/at/all"}),
    ("SECRET_KEY", {"SECRET_KEY": "", "SECRET_KEY_FILE": "/tmp"}),
    ("SECRET_KEY", {"SECRET_KEY": "", "SECRET_KEY_FILE": "/dev/null"}),
    ("SECRET_KEY", {"SECRET_KEY": "", "SECRET_KEY_FILE": sys.executable}),
]


@pytest.mark.parametrize(("name", "env"), TOGETHER)
def test_what_contradicts_another_setting_is_refused(name, env):
    (line,) = faults(**env)

    assert line.startswith(f"{name} ")


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        *[("DASHBORD_URL", "DASHBOARD_URL"), ("DASHBOARD_ADMIN", "DASHBOARD_ADMINS"), ("ITWIN_TEIR", "ITWIN_TIER")],
        *[("dashboard_url", "DASHBOARD_URL"), ("TIMEZONE", "TIME_ZONE"), ("OIDC_CLIENTID", "OIDC_CLIENT_ID")],
        *[("REDIS_CAS", "REDIS_CA"), ("TOKEN_KEY", "TOKEN_KEYS"), ("SECRET_KEYS_FILE", "SECRET_KEY_FILE")],
        ("DASHBOARD_URL_FILE", "only secrets"),
    ],
)
def test_a_variable_that_looks_like_a_misspelt_setting_is_named(misspelt, meant):
    (line,) = faults(**{misspelt: "x"})

    assert line.startswith(f"{misspelt} is no setting")
    assert meant in line


@pytest.mark.parametrize(
    "name", ["PATH", "REDIS_PORT", "DASHBOARD_PORT", "DASHBOARD_SERVICE_HOST", "TEST_DATABASE_URL", "XDEBUG", "TZ"]
)
def test_what_other_programs_read_is_none_of_our_business(name):
    assert faults(**{name: "x"}) == []


@pytest.mark.parametrize("tier", ["community", "standard", "premium", "custom", "Community", "trial", "Enterprise"])
def test_each_name_that_the_platform_has_for_a_tier_is_taken(tier):
    assert environment.read(KEYS | {"ITWIN_TIER": tier})["ITWIN_TIER"] == tier.lower()


@pytest.mark.parametrize(
    "env",
    [
        *({"SESSION_IDLE_HOURS": "24"}, {"BASELINE_MAX_MIB": "5", "STAGING_PERSON_MIB": "5"}),
        *(
            {"VERIFIED_EMAIL_ISSUERS": "https://ims.bentley.com/, https://old.example"},
            {"METRICS_ADDRESSES": "10.0.0.0/8"},
        ),
        *({}, PUBLIC, POSTGRES, {**POSTGRES, "DATABASE_APP_USER": "desk_app", "DATABASE_PGBOUNCER": "yes"}),
        *(
            {**PUBLIC, "DASHBOARD_URL": "https://desk.example:8443/"},
            {"DASHBOARD_URL": "http://[::1]:8000", "DEBUG": "yes"},
        ),
        *(
            {"DASHBOARD_URL": "http://desk.localhost", "FAILPOINTS": "/tmp"},
            PUBLIC | {"DASHBOARD_URL": "https://10.1.2.3"},
        ),
        *(
            {"DATABASE_URL": "postgresql://desk:p%40ss@%2Frun%2Fpg/desk?sslmode=verify-full"},
            {"REDIS_URL": "redis://r"},
        ),
        *(
            {"REDIS_URL": "rediss://desk:pw@redis.example:6380/2", "REDIS_CA": certifi.where()},
            {"TIME_ZONE": "Asia/Kolkata"},
        ),
        *(
            {"OIDC_ISSUER": "https://id.example/realms/desk/", **PUBLIC},
            {"PRIVATE_HOSTS": "Storage.lan, 10.1.2.3, [::1]", "WEBHOOK_HOSTS": "hooks.slack.com, .logic.azure.com"},
        ),
        *({"EMAIL_URL": "submission://user:password@mail.example:587"}, {"EMAIL_URL": "smtps://u:p@mail.example"}),
        *({"EMAIL_URL": "smtp://127.0.0.1:1025"}, {"EMAIL_URL": "file:////tmp"}, {"EMAIL_URL": "file:///tmp"}),
        *({"STAGING_DIR": "var/staging"}, {"TOKEN_KEYS": f"{KEYS['TOKEN_KEYS']}, {KEYS['TOKEN_KEYS']}"}),
        {"OPEN_IMODEL_URL": "https://viewer.example/open?itwin={itwin_id}&imodel={imodel_id}#3d"},
        {"MAP_TILES_URL": "https://tiles.example:8443/{z}/{y}/{x}.png?key=1", "MAP_TILES_CREDIT": "© Contributors"},
    ],
)
def test_what_makes_sense_is_taken(env):
    assert faults(**env) == []


@pytest.mark.parametrize(
    "example",
    re.findall(r"`((?:smtp|smtps|submission|file|redis|postgres)://[^` ]+)`", (BASE_DIR / "README.md").read_text()),
)
def test_the_readmes_own_examples_are_taken(example):
    name = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}.get(example.partition(":")[0], "EMAIL_URL")

    assert faults(**{name: example}) == []


@pytest.mark.parametrize(
    ("url", "port", "starttls", "tls"),
    [
        ("submission://user:p%40ss@mail.example", 587, True, False),
        ("smtps://user:p%40ss@mail.example", 465, False, True),
        ("smtps://user:p%40ss@mail.example:1465", 1465, False, True),
    ],
)
def test_a_password_for_mail_goes_over_tls(url, port, starttls, tls, settings):
    for name, value in environment.read(KEYS | {"EMAIL_URL": url})["EMAIL_URL"].items():
        setattr(settings, name, value)

    server: Any = get_connection(settings.EMAIL_BACKEND)

    assert (server.username, server.password, server.port) == ("user", "p@ss", port)
    assert (server.use_tls, server.use_ssl) == (starttls, tls)
    assert server.ssl_context.check_hostname


def test_an_address_is_written_as_browsers_write_it():
    assert (
        environment.read(KEYS | PUBLIC | {"DASHBOARD_URL": "HTTPS://Desk.Example:443/"})["DASHBOARD_URL"]
        == PUBLIC["DASHBOARD_URL"]
    )


@pytest.mark.parametrize("name", [name for name, setting in environment.SETTINGS.items() if setting.is_secret])
def test_each_secret_can_come_from_a_file(name, tmp_path):
    values = KEYS | {
        "DATABASE_URL": "sqlite:///a",
        "REDIS_URL": "redis://a",
        "OIDC_CLIENT_SECRET": "a",
        "EMAIL_URL": "console:",
        "METRICS_TOKEN": "a" * 24,
    }
    (tmp_path / "secret").write_text(values[name] + "\n")

    assert environment.read(KEYS | {name: "", f"{name}_FILE": str(tmp_path / "secret")})[name]


STARTS = {
    "manage.py": ("manage.py", "check"),
    "migrate": ("manage.py", "migrate"),
    "a worker": ("-m", "celery", "-A", "dashboard", "worker"),
    "beat": ("-m", "celery", "-A", "dashboard", "beat"),
    "the web": ("-c", "import dashboard.wsgi"),
    "a container": ("-m", "dashboard.wait", "tables", "--", "true"),
    "the demo": ("-m", "demo"),
}


@pytest.mark.parametrize("start", STARTS)
def test_every_start_ends_with_all_that_is_wrong_and_without_a_traceback(start):
    done = run_with(*STARTS[start], TIME_ZONE="Mars", DATABASE_URL="postgres://desk:open-sesame@db")
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert [line for line in said.splitlines() if "TIME_ZONE must be" in line]
    assert [line for line in said.splitlines() if "DATABASE_URL must name" in line]
    assert "Traceback" not in said
    assert "open-sesame" not in said


@pytest.mark.parametrize("env", [{}, {"MAP_TILES_URL": "https://tiles.example/{z}/{x}/{y}.png"}, POSTGRES])
def test_djangos_check_of_a_deployment_has_nothing_to_say(env):
    done = run_with("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PUBLIC, **env)

    assert (done.returncode, done.stdout + done.stderr) == (0, "System check identified no issues (0 silenced).\n")


def test_the_content_policy_lets_nothing_in_from_outside():
    from django.conf import settings

    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]

    assert directives["default-src"] == ["'self'"]
    assert directives["img-src"] == ["'self'", "data:"]
    assert not {"script-src", "style-src"} & set(directives)
