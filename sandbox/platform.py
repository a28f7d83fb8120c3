"""Everything one running stand-in consists of, handed to each room that speaks HTTP."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from flask import current_app

from sandbox import seed
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
    stopping: threading.Event = field(default_factory=threading.Event)
    world_file: Path | None = None

    def reset(self) -> None:
        """World, sign-ins, journal, faults and limits as new. Keys stay, so programs need not ask for them again."""
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
