"""Settings of iModel Desk: one file, every outside value from the environment (environment.py)."""

import os
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from dashboard import environment
from imodels_app.runtime import timing

BASE_DIR = Path(__file__).resolve().parent.parent

try:
    env = environment.read(os.environ)
except environment.Misconfigured as why:
    # No exception of Django's: whatever imports this (manage.py, Celery, a WSGI server) says so and ends, without a
    # traceback.
    sys.exit(str(why))

# pyproject.toml alone says which version this is, and CHANGELOG.md what is new in it.
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
CHANGELOG = BASE_DIR / "CHANGELOG.md"

# What a change of it makes an event of (audit.configuration).
CONFIGURATION = environment.without_secrets(os.environ)
DEBUG = env["DEBUG"]
SECRET_KEY = env["SECRET_KEY"]
TOKEN_KEYS = env["TOKEN_KEYS"]

DASHBOARD_URL: str = env["DASHBOARD_URL"]
DASHBOARD_ADMINS = env["DASHBOARD_ADMINS"]
# Proxies of ours that each append to X-Forwarded-For the address that they heard.
TRUSTED_PROXIES = env["TRUSTED_PROXIES"]
# Who may read /metrics: whoever shows this token, or comes from one of these addresses; nobody by default.
METRICS_TOKEN = env["METRICS_TOKEN"]
METRICS_ADDRESSES = env["METRICS_ADDRESSES"]
_public = urlsplit(DASHBOARD_URL)
_https = _public.scheme == "https"
# Health checks come by any name: middleware.probes answers them.
ALLOWED_HOSTS = sorted({_public.hostname or "", "localhost", "127.0.0.1"})
CSRF_TRUSTED_ORIGINS = [DASHBOARD_URL]

# The platform and the identity provider: addresses only, so that any part can be replaced.
ITWIN_API_URL: str = env["ITWIN_API_URL"]
ITWIN_TIER = env["ITWIN_TIER"]
# The newer documentation's creationMode and geographicCoordinateSystem, which the older one does not know.
ITWIN_CREATION_MODES = env["ITWIN_CREATION_MODES"]
# Hosts in private networks that an answer of the platform may name. Its own host is named by its address.
PRIVATE_HOSTS = env["PRIVATE_HOSTS"] | {urlsplit(ITWIN_API_URL).hostname}
# Where chats and others may be sent messages to: hosts, and with a point in front whatever is below a domain.
WEBHOOK_HOSTS: frozenset[str] = env["WEBHOOK_HOSTS"]
# Pictures behind the map of the extent, if somebody serves them: a Web Mercator tile server's address with {z}, {x} and
# {y} in it, and whom it wants named. Browsers fetch them, so a key in the address is no secret.
MAP_TILES_URL: str = env["MAP_TILES_URL"]
MAP_TILES_CREDIT = env["MAP_TILES_CREDIT"] if MAP_TILES_URL else ""
# Where people open an iModel: a viewer's or portal's address with {imodel_id}, and mostly {itwin_id}, in it.
OPEN_IMODEL_URL: str = env["OPEN_IMODEL_URL"]
# Where baseline files lie between a browser and the platform; web and workers of all hosts share it.
STAGING_DIR = env["STAGING_DIR"]
# What a baseline file may have at most, all of one person's files, and what must stay free on that disk.
BASELINE_MAX_MIB = env["BASELINE_MAX_MIB"]
STAGING_PERSON_MIB = env["STAGING_PERSON_MIB"]
STAGING_RESERVE_MIB = env["STAGING_RESERVE_MIB"]
# Files in forms are dropped, not put in /tmp; the one form that takes a file brings a handler of its own.
FILE_UPLOAD_HANDLERS = ["imodels_app.views.uploads.Nowhere"]
# What goes to the platform's storage in one request, and the size of a block of what is larger. 64 MiB is where Azure's
# own library begins with blocks: several at a time are faster, and a cut costs less. Tests make both small.
UPLOAD_SINGLE_PUT, UPLOAD_BLOCK = 64 * 1024 * 1024, 8 * 1024 * 1024
OIDC_ISSUER = env["OIDC_ISSUER"]
OIDC_CLIENT_ID: str = env["OIDC_CLIENT_ID"]
OIDC_CLIENT_SECRET = env["OIDC_CLIENT_SECRET"]
OIDC_SCOPES = env["OIDC_SCOPES"]
# Hosts (with port, if it is not the usual one) of the provider's endpoints that are not the issuer's.
OIDC_HOSTS = env["OIDC_HOSTS"]
# Issuers whose addresses are confirmed although they do not say so by email_verified.
VERIFIED_EMAIL_ISSUERS = env["VERIFIED_EMAIL_ISSUERS"]
OIDC_SIGN_OUT_WITH_ID_TOKEN = env["OIDC_SIGN_OUT_WITH_ID_TOKEN"]

# A folder where tests arm failpoints (imodels_app/runtime/failpoints.py). Never where people work.
FAILPOINTS = env["FAILPOINTS"]

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
    "imodels_app.middleware.probes",
    "imodels_app.middleware.headers",
    "imodels_app.middleware.name_request",
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
    "imodels_app.middleware.renew_session",
    "imodels_app.middleware.LocalTime",
    "imodels_app.middleware.show_way_back",
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

DATABASES = {"default": env["DATABASE_URL"]}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # WAL alone makes a read that turns into a write fail at once; IMMEDIATE is what prevents it.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
    }
else:
    # A server that has gone without a word is given up soon, so that pages can say so. In seconds and milliseconds.
    _patience: dict[str, int | str] = {"connect_timeout": 5, "tcp_user_timeout": 15_000}
    if not env["DATABASE_PGBOUNCER"]:
        # A host that freezes amid a transaction holds what it locked no longer than this. And a page reads some rows by
        # an index: at a million operations the planner would rather walk all events with several processes, and take
        # thirty times as long. PgBouncer takes no such options, so there they are for others to set (docs/operate.md).
        _patience["options"] = (
            "-c idle_in_transaction_session_timeout=30s -c max_parallel_workers_per_gather=0 -c random_page_cost=1.1"
        )
    DATABASES["default"]["OPTIONS"] = _patience | DATABASES["default"].get("OPTIONS", {})
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # It lends a server for one transaction, and a cursor that is read later has another.
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = env["DATABASE_PGBOUNCER"]
# Whom `migrate` lets use the tables that it makes (imodels_app/grants.py).
DATABASE_APP_USER = env["DATABASE_APP_USER"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env["REDIS_URL"]
REDIS_TLS = environment.redis_tls(env)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "desk",
        "OPTIONS": {
            "serializer": "dashboard.cache_format.JsonSerializer",
            "socket_connect_timeout": 1,
            "socket_timeout": 1,
            **REDIS_TLS,
        },
    }
}

CELERY_BROKER_URL = REDIS_URL
# Without it Celery verifies nothing, not even for rediss://.
CELERY_BROKER_USE_SSL = REDIS_TLS
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_TIME_LIMIT = timing.TASK_LIMIT_S
CELERY_TASK_SOFT_TIME_LIMIT = timing.SOFT_TASK_LIMIT_S
# What only looks (polls and look-ups of names, which may hang) and uploads have queues of their own, so that neither
# takes a slot from what is to be sent. A worker that is told no queue serves all. No redelivery amid a long PUT finds
# the file without its lease.
CELERY_TASK_QUEUES: dict[str, dict[str, str]] = {"celery": {}, "polls": {}, "uploads": {}}
CELERY_TASK_ROUTES = {
    "imodels_app.upload": {"queue": "uploads"},
    **{
        f"imodels_app.{task}": {"queue": "polls"}
        for task in (
            "poll",
            "look_at_list",
            "look_outside",
            "send_stream",
            "reconcile",
            "delete_orphan",
            "sweep_running",
        )
    },
}
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
# Sessions live in the database, so that they can be listed and ended.
SESSION_ENGINE = "imodels_app.accounts.sessions"
# How long one lasts without use, and how long at most.
SESSION_IDLE_HOURS = env["SESSION_IDLE_HOURS"]
SESSION_HOURS = env["SESSION_HOURS"]
SESSION_COOKIE_NAME = "__Host-desk-session" if _https else "desk-session"
SESSION_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
# Lax: a link in a mail opens the page for whoever is signed in.
SESSION_COOKIE_SAMESITE = "Lax"
# Sign-ins under way (accounts/pending.py).
SIGN_IN_COOKIE_NAME = "__Host-desk-sign-in" if _https else "desk-sign-in"
# Who was signed in here once: it opens nothing, but what its browser sends is read (dashboard/web.py).
KNOWN_COOKIE_NAME = "__Host-desk-known" if _https else "desk-known"
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

# Nothing of a browser's is used but the clipboard, to copy ids.
_NOT_USED = (
    *("accelerometer", "autoplay", "bluetooth", "browsing-topics", "camera", "display-capture", "encrypted-media"),
    *("fullscreen", "gamepad", "geolocation", "gyroscope", "hid", "identity-credentials-get", "idle-detection"),
    *("interest-cohort", "local-fonts", "magnetometer", "microphone", "midi", "otp-credentials", "payment"),
    *("picture-in-picture", "publickey-credentials-create", "publickey-credentials-get", "screen-wake-lock", "serial"),
    *("storage-access", "usb", "web-share", "window-management", "xr-spatial-tracking"),
)
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in _NOT_USED)
# Of an answer that no page gave: the web server's own (dashboard/web.py).
HEADERS_WITHOUT_PAGE = {
    "Cache-Control": "no-store",
    "Permissions-Policy": PERMISSIONS_POLICY,
    "X-Content-Type-Options": "nosniff",
}

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
TIME_ZONE = env["TIME_ZONE"]

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

vars().update(env["EMAIL_URL"])
# A mail server that hangs is given up soon: messages wait, operations do not.
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = f"iModel Desk <imodel-desk@{_public.hostname}>"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "dashboard.log_lines.OneLine",
            "format": "%(asctime)s %(levelname)s %(name)s%(origin)s: %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": env["LOG_LEVEL"],
    },
    # At DEBUG urllib3 writes request lines, and Authlib codes and verifiers: an upload link is a secret, too.
    # waitress warns of each request that waits for a thread.
    "loggers": {
        **{name: {"level": "WARNING"} for name in ("urllib3", "authlib", "azure", "django.server")},
        "waitress.queue": {"level": "ERROR"},
    },
}
