"""Settings of iModel Desk: one file, every outside value from the environment.

Each variable is in the README's table; tests/dashboard/test_settings.py compares the two. A value that
cannot be understood stops the start with a sentence that names the variable.
"""

import functools
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
import dj_email_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from imodels_app.runtime import timing

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"


def env_text(name: str, default: str | None = None, *, choices: tuple[str, ...] = ()) -> str:
    """A text from the environment; without a default it must be set. An empty value counts as not set."""
    value = os.environ.get(name, "").strip() or default
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set. The README's settings table describes it.")
    if choices and value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}. It must be one of: {', '.join(choices)}.")
    return value


def env_flag(name: str, *, default: bool) -> bool:
    """A yes or no from the environment; any other word stops the start."""
    return env_text(name, "yes" if default else "no", choices=("yes", "no")) == "yes"


def env_secret(name: str, default: str | None = None) -> str:
    """A secret: from NAME, or from the file that NAME_FILE names (for container secrets)."""
    path = os.environ.get(f"{name}_FILE", "").strip()
    if path:
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}.") from error
    return env_text(name, default)


def env_number(name: str, default: int) -> int:
    """A whole number of at least 1 from the environment."""
    value = env_text(name, str(default))
    if not (value.isascii() and value.isdigit() and int(value)):
        raise ImproperlyConfigured(f"{name} is {value!r}. It must be a whole number of at least 1.")
    return int(value)


def env_tiles(name: str, *, needs_tls: bool) -> str:
    """The address of map tiles with {z}, {x} and {y} in it, and nothing else for a browser to fill in; or nothing."""
    value = env_text(name, "")
    whole = r"https://[\w.-]+(:\d+)?/\S*" if needs_tls else r"https?://[\w.-]+(:\d+)?/\S*"
    parts = ("{z}", "{x}", "{y}")
    rest = functools.reduce(lambda text, part: text.replace(part, "", 1), parts, value)
    if value and not (re.fullmatch(whole, rest, re.ASCII) and all(part in value for part in parts) and "{" not in rest):
        raise ImproperlyConfigured(
            f"{name} is {value!r}. It must be a full URL ({'https' if needs_tls else 'http or https'}) with "
            "{z}, {x} and {y} in it, and no other braces."
        )
    return value


def env_url(name: str, default: str) -> str:
    """An http or https address, without a slash at its end."""
    value = env_text(name, default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(f"{name} is {value!r}. It must be a full http or https URL.")
    return value


DEBUG = env_flag("DEBUG", default=False)
SECRET_KEY = env_secret("SECRET_KEY")
# Fernet keys for the tokens at rest, newest first: the first encrypts, all decrypt.
TOKEN_KEYS = [key.strip() for key in env_secret("TOKEN_KEYS").split(",") if key.strip()]

DASHBOARD_URL = env_url("DASHBOARD_URL", "http://localhost:8000")
DASHBOARD_ADMINS = {mail.strip().lower() for mail in env_text("DASHBOARD_ADMINS", "").split(",") if mail.strip()}
_public = urlsplit(DASHBOARD_URL)
_https = _public.scheme == "https"
# The public host, and loopback for a health check from inside the container.
ALLOWED_HOSTS = sorted({_public.hostname or "", "localhost", "127.0.0.1"})
CSRF_TRUSTED_ORIGINS = [DASHBOARD_URL]

# The platform and the identity provider: addresses only, so that any part can be replaced.
ITWIN_API_URL = env_url("ITWIN_API_URL", "https://api.bentley.com")
ITWIN_TIER = env_text("ITWIN_TIER", "trial", choices=("trial", "basic", "premium", "enterprise"))
# The newer documentation's creationMode and geographicCoordinateSystem, which the older one does not know.
ITWIN_CREATION_MODES = env_flag("ITWIN_CREATION_MODES", default=False)
# Pictures behind the map of the extent, if somebody serves them: a Web Mercator tile server's address with {z}, {x} and
# {y} in it, and whom it wants named. Browsers fetch them, so a key in the address is no secret.
MAP_TILES_URL = env_tiles("MAP_TILES_URL", needs_tls=_https)
MAP_TILES_CREDIT = env_text("MAP_TILES_CREDIT", "") if MAP_TILES_URL else ""
# Where baseline files lie between a browser and the platform; web and workers of all hosts share it.
STAGING_DIR = Path(env_text("STAGING_DIR", str(VAR_DIR / "staging")))
# What a baseline file may have at most, all of one person's files, and what must stay free on that disk.
BASELINE_MAX_MIB = env_number("BASELINE_MAX_MIB", 20 * 1024)
STAGING_PERSON_MIB = env_number("STAGING_PERSON_MIB", 40 * 1024)
STAGING_RESERVE_MIB = env_number("STAGING_RESERVE_MIB", 1024)
# Files in forms are dropped, not put in /tmp; the one form that takes a file brings a handler of its own.
FILE_UPLOAD_HANDLERS = ["imodels_app.views.uploads.Nowhere"]
# What goes to the platform's storage in one request, and the size of a block of what is larger. 256 MiB is what
# the oldest storage version takes that the platform's links name. Tests make both small.
UPLOAD_SINGLE_PUT, UPLOAD_BLOCK = 256 * 1024 * 1024, 8 * 1024 * 1024
OIDC_ISSUER = env_url("OIDC_ISSUER", "https://ims.bentley.com")
OIDC_CLIENT_ID = env_text("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env_secret("OIDC_CLIENT_SECRET", "")
OIDC_SCOPES = env_text("OIDC_SCOPES", "openid profile email offline_access itwin-platform")

# A folder where tests arm failpoints (imodels_app/runtime/failpoints.py). Never where people work.
FAILPOINTS = env_text("FAILPOINTS", "")
if FAILPOINTS and _https:
    raise ImproperlyConfigured(
        "FAILPOINTS is set. It breaks the program on purpose, so it is refused with a public address."
    )

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",  # the widgets' templates, beside ours
    "django_htmx",
    "csp",
    "imodels_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "dashboard.urls"
WSGI_APPLICATION = "dashboard.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "imodels_app.context_processors.page",
            ],
        },
    },
]

DATABASE_URL = env_text("DATABASE_URL", f"sqlite:///{VAR_DIR / 'desk.sqlite3'}")
DATABASES = {"default": dj_database_url.parse(DATABASE_URL)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # WAL alone makes a read that turns into a write fail at once; IMMEDIATE is what prevents it.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
    }
else:
    # A server that has gone without a word is given up soon, so that pages can say so. In seconds and milliseconds.
    # A host that freezes amid a transaction holds what it locked no longer than this.
    _patience = {
        "connect_timeout": 5,
        "tcp_user_timeout": 15_000,
        "options": "-c idle_in_transaction_session_timeout=30s",
    }
    DATABASES["default"]["OPTIONS"] = _patience | DATABASES["default"].get("OPTIONS", {})
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env_text("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "desk",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_TIME_LIMIT = timing.TASK_LIMIT_S
CELERY_TASK_SOFT_TIME_LIMIT = timing.SOFT_TASK_LIMIT_S
# Uploads have a queue of their own, so that they take no slot from what is to be sent and followed. A worker that is
# told no queue serves both. No redelivery amid a long PUT finds the file without its lease.
CELERY_TASK_QUEUES: dict[str, dict[str, str]] = {"celery": {}, "uploads": {}}
CELERY_TASK_ROUTES = {"imodels_app.upload": {"queue": "uploads"}}
UPLOAD_TIME_LIMIT_S = timing.UPLOAD_TASK_LIMIT_S
# SIGTERM: what runs is finished, nothing new is taken. SIGQUIT, or SIGTERM again: soon it ends. An idle worker ends at
# once: nothing waits inside it, for no task has an ETA.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = timing.SOFT_SHUTDOWN_S
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": timing.REDELIVERED_AFTER_S,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    # Whoever announces work waits a moment for a broker that is down, not kombu's six seconds: the sweeps find the row.
    "connect_retries_timeout": 0.5,
    "interval_start": 0.1,
    "interval_step": 0.1,
}
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

AUTH_USER_MODEL = "imodels_app.User"
LOGIN_URL = "imodels:sign-in"
# Sessions live in the database: abandoned sign-ins would overflow a signed cookie.
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_NAME = "__Host-desk-session" if _https else "desk-session"
SESSION_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
# Lax: the identity provider sends the browser back by a top-level GET, which must carry the session.
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
CSRF_COOKIE_NAME = "__Host-desk-csrf" if _https else "desk-csrf"
CSRF_COOKIE_SECURE = _https
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "imodels_app.error_handlers.csrf_failure"

SECURE_CONTENT_TYPE_NOSNIFF = True
# Tile servers ask who calls; no more than our address is told.
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin" if MAP_TILES_URL else "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if _https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    # Health checks come from inside, over plain HTTP.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", *([MAP_TILES_URL[: MAP_TILES_URL.index("/", 8)]] if MAP_TILES_URL else [])],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = env_text("TIME_ZONE", "UTC")

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

vars().update(dj_email_url.parse(env_text("EMAIL_URL", "console:")))
# A mail server that hangs is given up soon: messages wait, operations do not.
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = f"iModel Desk <imodel-desk@{_public.hostname}>"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "dashboard.log_lines.OneLine", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": env_text("LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR")),
    },
    # urllib3 writes request lines at DEBUG, and an upload link is a secret.
    "loggers": {name: {"level": "WARNING"} for name in ("urllib3", "azure", "django.server")},
}
