"""Which request this thread answers: for lines of the log and for events, whoever writes them."""

from contextvars import ContextVar
from dataclasses import dataclass

from django.core.signals import request_finished
from django.http import HttpRequest


@dataclass(frozen=True)
class RequestContext:
    """address: the client's, "" where no request is answered. request_id: also in its answer."""

    request_id: str = ""
    address: str = ""
    request: HttpRequest | None = None

    @property
    def person(self) -> int | None:
        """Who it is, if that was looked up already: a line of the log asks the database nothing."""
        return getattr(getattr(self.request, "_cached_user", None), "pk", None)

    def as_data(self) -> dict[str, object]:
        """For an event; empty where no request is answered."""
        return {"request_id": self.request_id, "address": self.address} if self.request_id else {}

    def __str__(self) -> str:
        person = f"person {self.person}" if self.person else ""
        return " ".join(filter(None, (self.request_id, self.address, person)))


_current = ContextVar("request_context", default=RequestContext())  # noqa: B039 - it is frozen


def current() -> RequestContext:
    return _current.get()


def begin(context: RequestContext) -> None:
    """Until the answer is sent to the end: Django writes a line about a failed one after all middleware."""
    _current.set(context)


def _end(**_: object) -> None:
    _current.set(RequestContext())


request_finished.connect(_end)
