"""The handle that tests hold of a sandbox in a process of its own."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import requests

from sandbox.controls import controls_of
from sandbox.journal import Entry, calls


class RemoteSandbox:
    """The same verbs for a sandbox that runs in another process, over ``/sandbox/do/...``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        about = self._get("world")
        self.ids: dict[str, str] = about["ids"]
        self.people: dict[str, dict[str, str]] = about["people"]
        self.client_id: str = about["client_id"]
        self.client_secret: str = about["client_secret"]

    def _get(self, what: str) -> Any:
        answer = self._session.get(f"{self.url}/sandbox/{what}", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def do(self, verb: str, **arguments: Any) -> Any:
        answer = self._session.post(f"{self.url}/sandbox/do/{verb}", json=arguments, timeout=10)
        answer.raise_for_status()
        return answer.json()["answer"]

    @property
    def journal(self) -> list[Entry]:
        known = {one.name for one in fields(Entry)}
        return [Entry(**{key: value for key, value in entry.items() if key in known}) for entry in self._get("journal")]

    def calls(self, method: str, path: str) -> int:
        return calls(self.journal, method, path)

    def fault(self, method: str, path: str, **how: Any) -> None:
        self.do("fault", method=method, path=path, **how)

    def next_outcome(self, state: str) -> None:
        self.do("next_outcome", state=state)

    def finish(self, imodel_id: str, state: str = "successful") -> None:
        self.do("finish", imodel_id=imodel_id, state=state)

    def initialize(self, imodel_id: str) -> None:
        self.do("initialize", imodel_id=imodel_id)

    def revoke(self, person: str) -> None:
        self.do("revoke", person=person)

    def tokens_for(self, person: str) -> dict[str, Any]:
        tokens: dict[str, Any] = self.do("tokens_for", person=person)
        return tokens

    def __getattr__(self, verb: str) -> Any:
        """reset, clear_faults, expire_tokens, advance_manually, limits_off, switch, ...: as Controls has them."""
        if verb.startswith("_") or verb not in controls_of():
            raise AttributeError(verb)
        return lambda **arguments: self.do(verb, **arguments)
