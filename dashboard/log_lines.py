"""How a line of the log looks. Whoever puts a line break into an address must not write lines of ours."""

import copy
import logging

from imodels_app.runtime import request_context

# Longer than anything we say; what comes from outside may be of any length.
LONGEST = 4000


class OneLine(logging.Formatter):
    """One record is one line, with the request that caused it: %(origin)s. Tracebacks keep theirs, set in, so that none
    of them looks like another record.
    """

    def format(self, record: logging.LogRecord) -> str:
        # A traceback that another handler has written already would be taken over as it is.
        fresh = copy.copy(record)
        fresh.exc_text = None
        origin = str(request_context.current())
        fresh.origin = f" [{origin}]" if origin else ""
        return super().format(fresh)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        line = escaped(super().formatMessage(record))
        return line if len(line) <= LONGEST else f"{line[:LONGEST]} [cut]"

    def formatException(self, ei: object) -> str:  # noqa: N802
        return _set_in(super().formatException(ei))  # type: ignore[arg-type]

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return _set_in(super().formatStack(stack_info))


def escaped(text: str) -> str:
    r"""With control characters, line breaks of all kinds and turned writing directions as \n, \x1b, \u2028."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _set_in(text: str) -> str:
    return "\n".join(f"    {escaped(line)}" for line in text.split("\n"))
