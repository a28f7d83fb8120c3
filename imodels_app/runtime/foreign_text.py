"""Text from outside, before anything else sees it: what the platform and the sign-in service say is cleaned and cut;
what a person types is refused in a sentence if it has what nobody could read.

Both are brought into one form (tidy), so that what looks the same is the same: NFC, one kind of line break, none of
the characters that nobody sees. Those that join letters and emoji (ZWJ, ZWNJ) stay, inside words.
"""

import re
import unicodedata

# What a column of one line holds, and what a message of several lines may have.
LINE, PARAGRAPH = 255, 2000

_BREAK = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# The rest of Cc, and halves of a UTF-16 pair: PostgreSQL takes no NUL, and no database takes a half.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufff9-\ufffb\ud800-\udfff]")
# Unicode's Bidi_Control: what follows one of them may be read in another order than it is written.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Joiners at the edge of a word, tags without their flag, and what selects a variant once more.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u17b4\u17b5\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a]"
    "|(?<!\\S)[\u200c\u200d]+|[\u200c\u200d]+(?!\\S)"
    "|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0001\U000e0020-\U000e007f]+"
    "|(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]+"
)
# They look like a blank. Hangul's fillers belong between its letters, and Braille's blank between its patterns.
_BLANK = re.compile(
    "[\u3164\uffa0]|\u115f(?![\u1160-\u11a7])|(?<![\u1100-\u115f])\u1160|(?<![\u2801-\u28ff])\u2800(?![\u2801-\u28ff])"
)
# Unicode's Default_Ignorable_Code_Point, and the empty pattern of Braille.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def cleaned(value: object, *, most: int = LINE, is_line: bool = True) -> str:
    """What somebody else's program said, fit to be stored and shown; "" for what is no text, or shows nothing.

    most  what is longer is cut, and ends in “…”
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    # Cut before too: to normalize megabytes of accents takes minutes.
    text = _TURNING.sub("", _CONTROL.sub("", _BLANK.sub(" ", tidy(value[: 4 * most]))))
    if is_line:
        text = re.sub("[\n\t]+", " ", text)
    text = text.strip() if has_visible(text) else ""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def tidy(text: str) -> str:
    """The one form of a text, with nothing in it that makes a difference nobody sees."""
    return unicodedata.normalize("NFC", _UNSEEN.sub("", _BREAK.sub("\n", text)))


def why_not(typed: str, *, is_line: bool = True) -> str:
    """Why a text that somebody typed is not taken, as a sentence; "" if it is."""
    turning, control = _TURNING.search(typed), _CONTROL.search(typed)
    if turning:
        return f"This has a hidden character that changes the direction of text ({_code(turning[0])}). Remove it."
    if control or (is_line and "\t" in typed):
        return f"This has a control character ({_code(control[0] if control else chr(9))}). Remove it."
    if "\ufffd" in typed:
        return "This has a character that could not be read (U+FFFD). Type it again."
    if is_line and _BREAK.search(typed):
        return "This has a line break. Write it in one line."
    if typed.strip() and not has_visible(typed):
        return "This has only invisible characters. Type something that can be read."
    if blank := _BLANK.search(typed):
        return f"This has a character that only looks like a blank ({_code(blank[0])}). Type a blank in its place."
    return ""


def has_visible(text: str) -> bool:
    return any(not character.isspace() for character in _CONTROL.sub("", _IGNORABLE.sub("", text)))


def length(text: str) -> int:
    """As browsers count for `maxlength`, and the platform does: in UTF-16, where an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def folded(text: str) -> str:
    """For “is it the same name?” and “is it in there?”: in whichever form and capitals."""
    return unicodedata.normalize("NFC", text).casefold()


def isolated(text: object) -> str:
    """For the midst of a sentence: text from right to left keeps its order to itself. Other text is as it was."""
    plain = _TURNING.sub("", str(text))
    return f"{_FIRST_STRONG_ISOLATE}{plain}{_POP_ISOLATE}" if is_right_to_left(plain) else plain


def is_right_to_left(text: str) -> bool:
    """Whether any of it is."""
    return not text.isascii() and any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text)


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
