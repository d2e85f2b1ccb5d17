"""Texts that people read and compare: what they may hold, and the one form in which they are stored.

A form is a function from the text of a client to the text to store. It raises ValueError for a text that is refused.
Unicode has many spellings of one text: all are stored in Normalization Form C.
"""

import re
import unicodedata
from collections.abc import Callable

Form = Callable[[str], str]

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_ASTRAL = "".join([chr(end - 1) + chr(end) for end in range(0x1FFFF, 0x110000, 0x10000)])
NONCHARACTERS = rf"\ufdd0-\ufdef\ufffe\uffff{_ASTRAL}"
# Unicode 17.0, DerivedCoreProperties.txt: Default_Ignorable_Code_Point, which includes Bidi_Control (PropList.txt); but
# without joiners (U+200C, U+200D) and the variation selectors of text and emoji (U+FE0E, U+FE0F).
_IGNORABLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Other format characters (Cf) that show nothing, and symbols that are blank: Braille, a notehead, hieroglyphs.
_BLANK = r"\ufff9-\ufffb\u2800" "\U00013430-\U0001343f\U00013441\U00013442\U0001d159"
_JOINERS = r"\u200c\u200d\ufe0e\ufe0f"
_UNSEEN = rf"(?:[\s{_JOINERS}{_IGNORABLE}{_BLANK}]*\Z)"

NO_CONTROLS = rf"\A[^{_CONTROLS}]*\Z"
NOT_BLANK_NO_CONTROLS = rf"\A(?!{_UNSEEN})[^{_CONTROLS}{NONCHARACTERS}]*\Z"
"""Of a text with something to see."""
PRINTABLE = rf"\A(?!{_UNSEEN})[^{_CONTROLS}{NONCHARACTERS}{_IGNORABLE}{_BLANK}]*\Z"
"""Of a name that people compare by eye: nothing in it is invisible, or changes the direction of text."""

PATTERNS = (NO_CONTROLS, NOT_BLANK_NO_CONTROLS, PRINTABLE)
"""All of them match printable ASCII, unless it is blank."""

# Joiners are invisible except where a script or an emoji needs them: at a virama, between Arabic letters, after and
# before pictographs (Extended_Pictographic, Unicode 17.0 emoji-data.txt), and in a keycap.
_VIRAMA = (
    r"\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u0f84\u1039\u103a\u17d2\u1b44\u1baa"
    r"\ua953\ua9c0"
)
_ARABIC = r"\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff\u0710-\u077f\u07ca-\u07ea\u08a0-\u08c9"
_PICTOGRAPH = (
    r"\xa9\xae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa"
    r"\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2604\u260e\u2611\u2614\u2615\u2618\u261d\u2620\u2622\u2623"
    r"\u2626\u262a\u262e\u262f\u2638-\u263a\u2640\u2642\u2648-\u2653\u265f\u2660\u2663\u2665\u2666\u2668\u267b\u267e"
    r"\u267f\u2692-\u2697\u2699\u269b\u269c\u26a0\u26a1\u26a7\u26aa\u26ab\u26b0\u26b1\u26bd\u26be\u26c4\u26c5\u26c8"
    r"\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd\u2702\u2705\u2708-\u270d\u270f\u2712"
    r"\u2714\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797"
    r"\u27a1\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f004\U0001f0cf\U0001f170-\U0001f1e5\U0001f201-\U0001f23f\U0001f249-\U0001f6ff\U0001f7dc-\U0001f7f0"
    "\U0001f90c-\U0001f9ff\U0001fa58-\U0001faff"
)
_NEEDED = re.compile(
    rf"(?<=[{_VIRAMA}])[\u200c\u200d]|\u200d(?=[{_VIRAMA}])|(?<=[{_ARABIC}])\u200c(?=[{_ARABIC}])"
    rf"|(?<=[{_PICTOGRAPH}\ufe0f])\u200d(?=[{_PICTOGRAPH}])|(?<=[{_PICTOGRAPH}])[\ufe0e\ufe0f]"
    r"|(?<=[0-9#*])\ufe0f(?=\u20e3)"
)
_JOINER = re.compile(f"[{_JOINERS}]")

# Latin, Cyrillic, Chinese and Korean texts are mostly of characters that are in their normal form beside any of these.
_STABLE = "!-~\xa1-\xac\xae-\u02ff\u0400-\u0482\u4e00-\u9fff\uac00-\ud7a3"
_is_usual = re.compile(f"[{_STABLE}][ {_STABLE}]*").fullmatch


LONGEST = 8_192  # characters: four times as many as any text may have in its form
SHORT = 64
_PILE = re.compile(rb"[^\0]{31}")  # marks on one letter: more than the Stream-Safe Text Format has (UAX #15)


def nfc(text: str) -> str:
    """Return a text in Normalization Form C; a pile of marks stays, as it takes the square of its size to be sorted.

    A megabyte of marks would block the server for a quarter of an hour. Raises ValueError for a very long text.
    """
    if len(text) > LONGEST:
        raise ValueError("too long")
    if len(text) > SHORT and _PILE.search(bytes(map(unicodedata.combining, text))):
        return text
    return unicodedata.normalize("NFC", text)


def spellings(text: str) -> list[str]:
    """Return the forms in which a text may be stored: as it is, as older rows have it, and in Normalization Form C."""
    return [text] if len(text) > LONGEST else [*dict.fromkeys((text, nfc(text)))]


def form_of(pattern: str) -> Form:
    """Return the form of texts that match one of the patterns above."""
    search = re.compile(pattern).search

    def form(text: str) -> str:
        if _is_usual(text):
            return text
        normal = nfc(text)
        if not search(normal) or (pattern == PRINTABLE and _has_stray_joiner(normal)):
            raise ValueError("a character that is not allowed")
        return normal

    return form


def as_stored(text: str) -> str:
    """Return a text that was stored as it is: another version, or another program, had another rule."""
    if not _has_no_controls(text):
        raise ValueError("a control character")
    return text


_has_no_controls = re.compile(NO_CONTROLS).search
_name = form_of(PRINTABLE)


def name_of(text: str, longest: int) -> str:
    """Return a name of 1 to `longest` characters in its form. Raises ValueError for any other text."""
    name = _name(text)
    if len(name) > longest:
        raise ValueError("too long")
    return name


def _has_stray_joiner(text: str) -> bool:
    return _JOINER.search(text) is not None and _JOINER.search(_NEEDED.sub("", text)) is not None
