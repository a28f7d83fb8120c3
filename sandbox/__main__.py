"""``python -m sandbox --port N``: the stand-in platform as a program. Every option is also an environment variable."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Sequence

from sandbox.identity_store import Client
from sandbox.server import CLIENT_ID, CLIENT_SECRET, Sandbox


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    sandbox = Sandbox.start(
        options.port,
        host=options.host,
        speed=options.speed,
        tier=options.tier,
        world_file=options.world,
        limits=not options.no_limits,
        issuer=options.issuer,
        browser_url=options.browser_url,
        redirect_uris=options.redirect_uri,
        clients=[Client(options.client_id, options.client_secret)],
        token_lifetime_s=options.token_lifetime,
        verbose=options.verbose,
        mail_port=options.mail_port,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(f"sandbox: {sandbox.url} (control page: {sandbox.platform.browser_url}/sandbox/)", flush=True)
    stop.wait()
    sandbox.stop()


def _parser() -> argparse.ArgumentParser:
    env = os.environ.get
    parser = argparse.ArgumentParser("python -m sandbox", description="A stand-in for the iTwin Platform.")
    parser.add_argument("--port", type=int, default=int(env("SANDBOX_PORT", "9000")))
    parser.add_argument("--host", default=env("SANDBOX_HOST", "127.0.0.1"))
    parser.add_argument("--issuer", default=env("SANDBOX_ISSUER"), help="how servers reach it (http://HOST:PORT)")
    parser.add_argument("--browser-url", default=env("SANDBOX_BROWSER_URL"), help="how browsers reach it (the issuer)")
    parser.add_argument("--world", default=env("SANDBOX_WORLD"), help="file that keeps the world (none: in memory)")
    parser.add_argument("--speed", type=_speed, default=_speed(env("SANDBOX_SPEED", "1")), help="of creations")
    parser.add_argument("--tier", choices=["trial", "basic"], default=env("SANDBOX_TIER", "basic"))
    parser.add_argument("--no-limits", action="store_true", help="never answer 429")
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=(env("SANDBOX_REDIRECT_URIS") or "").split() or None,
        help="registered for sign-in, may be repeated (none: any local .../sign-in/callback)",
    )
    parser.add_argument("--client-id", default=env("SANDBOX_CLIENT_ID", CLIENT_ID))
    parser.add_argument("--client-secret", default=env("SANDBOX_CLIENT_SECRET", CLIENT_SECRET))
    parser.add_argument("--token-lifetime", type=float, default=3600, help="of access tokens, in seconds")
    mail_port = int(env("SANDBOX_MAIL_PORT", "0"))
    parser.add_argument("--mail-port", type=int, default=mail_port, help="catch e-mails here (0: do not)")
    parser.add_argument("--verbose", action="store_true", help="print every request")
    return parser


def _speed(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("speed must be above 0")
    return value


if __name__ == "__main__":
    main()
