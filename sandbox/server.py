"""The sandbox in a thread of the caller, and the handle that tests hold.

``remote.RemoteSandbox(url)`` speaks to one in a process of its own; both have the verbs of ``controls.Controls``.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

from sandbox import seed
from sandbox.app import build_app
from sandbox.catcher import MailServer
from sandbox.controls import Controls
from sandbox.http_server import Server
from sandbox.identity_store import Client, Grants
from sandbox.limits import Limits
from sandbox.platform import Platform
from sandbox.storage_files import BlobFiles
from sandbox.world import World
from sandbox.world_store import WorldStore

CLIENT_ID, CLIENT_SECRET = "imodel-desk-demo", "imodel-desk-demo-secret"


class Sandbox(Controls):
    """A running sandbox in this process. ``url`` is its issuer and the root of its APIs."""

    def __init__(self, platform: Platform, server: Server, store: WorldStore | None) -> None:
        super().__init__(platform)
        self._server, self._store = server, store
        self._mail: MailServer | None = None
        self.url = platform.issuer
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @classmethod
    def start(
        cls,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        speed: float = 1.0,
        tier: str = "basic",
        world_file: str | os.PathLike[str] | None = None,
        limits: bool = True,
        issuer: str | None = None,
        browser_url: str | None = None,
        redirect_uris: list[str] | None = None,
        clients: list[Client] | None = None,
        token_lifetime_s: float = 3600,
        verbose: bool = False,
        mail_port: int = 0,
    ) -> Sandbox:
        """Start in a thread; it answers when this returns. Port 0 picks a free one; mail_port 0: no mail is caught."""
        server = Server(host, port)
        server.verbose = verbose
        issuer = (issuer or f"http://{host}:{server.port}").rstrip("/")
        path = Path(world_file) if world_file else None
        platform = Platform(
            issuer=issuer,
            browser_url=(browser_url or issuer).rstrip("/"),
            world=World(speed=speed),
            grants=Grants(
                clients or [Client(CLIENT_ID, CLIENT_SECRET)], issuer=issuer, token_lifetime_s=token_lifetime_s
            ),
            limits=Limits(tier, enforced=limits),
            blobs=BlobFiles(path.with_suffix(path.suffix + ".blobs") if path else None),
            redirect_uris=redirect_uris or [],
            world_file=path,
        )
        store = WorldStore(platform, path) if path else None
        if not (store and store.load()):
            seed.plant(platform.world)
        if store:
            store.watch()
        server.app = build_app(platform)
        server.clock = platform.time
        sandbox = cls(platform, server, store)
        sandbox._mail = MailServer(host, mail_port, platform.messages) if mail_port else None
        sandbox._thread.start()
        return sandbox

    def stop(self) -> None:
        """Stop listening, end every connection, save the world."""
        self.platform.stopping.set()
        self.platform.faults.clear()
        self._server.shutdown()
        if self._mail:
            self._mail.shutdown()
            self._mail.server_close()
        self._server.shut_connections()
        self._server.server_close()
        self._thread.join(5)
        if self._store:
            self._store.close()
        self.platform.blobs.close()

    def wait(self) -> None:
        """Until stopped."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
