"""What the platform told a person is remembered: as long as it is worked with, and for a while in Django's cache.

What a person was shown and may pick is kept longer, for when the platform is down by the time they send it.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.core.cache import cache
from redis import RedisError

T = TypeVar("T")
# The words that make it up; the first one names what is asked.
Question = tuple[str, ...]
# A form that was filled in in the morning can be sent in the evening.
KEPT_S = 24 * 3600


class AnswerCache:
    """One person's answers. Where Django's cache is down, they last as long as this object.

    max_age_s  how old an answer from Django's cache may be, beside what each question allows; 0: take none
    """

    def __init__(self, person_id: object, *, max_age_s: float = math.inf) -> None:
        self._person_id = person_id
        self._max_age_s = max_age_s
        self._is_cache_up = True
        self._answers: dict[str, Any] = {}

    def get(self, question: Question, default: T) -> T:
        """An answer that was given to this object already."""
        answer: T = self._answers.get(self._key(question), default)
        return answer

    def get_or_set(self, question: Question, ask: Callable[[], T], *, seconds: int) -> T:
        """The answer to a question, remembered or asked for. seconds: how long Django's cache keeps it."""
        key = self._key(question)
        if key not in self._answers:
            asked_at, answer = self._from_cache(key) or (-math.inf, None)
            if time.time() - asked_at >= self._max_age_s:
                asked_at, answer = time.time(), ask()
                self._to_cache({key: (asked_at, answer)}, seconds)
            self._answers[key] = answer
        remembered: T = self._answers[key]
        return remembered

    def add(self, question: Question, answer: object) -> None:
        """What an answer to another question has told, too."""
        self._answers.setdefault(self._key(question), answer)

    def keep(self, shown: Mapping[Question, object]) -> None:
        """What a person was shown: the answers that it gives to questions about single things."""
        self._to_cache({self._key(("kept", *question)): answer for question, answer in shown.items()}, KEPT_S)

    def last_answer(self, question: Question) -> Any:
        """What the person was shown, None if nothing. The platform may know better by now."""
        return self._from_cache(self._key(("kept", *question)))

    def _key(self, question: Question) -> str:
        return f"catalog:{self._person_id}:{hashlib.sha256(repr(question).encode()).hexdigest()}"

    def _from_cache(self, key: str) -> Any:
        if self._is_cache_up:
            try:
                return cache.get(key)
            except (RedisError, OSError):
                self._is_cache_up = False
        return None

    def _to_cache(self, answers: dict[str, object], seconds: int) -> None:
        if self._is_cache_up and answers:
            try:
                cache.set_many(answers, seconds)
            except (RedisError, OSError):
                self._is_cache_up = False
