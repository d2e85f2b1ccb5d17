"""Names that people compare by eye: what cannot be seen is refused, and one name has one spelling (NFC)."""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statsd.errors import InvalidEvent
from statsd.streams import logins, pageviews, usage, webhooks
from statsd.streams.transfers.event import NEW_BASE_ITEM, NEW_OWNER
from statsd.web import texts
from statsd.web.decode import Decoder
from statsd.web.paths import page
from statsd.web.texts import NOT_BLANK_NO_CONTROLS, PRINTABLE, form_of, name_of

WEBHOOKS = Decoder(webhooks.event.WebhookEvent, webhooks.event.check, webhooks.event.explain)
LOGIN = {"user_id": 1, "ip_address": "a", "region": "b", "device_type": "c", "browser": "d"}
# Every field whose texts people compare by eye; usernames, and names of tokens and links, are read by `name_of`.
FIELDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "eventType": (WEBHOOKS, {"eventType": "a", "userId": "b"}),
    "region": (logins.event.DECODER, LOGIN),
    "device_type": (logins.event.DECODER, LOGIN),
    "browser": (logins.event.DECODER, LOGIN),
    "feature_name": (usage.event.DECODER, {}),
    "featureName": (usage.event.DECODER, {}),
    "event_type": (pageviews.sent.DECODER, {"site_id": "a", "path": "/", "timestamp": "2026-11-21"}),
    "name": (NEW_OWNER, {}),
}

# Default_Ignorable_Code_Point, in DerivedCoreProperties.txt of Unicode 17.0 (unicode.org, Unicode License V3).
IGNORABLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip
BIDI_CONTROLS = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
NONCHARACTERS = [
    *range(0xFDD0, 0xFDF0),
    *(plane + last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)),
]
UNSEEN = {chr(point) for first, last in IGNORABLE for point in range(first, last + 1)}
UNSEEN |= {
    chr(point)
    for point in (
        *BIDI_CONTROLS,
        *NONCHARACTERS,
        0x2800,
        *range(0xFFF9, 0xFFFC),
        0x1D159,
        *range(0x13430, 0x13440),
        0x13441,
        0x13442,
    )
}

SEEN = [
    "a", "admin", "Å", "Côte d'Ivoire", "Привет", "工具", "한국어", "ひらがな", "שלום", "مرحبا", "\U0001f600", "#", "·",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
    "\u2764\ufe0f", "\u2764\ufe0f\u200d\U0001f525", "\U0001f469\U0001f3fd\u200d\U0001f4bb",  # a heart, on fire, a coder
    "\U0001f3f3\ufe0f\u200d\U0001f308", "\u263a\ufe0e", "1\ufe0f\u20e3", "\U0001f1ea\U0001f1ea",  # flags, a keycap
    "\u0915\u094d\u200d\u0937", "\u0915\u094d\u200c\u0937", "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Hindi, Sinhala
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
]  # fmt: skip
STRAY = [
    "ad\u200dmin", "ad\u200cmin", "admin\ufe0f", "admin\ufe0e", "\ufe0fadmin", "\u200d", "\ufe0f", "1\ufe0f",
    "a\u200d\U0001f600", "\U0001f600\u200d", "\u5de5\ufe0f", "\u2764\ufe0f\ufe0f",
]  # fmt: skip


def read(field: str, text: str) -> set[Any]:
    """What is stored of a text by the fast path and by the slow one; None where it is refused."""
    decoder, event = FIELDS[field]
    found = set()
    for is_ascii in (False, True):
        try:
            found.add(
                getattr(decoder.decode(json.dumps({**event, field: text}, ensure_ascii=is_ascii).encode()), field)
            )
        except InvalidEvent:
            found.add(None)
    decoder = getattr(decoder, "_decoder", decoder)
    found.add(getattr(decoder.convert({**event, field: text}), field, None))
    return found


@pytest.mark.parametrize("field", FIELDS)
def test_what_cannot_be_seen_is_refused_in_every_name(field: str) -> None:
    some = {
        "\u034f",
        "\u3164",
        "\u2800",
        "\u061c",
        "\ufe0f",
        "\U000e0041",
        "\ufffe",
        "\u202e",
        "\u200b",
        "\xad",
        "\u180b",
    }
    assert some <= UNSEEN
    for character in some:
        for text in (character, f"ad{character}min", f"admin{character}"):
            assert read(field, text) == {None}, ascii(text)


@pytest.mark.parametrize("field", FIELDS)
def test_joiner_stays_where_a_script_or_an_emoji_needs_it(field: str) -> None:
    assert {text: read(field, text) for text in SEEN} == {text: {text} for text in SEEN}
    assert {text: read(field, text) for text in STRAY} == {text: {None} for text in STRAY}


def test_every_character_with_one_of_the_properties_is_refused() -> None:
    kept = []
    for character in UNSEEN:
        with suppress(ValueError):
            kept.append(name_of(f"a{character}b", 64))
    assert kept == []


def test_every_other_character_may_be_in_a_name() -> None:
    """Also those of a later Unicode, of which nothing is known yet."""
    refused = []
    for point in [*range(0x20, 0xD800), *range(0xE000, 0x11_0000, 7)]:
        character = chr(point)
        if character in UNSEEN or unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            continue
        try:
            name_of(f"a{character}b", 64)
        except ValueError:
            refused.append(point)
    assert refused == []


def test_format_characters_that_are_seen_may_be_in_a_name() -> None:
    """The number signs of Arabic and Syriac stand over digits."""
    assert [name_of(f"a{one}1", 64) for one in "\u0600\u06dd\u070f\u08e2"]


@pytest.mark.parametrize("field", FIELDS)
def test_one_name_has_one_spelling(field: str) -> None:
    for text in ("Ångström", "한국", "é", "\u1e9b\u0323", "\u212b", "\u0958"):
        normal = unicodedata.normalize("NFC", text)
        assert {one for form in ("NFC", "NFD") for one in read(field, unicodedata.normalize(form, text))} == {normal}


def test_length_is_that_of_the_normal_form() -> None:
    composed = "\u00e9" * 64
    assert read("feature_name", unicodedata.normalize("NFD", composed)) == {composed}
    assert read("feature_name", "\u0958" * 32) == {"\u0915\u093c" * 32}  # which NFC writes in two
    assert read("feature_name", "\u0958" * 33) == {None}


@pytest.mark.parametrize(
    "text", ["\u200b", "\u2800", "\u3164 \u00a0", "\ufe0f", "\u200d\u200d", "a\ufffe", "a\0", "\u2028"]
)
def test_description_has_something_to_see(text: str) -> None:
    with pytest.raises(Exception, match="description must be a non-empty string"):
        NEW_BASE_ITEM.decode(msgspec.json.encode({"description": text}))


@pytest.mark.parametrize("text", ["a\u200eb \u05d0\u200f", "soft\u00adhyphen", "a\ufe0f", "x\u2800y"])
def test_description_may_direct_its_text(text: str) -> None:
    assert NEW_BASE_ITEM.decode(msgspec.json.encode({"description": text})).description == text


PILE = "\u0345" * 300_000 + "\u0334" * 300_000


@pytest.mark.parametrize(("decoder", "field"), [(usage.event.DECODER, "feature_name"), (WEBHOOKS, "userId")])
def test_megabyte_of_marks_is_refused_at_once(decoder: Any, field: str) -> None:
    """To sort the marks on one letter takes the square of their number: here a quarter of an hour."""
    body = json.dumps({"eventType": "a", "userId": "b", field: "a" + PILE}, ensure_ascii=False).encode()[: 1 << 20]
    with pytest.raises(InvalidEvent):
        decoder.decode(body)
    with pytest.raises(ValueError, match="too long"):
        name_of(PILE, 64)


def test_pile_of_marks_stays_as_it_is() -> None:
    pile = "a" + "\u0345" * 40 + "\u0334" * 20
    assert name_of(pile + "x" * 3, 64) == unicodedata.normalize("NFC", pile + "xxx")  # short enough
    assert form_of(NOT_BLANK_NO_CONTROLS)(pile * 2) == pile * 2
    assert page(f"/{pile * 10}") == page(page(f"/{pile * 10}"))
    assert form_of(NOT_BLANK_NO_CONTROLS)("e\u0301" * 100) == "\u00e9" * 100


USUAL = st.text(
    st.sampled_from([chr(one) for one in range(0x20, 0x500)] + ["工", "具", "한", "\u1112", "\u1161", "\u11ab"])
)


@given(USUAL | st.text())
def test_shortcut_for_usual_texts_says_what_the_rule_says(text: str) -> None:
    if texts._is_usual(text):
        assert unicodedata.normalize("NFC", text) == text
        for pattern in (PRINTABLE, NOT_BLANK_NO_CONTROLS):
            assert re.search(pattern, text)
            assert form_of(pattern)(text) is text
