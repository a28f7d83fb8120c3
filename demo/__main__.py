"""`make demo`: everything on this machine, in one command, with nothing to install or configure first.

Starts an embedded Redis, the sandbox (a stand-in platform to sign in to), web, worker and beat, and
keeps them running until Ctrl-C. Data, secrets, ports and logs live in var/ and serve the next start.

    python -m demo                     start it
    python -m demo manage COMMAND ...  run a manage.py command with the settings of the last start

With OIDC_CLIENT_ID set it works with the platform that the environment names instead of the sandbox.
REDIS_URL, DATABASE_URL and DASHBOARD_URL are honoured as everywhere.
"""

import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from celery import Celery
from cryptography.fernet import Fernet

from dashboard import environment
from demo import redis_server, state
from demo.state import VAR_DIR
from demo.supervisor import Child, NotReady, StopRequested, Supervisor

BASE_DIR = Path(__file__).resolve().parent.parent
LOG_DIR = VAR_DIR / "log"
OLD_LOG_BYTES = 5_000_000
PREFERRED_PORTS = {"web": 8000, "sandbox": 8010, "redis": 6390, "mail": 8025}

# Registered with our sandbox and nowhere else.
CLIENT_ID, CLIENT_SECRET = "imodel-desk", "only-the-sandbox-knows-this-client"
ADMIN = "ines.duarte@harbour.example"
# Who looks after which iTwins; docker-compose.yml says the same. The sandbox's world always begins with these ids.
TEAMS = (
    (
        *("Bridge team", "--lead", "tomas.novak@harbour.example", "--member", "mara.lindqvist@harbour.example"),
        *("--itwin", "b2b00000-0000-4000-8000-000000000001", "--itwin", "b2b00000-0000-4000-8000-000000000002"),
    ),
    (
        *("Transit team", "--lead", "otto.brandt@citytransit.example"),
        *("--itwin", "b2b00000-0000-4000-8000-000000000003", "--itwin", "b2b00000-0000-4000-8000-000000000004"),
    ),
)
TO_TRY = """\
People      Mara    engineer, requests iModels
            Tomas   her lead, decides about forks
            Ines    administrator, reads the audit
            Otto    in another team

Try         As Mara, clone Main Bridge and watch it finish.
            As Mara, request a fork of Main Bridge. As Tomas,
            in a private window, approve it.
            As Ines, read in the audit what was done."""


class CannotStart(Exception):
    """The demo cannot start; the text says why and what to do."""


def main() -> int:
    if sys.argv[1:2] == ["manage"]:
        return manage(sys.argv[2:])
    if sys.argv[1:]:
        sys.exit(__doc__)
    try:
        with state.only_one() as lock:
            if older := state.set_older_aside():
                say(f"The data of an older version in var/ was moved to var/{older.name}. This one starts afresh.")
            with state.ports(PREFERRED_PORTS) as ports:
                return run(ports, lock=lock)
    except state.AlreadyRunning as other:
        print(already_running(other.pid))
        return 0
    except state.StillEnding:
        print("Processes of a killed demo are still running. Wait for them or end them, then start again.")
    except (CannotStart, NotReady, redis_server.NoRedisServer) as why:
        print(f"\nThe demo cannot start. {why}")
    return 1


def manage(arguments: list[str]) -> int:
    """Run manage.py with the settings of the running or last demo."""
    settings = state.last_environment()
    if not settings:
        sys.exit("There is no demo yet: run `make demo` once.")
    command = [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
    return subprocess.run(command, env=settings | os.environ, check=False).returncode


def run(ports: Mapping[str, int], *, lock: int) -> int:
    """Start everything, look after it until we are asked to stop, and stop it."""
    began = time.monotonic()
    for name, port in ports.items():
        if port != PREFERRED_PORTS[name]:
            say(f"Port {PREFERRED_PORTS[name]} is in use, or was at the last start: {name} is at {port}.")
    with_sandbox = not os.environ.get("OIDC_CLIENT_ID")
    redis_command, ours = settings(ports, with_sandbox=with_sandbox)
    state.remember_environment(ours)
    env = ours | {name: value for name, value in os.environ.items() if value}
    # A shell that is used for another Django project may name that one's.
    env["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"
    env.setdefault("MALLOC_ARENA_MAX", "2")  # as in the image
    tls = redis_tls(env)
    set_old_logs_aside()
    supervisor = Supervisor(log_dir=LOG_DIR, env=env, cwd=BASE_DIR, say=say, keep_fds=[lock])
    supervisor.reminder = f"iModel Desk is at {env['DASHBOARD_URL']}/"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, supervisor.request_stop)
    try:
        start(supervisor, env, ports, redis_command, tls, with_sandbox=with_sandbox)
        print(welcome(env, with_sandbox=with_sandbox, seconds=time.monotonic() - began), flush=True)
        supervisor.watch()
    except StopRequested:
        pass
    finally:
        say(f"Stopping, requested by {supervisor.stop_asked_by}." if supervisor.stop_requested else "Stopping.")
        supervisor.stop()
    say("Stopped. The data stays in var/ for the next start.")
    return 0


def settings(ports: Mapping[str, int], *, with_sandbox: bool) -> tuple[list[str], dict[str, str]]:
    """The command of our Redis (empty: one was brought along), and what the environment does not set already."""
    ours = {
        "DASHBOARD_URL": f"http://localhost:{ports['web']}",
        "EMAIL_URL": f"smtp://127.0.0.1:{ports['mail']}" if with_sandbox else f"file:///{VAR_DIR / 'mail'}",
        "PYTHONUNBUFFERED": "1",
    }
    secret_files = {
        "SECRET_KEY": state.secret("secret_key", lambda: secrets.token_urlsafe(50)),
        "TOKEN_KEYS": state.secret("token_keys", lambda: Fernet.generate_key().decode()),
    }
    if with_sandbox:
        # The sandbox is on 127.0.0.1 and the dashboard on localhost: cookies know hosts, but no ports.
        address = f"http://127.0.0.1:{ports['sandbox']}"
        ours |= {"ITWIN_API_URL": address, "OIDC_ISSUER": address, "ITWIN_TIER": "basic"}
        ours |= {
            "WEBHOOK_HOSTS": "127.0.0.1",
            "OPEN_IMODEL_URL": f"{address}/sandbox/imodels/{{itwin_id}}/{{imodel_id}}",
        }
        ours |= {"OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET, "DASHBOARD_ADMINS": ADMIN}
    ours |= {f"{name}_FILE": str(path) for name, path in secret_files.items() if not os.environ.get(name)}
    redis_command: list[str] = []
    if not os.environ.get("REDIS_URL"):
        password = state.secret("redis_password", lambda: secrets.token_urlsafe(24)).read_text()
        folder = VAR_DIR / "redis"
        redis_command, ours["REDIS_URL"] = redis_server.prepare(folder, port=ports["redis"], password=password)
    return redis_command, ours


def redis_tls(env: Mapping[str, str]) -> dict[str, Any]:
    """How Redis is reached, once all settings are understood: whoever starts later would say so each in its log."""
    try:
        return environment.redis_tls(environment.read(env))
    except environment.Misconfigured as why:
        raise CannotStart(str(why)) from None


def start(
    supervisor: Supervisor,
    env: Mapping[str, str],
    ports: Mapping[str, int],
    redis_command: list[str],
    tls: Mapping[str, Any],
    *,
    with_sandbox: bool,
) -> None:
    """Bring everything up, in the order in which one needs the other."""
    ground = []
    if redis_command:
        ground.append(Child("redis", redis_command, lambda: redis_server.answers(env["REDIS_URL"]), quiet=True))
    elif not redis_server.answers(env["REDIS_URL"], **tls):
        raise CannotStart("REDIS_URL is set, but no Redis answers there.")
    if with_sandbox:
        ground.append(sandbox(env, port=ports["sandbox"], mail_port=ports["mail"]))
    supervisor.start(*ground)
    say("Redis and the sandbox answer." if with_sandbox else "Redis answers.")

    prepare_product(env, with_sandbox=with_sandbox)
    say("The database and the static files are up to date.")

    workers = [worker(env, tls, *of) for of in (("worker", "celery"), ("poller", "polls"), ("uploader", "uploads"))]
    supervisor.start(web(env), *workers, beat())
    say("Web, worker, poller, uploader and beat are ready.")


def sandbox(env: Mapping[str, str], *, port: int, mail_port: int) -> Child:
    command = [
        *(sys.executable, "-m", "sandbox", "--port", str(port), "--world", str(VAR_DIR / "sandbox.json")),
        *("--client-id", env["OIDC_CLIENT_ID"], "--client-secret", env["OIDC_CLIENT_SECRET"]),
        *("--redirect-uri", f"{env['DASHBOARD_URL']}/sign-in/callback", "--mail-port", str(mail_port)),
    ]
    return Child("sandbox", command, lambda: answers(f"{env['OIDC_ISSUER']}/.well-known/openid-configuration"))


def web(env: Mapping[str, str]) -> Child:
    port = urlsplit(env["DASHBOARD_URL"]).port or 8000
    if not state.is_free(port):
        raise CannotStart(f"DASHBOARD_URL names port {port}, but another program is listening there.")
    command = [
        *(sys.executable, "-m", "gunicorn", "--config", "python:dashboard.web", "--bind", f"127.0.0.1:{port}"),
        *("--workers", "1", "--log-level", "warning", "dashboard.wsgi"),
    ]
    return Child("web", command, lambda: answers(f"http://127.0.0.1:{port}/healthz"))


def worker(env: Mapping[str, str], tls: Mapping[str, Any], kind: str, queue: str) -> Child:
    # Other workers may serve a Redis that was brought along: ours has a name of its own to ask for.
    name = f"demo-{kind}-{os.getpid()}@{socket.gethostname()}"
    app = Celery(broker=env["REDIS_URL"], broker_use_ssl=tls)
    command = [
        *(sys.executable, "-m", "celery", "-A", "dashboard", "worker", "--hostname", name, "--concurrency", "2"),
        *("--queues", queue, "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
    ]
    return Child(kind, command, lambda: bool(app.control.ping(destination=[name], timeout=1, limit=1)))


def beat() -> Child:
    """A process of its own: inside the worker (-B) it would outlive a killed worker, and then there are two.

    Its timetable is a matter of seconds and kept in memory: no file that a kill could tear.
    """
    log = LOG_DIR / "beat.log"
    before = log.stat().st_size if log.exists() else 0
    command = [
        *(sys.executable, "-m", "celery", "-A", "dashboard", "beat"),
        *("--scheduler", "celery.beat:Scheduler", "--pidfile=", "--loglevel", "INFO"),
    ]
    return Child("beat", command, lambda: b"Sending due task" in log.read_bytes()[before:])


def answers(address: str) -> bool:
    """Whether a page answers and is not an error of the server."""
    try:
        return requests.get(address, timeout=2, allow_redirects=False).status_code < 500
    except requests.RequestException:
        return False


def prepare_product(env: Mapping[str, str], *, with_sandbox: bool) -> None:
    """Migrate, collect the static files if one has changed, and set up the teams of the sandbox's people."""
    run_manage(env, "migrate", "--no-input", "--verbosity", "0")
    stamp, now = VAR_DIR / "static.stamp", fingerprint_of_static_files()
    if not stamp.exists() or stamp.read_text() != now or not (BASE_DIR / "staticfiles").exists():
        run_manage(env, "collectstatic", "--no-input", "--clear", "--verbosity", "0", "--ignore", "*.py")
        stamp.write_text(now)
    for team in TEAMS if with_sandbox else ():
        chat = f"{env['ITWIN_API_URL']}/sandbox/chats/{team[0].split()[0].lower()}"
        run_manage(env, "set_up_team", *team, "--teams-webhook", chat)


def run_manage(env: Mapping[str, str], *arguments: str) -> None:
    command = [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
    done = subprocess.run(command, env=env, cwd=BASE_DIR, check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotStart(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")


def fingerprint_of_static_files() -> str:
    """Changes when a static file of ours or an installed package does."""
    files = sorted(path for path in (BASE_DIR / "static").rglob("*") if path.is_file())
    facts = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    facts.append((BASE_DIR / "requirements" / "demo.txt").read_text())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def set_old_logs_aside() -> None:
    """Keep one older log of each part, so that months of demos do not fill the disk."""
    LOG_DIR.mkdir(exist_ok=True)
    for log in LOG_DIR.glob("*.log"):
        if log.stat().st_size > OLD_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))


def say(line: str) -> None:
    """One line on the console. A terminal that went away is no reason to fall over while stopping."""
    try:
        print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the rest of this process


def welcome(env: Mapping[str, str], *, with_sandbox: bool, seconds: float) -> str:
    """What a newcomer needs now, in a frame."""
    lines = [f"Open        {env['DASHBOARD_URL']}/", ""]
    if with_sandbox:
        lines += [*TO_TRY.splitlines(), "", f"Sandbox     {env['ITWIN_API_URL']}/sandbox/   time, faults and limits"]
        lines += [f"Messages    {env['ITWIN_API_URL']}/sandbox/messages/   e-mails and cards"]
    else:
        lines += [f"Platform    {env.get('ITWIN_API_URL', 'https://api.bentley.com')}"]
    lines += [f"Logs        {LOG_DIR.relative_to(BASE_DIR)}/", "Stop        Ctrl-C. The data stays for the next start."]
    return framed([f"iModel Desk is ready ({seconds:.0f} s)", "", *lines])


def already_running(pid: int) -> str:
    address = state.last_environment().get("DASHBOARD_URL", "")
    stop = f"Stop        Ctrl-C where it runs, or: kill {pid}"
    return framed(["The demo is already running", "", f"Open        {address}/", stop])


def framed(lines: list[str]) -> str:
    width = min(max(len(line) for line in lines) + 4, shutil.get_terminal_size().columns)
    rule = ("─" if "utf" in (sys.stdout.encoding or "").lower() else "-") * width
    return "\n".join(["", rule, *(f"  {line}".rstrip() for line in lines), rule, ""])


if __name__ == "__main__":
    sys.exit(main())
