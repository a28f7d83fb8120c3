"""Text from outside: cleaned where a program said it, refused with a sentence where a person typed it."""

import pytest

from imodels_app.runtime import foreign_text

JOINED = [
    "⠏⠊⠑⠗\u2800⠼⠛",
    "葛\U000e0100",
    "7\ufe0f\u20e3",
    "\u1112\u1160",
    "می‌خواهم",
    "क्‍ष",
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "❤️",
    "Zoë",
    "גשר",
    "جسر 7",
    "Ａ",
    "日本 橋",
    "x=1; y",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
]


@pytest.mark.parametrize("text", JOINED)
def test_what_can_be_read_stays_as_it_is(text):
    assert foreign_text.cleaned(text) == text
    assert foreign_text.tidy(text) == text
    assert foreign_text.why_not(text) == ""


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        *(("a\0b", "ab"), ("a\ud83db", "ab"), ("\udc00", ""), ("a\x07b", "ab"), ("a\x9bb", "ab"), ("a\x7fb", "ab")),
        *((f"a{turn}b", "ab") for turn in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"),
        *((f"a{line}b", "a b") for line in ("\r\n", "\r", "\n", "\v", "\f", "\x85", "\u2028", "\u2029", "\t", "\x1c")),
        *(
            (nothing, "")
            for nothing in ("\u200b", "\u200d\u200d", "\ufeff", "\u3164", "\u2800", "\u00ad", " \u2060 ", "\ufe0f")
        ),
        *(("Pi\u200ber\ufeff", "Pier"), ("\u200dPier\u200c", "Pier"), ("Cafe\u0301", "Café"), (" Pier ", "Pier")),
        *((f"Main{blank}Bridge", "Main Bridge") for blank in "\u3164\uffa0\u115f\u1160\u2800"),
        *((f"Pier{unseen}7", "Pier7") for unseen in "\u034f\u17b4\u2065\ufff1\U0001d173\U000e0041\U000e0001"),
        *(("葛" + "\U000e0100" * 9, "葛\U000e0100"), ("❤" + "\ufe0f" * 9, "❤\ufe0f")),
        *((None, ""), (7, "7"), (True, ""), ([], ""), ({"a": 1}, ""), (1.5, "")),
    ],
)
def test_what_a_program_said_is_cleaned(said, kept):
    assert foreign_text.cleaned(said) == kept


def test_what_is_longer_than_its_column_is_cut_and_shows_it():
    assert foreign_text.cleaned("x" * 90, most=64) == "x" * 63 + "…"
    assert foreign_text.cleaned("x" * 64, most=64) == "x" * 64
    assert len(foreign_text.cleaned("e\u0301" * 1_000_000)) == 255


def test_a_message_keeps_its_lines():
    assert foreign_text.cleaned("one\r\ntwo\u2028three\tfour", is_line=False) == "one\ntwo\nthree\tfour"


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        *(
            (f"Pier{turn}7", f"direction of text (U+{ord(turn):04X})")
            for turn in "\u202e\u202d\u202b\u2066\u2067\u2068\u200f"
        ),
        *((f"Pier{control}7", f"control character (U+{ord(control):04X})") for control in "\x07\0\x1b\x7f\x9b\t\ud83d"),
        *((f"Pier{line}7", "line break") for line in ("\n", "\r\n", "\r", "\u2028", "\u2029", "\x85", "\v", "\f")),
        ("Br\ufffdcke", "could not be read (U+FFFD)"),
        *((f"Main{blank}Bridge", f"blank (U+{ord(blank):04X})") for blank in "\u3164\uffa0\u115f\u1160\u2800"),
        *(
            (nothing, "only invisible")
            for nothing in ("\u200b", "\u2060\u2060", "\u3164", "\u2800", "\u00ad", "\u200d", "\ufeff")
        ),
    ],
)
def test_what_a_person_typed_is_refused_and_the_sentence_names_why(typed, named):
    assert named in foreign_text.why_not(typed)


@pytest.mark.parametrize("typed", ["one\r\ntwo", "one\ttwo", "one\n\ntwo", ""])
def test_lines_are_no_fault_of_a_paragraph(typed):
    assert foreign_text.why_not(typed, is_line=False) == ""


@pytest.mark.parametrize(("text", "units"), [("abc", 3), ("👍", 2), ("é", 1), ("a\nb", 3), ("👩‍👩‍👧", 8)])
def test_length_is_what_a_browser_counts(text, units):
    assert foreign_text.length(text) == units


@pytest.mark.parametrize("text", ["גשר", "جسر 7", "Pier ٣"])
def test_text_from_right_to_left_is_isolated_in_a_sentence(text):
    assert foreign_text.isolated(text) == f"\u2068{text}\u2069"


@pytest.mark.parametrize("text", ["", "Pier 7", "Brücke", "日本橋", "👍"])
def test_other_text_is_not_touched(text):
    assert foreign_text.isolated(text) == text


def test_no_text_gets_out_of_its_isolate():
    assert foreign_text.isolated("ג\u2069\u202e") == "\u2068ג\u2069"
