"""Everything one running stand-in consists of, handed to each room that speaks HTTP."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from flask import current_app

from sandbox import seed
from sandbox.caught import Messages
from sandbox.faults import Faults
from sandbox.identity_store import Grants
from sandbox.journal import Journal
from sandbox.limits import Limits
from sandbox.storage_files import BlobFiles
from sandbox.world import World


@dataclass
class Platform:
    """The state behind the doors, and the two addresses it is known by.

    issuer        how programs reach it; root of the APIs and issuer of tokens
    browser_url   how a person's browser reaches it, for sign-in and sign-out only
    """

    issuer: str
    browser_url: str
    world: World
    grants: Grants
    limits: Limits
    blobs: BlobFiles
    redirect_uris: list[str] = field(default_factory=list)
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    messages: Messages = field(default_factory=Messages)
    stopping: threading.Event = field(default_factory=threading.Event)
    world_file: Path | None = None
    clock_is_off: bool = False

    def time(self) -> float:
        """The platform's clock, which a test may replace at any time."""
        return self.world.clock()

    def set_clock(self, *, ahead_s: float) -> None:
        """How far the platform's and its storage's clocks are ahead of this machine's; less than 0 is behind."""
        for part in (self.world, self.blobs):
            part.clock = lambda: time.time() + ahead_s
        self.clock_is_off = bool(ahead_s)

    def reset(self) -> None:
        """World, clock, sign-ins, journal, faults and limits as new. Keys stay: nobody need ask for them again."""
        if self.clock_is_off:
            self.set_clock(ahead_s=0)
        seed.plant(self.world)
        self.grants.reset()
        self.limits.reset()
        self.journal.clear()
        self.faults.clear()
        self.blobs.clear()


def current() -> Platform:
    """The platform of the request being handled."""
    platform: Platform = current_app.extensions["sandbox"]
    return platform
