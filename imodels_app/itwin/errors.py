"""What can come of a call to the platform.

ITwinError
├── Unavailable    nothing happened; ask again in retry_after_s
│   ├── TooMany        429: the platform's rate limit, for the bucket its headers name
│   └── TimedOut       no answer within the time that the caller gave it
├── AnswerLost     it may have happened; look before asking again (a POST cut off, timed out, or met 5xx)
└── Refused        it will not happen; tell the person
    ├── SignedOut      401: the token is not taken (nothing happened either)
    ├── Forbidden      403
    ├── NotFound       404: missing, or not visible to this person
    ├── NameTaken      409 iModelExists
    ├── NotReady       409, any other: the source is not initialized
    ├── LinkRefused    the storage takes the upload link no more
    ├── ForeignLink    the upload link leads where nothing may be sent
    └── Invalid        415, 422 and the like: see details

There are three kinds because a worker can do three things. Tokens appear in no message.
"""

from typing import TypedDict


class Detail(TypedDict):
    """One entry of the error's details[]: target is the body's property, or empty."""

    code: str
    message: str
    target: str


class ITwinError(Exception):
    """Something other than the answer we asked for."""


class Unavailable(ITwinError):
    """Nothing happened: refused connection, 429, a GET that met 5xx or no answer. Ask again later.

    is_told  retry_after_s is the platform's own word, not a guess
    """

    def __init__(self, message: str, *, retry_after_s: float, is_told: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s, self.is_told = retry_after_s, is_told


class TooMany(Unavailable):
    """429.

    operation     the platform's name of the exhausted limit, or empty when it named none
    is_our_limit  it has the platform's own headers; without them it is of a service behind the platform
    """

    status = 429

    def __init__(self, message: str, *, retry_after_s: float, operation: str = "", is_our_limit: bool = False) -> None:
        super().__init__(message, retry_after_s=retry_after_s, is_told=True)
        self.operation, self.is_our_limit = operation, is_our_limit


class TimedOut(Unavailable):
    """No answer within the time that the caller gave it, which may be shorter than the platform's own."""


class AnswerLost(ITwinError):
    """A POST was sent and its answer did not come, or told nothing. It may have happened."""


class Refused(ITwinError):
    """The platform understood and said no. code and message are its own words."""

    def __init__(self, status: int, code: str = "", message: str = "", details: list[Detail] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}".strip(": "))
        self.status = status
        self.code = code
        self.message = message
        self.details = details or []


class SignedOut(Refused):
    """401: the token is missing, expired, or from elsewhere."""


class Forbidden(Refused):
    """403: a permission is missing."""


class NotFound(Refused):
    """404: it does not exist, or this person cannot see it."""


class NameTaken(Refused):
    """409 iModelExists: the name is used in the target iTwin, perhaps by our own lost request."""


class NotReady(Refused):
    """409 with another code: the source iModel is not initialized."""


class LinkRefused(Refused):
    """403 of the storage: the upload link has expired, or its signature is not taken."""


class ForeignLink(Refused):
    """An upload link that leads into a network that is not the platform's. Nothing was sent there."""

    def __init__(self, why: str) -> None:
        super().__init__(0, "", why)


class Invalid(Refused):
    """The request is wrong: 413, 415, 422 and any other 4xx."""
