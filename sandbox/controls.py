"""What tests and the control page can do to a sandbox. Every verb here is also ``POST /sandbox/do/<verb>``."""

from __future__ import annotations

import inspect
from typing import Any

from sandbox import seed
from sandbox.faults import Fault
from sandbox.journal import Entry, calls
from sandbox.platform import Platform
from sandbox.world import Changeset, IModel, Person, World

ALL_SCOPES = "openid profile email offline_access itwin-platform"


class Controls:
    """Verbs that change what the platform does next. Names of people are keys: mara, tomas, ines, otto."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        return self.platform.world

    @property
    def ids(self) -> dict[str, str]:
        return self.platform.world.ids

    @property
    def journal(self) -> list[Entry]:
        return self.platform.journal.entries

    @property
    def client_id(self) -> str:
        return next(iter(self.platform.grants.clients.values())).id

    @property
    def client_secret(self) -> str:
        return next(iter(self.platform.grants.clients.values())).secret

    @property
    def token_lifetime_s(self) -> float:
        return self.platform.grants.token_lifetime_s

    @token_lifetime_s.setter
    def token_lifetime_s(self, seconds: float) -> None:
        self.platform.grants.token_lifetime_s = seconds

    def calls(self, method: str, path: str) -> int:
        """How many journalled requests match; see journal.calls."""
        return calls(self.journal, method, path)

    def person(self, key: str) -> Person:
        return self.world.person(key)

    def imodels_named(self, name: str, itwin_id: str | None = None) -> list[IModel]:
        return [self.world.advance(imodel) for imodel in self.world.imodels_named(name, itwin_id)]

    # -- verbs ---------------------------------------------------------------------------------------------------

    def do_reset(self) -> None:
        """World, sign-ins, journal, faults and limits as new."""
        self.platform.reset()

    def do_fault(self, method: str, path: str, **how: Any) -> Fault:
        """Lay a fault in wait; see faults.Fault. Times and seconds are numbers; times defaults to 1."""
        return self.platform.faults.add(Fault(method, path, **how))

    def do_clear_faults(self) -> None:
        """No faults lie in wait, and what they held goes on."""
        self.platform.faults.clear()

    def do_release(self) -> None:
        """Every request that a fault holds goes on; Fault.release() is for those of one fault."""
        self.platform.faults.release()

    def do_next_outcome(self, state: str) -> None:
        """The final state of the next creation; several calls queue up. "stuck" never ends."""
        self.world.outcomes.append(state)

    def do_finish(self, imodel_id: str, state: str = "successful") -> None:
        """End an operation now; also "fileIsBriefcase" and "initializationFailed" for a baseline."""
        self.world.finish(imodel_id, state)

    def do_initialize(self, imodel_id: str) -> None:
        """The iModel becomes usable while its operation goes on."""
        self.world.initialize(imodel_id)

    def do_advance_manually(self) -> None:
        """Creations asked for from now on move only by finish() and initialize(). reset() ends this."""
        self.world.manual = True

    def do_advance_by_polls(self, polls: int) -> None:
        """Creations asked for from now on answer ``scheduled`` to so many looks and then end."""
        self.world.polls = polls

    def do_advance_by_clock(self, speed: float | None = None) -> None:
        """Back to the clock, and perhaps at another speed."""
        self.world.manual, self.world.polls = False, None
        self.world.speed = speed or self.world.speed

    def do_push_changeset(self, imodel_id: str, description: str = "Pushed while you were looking") -> Changeset:
        """Somebody else goes on working."""
        return self.world.push_changeset(imodel_id, description)

    def do_allow(self, itwin_id: str, person: str, permissions: list[str] | None) -> None:
        """Set a member's permissions on an iTwin; None removes the member. A service application is its client id."""
        member = person if person in self.platform.grants.clients else self.person(person).id
        members = self.world.itwins[itwin_id].members
        if permissions is None:
            members.pop(member, None)
        else:
            members[member] = list(permissions)
        self.world.changed()

    def do_secure(self, imodel_id: str, person: str, permissions: list[str]) -> None:
        """Give an iModel permissions of its own, and a person these."""
        imodel = self.world.imodels[imodel_id]
        imodel.permissions = (imodel.permissions or {}) | {self.person(person).id: list(permissions)}
        self.world.changed()

    def do_crowd(self, count: int) -> None:
        """So many more iTwins, to see how it is with 10 000."""
        seed.crowd(self.world, count)

    def do_expire_tokens(self) -> None:
        """Every access token counts as expired; refresh tokens live."""
        self.platform.grants.expire_access_tokens()

    def do_revoke(self, person: str) -> None:
        """Every grant of this person is dead."""
        self.platform.grants.revoke_person(self.person(person).id)

    def do_tokens_for(self, person: str, scope: str = ALL_SCOPES) -> dict[str, Any]:
        """Tokens as the token endpoint would answer after a sign-in, for the first client."""
        return self.platform.grants.sign_in(self.person(person), self.client_id, scope)

    def do_token_lifetime(self, seconds: float) -> None:
        """How long access tokens live that are issued from now on."""
        self.token_lifetime_s = seconds

    def do_set_clock(self, ahead_s: float) -> None:
        """How far the platform's clock is ahead of this machine's; less than 0 is behind."""
        self.platform.set_clock(ahead_s=ahead_s)

    def do_end_links(self) -> None:
        """Every link to the storage that was handed out until now opens nothing any more, as when its time is over."""
        self.platform.blobs.change_key()

    def do_limit(self, bucket: str, calls: int, per_s: float = 60) -> None:
        """Replace a limit: create, clone, fork or all."""
        self.platform.limits.set(bucket, calls, per_s)

    def do_limits_off(self) -> None:
        self.platform.limits.enforced = False

    def do_limits_on(self) -> None:
        self.platform.limits.enforced = True

    def do_switch(self, **switches: Any) -> None:
        """Choose an answer where the documentation gives none; see world.Switches."""
        for name, value in switches.items():
            if not hasattr(self.world.switches, name):
                raise ValueError(f"unknown switch {name!r}")
            setattr(self.world.switches, name, value)
        self.world.changed()

    reset, fault, clear_faults, next_outcome, finish = do_reset, do_fault, do_clear_faults, do_next_outcome, do_finish
    initialize, advance_manually, advance_by_polls = do_initialize, do_advance_manually, do_advance_by_polls
    advance_by_clock, push_changeset, allow, expire_tokens = (
        do_advance_by_clock,
        do_push_changeset,
        do_allow,
        do_expire_tokens,
    )
    revoke, tokens_for, limit, limits_off, limits_on = do_revoke, do_tokens_for, do_limit, do_limits_off, do_limits_on
    switch, secure, crowd, release = do_switch, do_secure, do_crowd, do_release
    end_links, set_clock = do_end_links, do_set_clock


def controls_of() -> dict[str, Any]:
    """Verb -> function, of those that may be called over HTTP."""
    members = inspect.getmembers(Controls, inspect.isfunction)
    return {name.removeprefix("do_"): function for name, function in members if name.startswith("do_")}
