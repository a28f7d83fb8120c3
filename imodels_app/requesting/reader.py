"""Asks the platform for a person who waits for the answer: it comes within seconds or not at all.

Short time-outs, and a short memory of its own for each person (answer_cache.py).
"""

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from imodels_app import gateway
from imodels_app.accounts import tokens
from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import Found
from imodels_app.requesting.answer_cache import AnswerCache
from imodels_app.runtime import clock
from imodels_app.states import WaitReason

READ_TIMEOUT_S = 3.0
T = TypeVar("T")
# models.User: whoever tokens can act for.
Person = Any


class CatalogUnavailable(Exception):
    """The platform is slow, down, or wants fewer questions. Its text is a sentence fit to be shown."""


class NotInCatalog(Exception):
    """There is no such thing, or this person cannot see it: the platform does not tell which."""


SignInNeeded = tokens.SignInNeeded


class Reader:
    """Asks the platform as one person, and remembers the answers.

    max_age_s       how old a remembered answer may be, beside what each question allows; 0: ask the platform
    within_s        all its answers together take no longer: after that it is unavailable
    is_from_memory  never ask it, and be unavailable for what is not remembered: for what nobody waits for
    looker          who waits for the answers, and out of whose share they come, if that is somebody else

    Every question raises CatalogUnavailable and SignInNeeded.
    """

    def __init__(
        self,
        user: Person,
        *,
        max_age_s: float = math.inf,
        within_s: float = 60,
        is_from_memory: bool = False,
        looker: Person | None = None,
    ) -> None:
        self.user = user
        self._looker = looker or user
        self._ends_at = time.monotonic() + within_s
        self._is_from_memory = is_from_memory
        self._answers = AnswerCache(user.pk, max_age_s=max_age_s)

    def _remember(self, seconds: int, ask: Callable[[Platform], T], *question: str) -> T:
        """The answer to a question, remembered or from the platform."""
        return self._answers.get_or_set(question, lambda: self._ask(ask), seconds=seconds)

    def _remember_found(self, seconds: int, ask: Callable[[Platform], Found[T]], *question: str) -> Found[T]:
        """As _remember(), of a list: what is remembered besides is whether that is all."""

        def ask_both(platform: Platform) -> tuple[list[T], bool]:
            found = ask(platform)
            return list(found), found.is_all

        items, is_all = self._remember(seconds, ask_both, *question)
        return Found(items, is_all=is_all)

    def _if_found(self, ask: Callable[[], T]) -> list[T]:
        try:
            return [ask()]
        except NotInCatalog:
            return []

    def _ask(self, ask: Callable[[Platform], T]) -> T:
        """Ask the platform; once more, with a refreshed token, when it takes the one we have no more."""
        if self._is_from_memory:
            raise CatalogUnavailable("Not remembered.")
        try:
            try:
                return ask(self._platform())
            except gateway.MustWait as later:
                if later.reason != WaitReason.TOKEN:
                    raise
                return ask(self._platform())
        except gateway.MustWait as later:
            raise self._cannot_ask(later) from later
        except errors.Refused as no:
            raise NotInCatalog(no.code) from no

    def _cannot_ask(self, later: gateway.MustWait) -> Exception:
        # A missing key that no other process has either is made up for by signing in.
        if later.reason in (WaitReason.SIGN_IN, WaitReason.KEY_MISSING):
            return SignInNeeded(str(self.user.pk))
        if later.reason == WaitReason.RATE_LIMIT:
            left_s = max((later.until - clock.now()).total_seconds(), 1)
            if later.note:
                return CatalogUnavailable(f"{later.note} Try again in {left_s:.0f} s.")
            return CatalogUnavailable(f"The platform’s rate limit is used up for another {left_s:.0f} s.")
        if later.reason == WaitReason.TOKEN:
            return CatalogUnavailable("The platform is not accepting your sign-in at the moment. Try again shortly.")
        return CatalogUnavailable("The platform is not answering.")

    def _platform(self) -> Platform:
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise CatalogUnavailable("Nobody is waiting for the answer any more.")
        return gateway.for_person(self.user, looker=self._looker, read_timeout_s=min(READ_TIMEOUT_S, left_s))
