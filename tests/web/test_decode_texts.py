"""Decoding texts: a body of plain ASCII is read without patterns, with the same result as field by field."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statsd.errors import InvalidEvent
from statsd.streams import logins, pageviews, usage, webhooks
from statsd.web.decode import Decoder, parse

WHEN = "2026-11-21T10:30:00Z"
EVENTS: dict[str, tuple[Decoder[Any], dict[str, Any]]] = {
    "logins": (
        logins.event.DECODER,
        {"user_id": 1, "ip_address": "a", "region": "b", "device_type": "c", "browser": "d", "login_time": WHEN},
    ),
    "pageviews": (
        pageviews.sent.DECODER,
        {"site_id": "a", "event_type": "b", "path": "/", "timestamp": WHEN, "user_id": "u", "event_id": "e"},
    ),
    "usage": (usage.event.DECODER, {"feature_name": "a", "featureName": "b", "event_id": "e"}),
    "webhooks": (
        Decoder(webhooks.event.WebhookEvent, webhooks.event.check, webhooks.event.explain),
        {"eventType": "a", "userId": "b", "timestamp": WHEN, "metadata": {"c": "d"}},
    ),
}
ASCII = '\x00\x1f\x7f" \t\n\\/a'
INVISIBLE = "\x80\x9f\xa0\xad\u2028\u2029\u200b\u200c\u200d\u202e\u2060\ufeff\u3000"
LONGEST = (48, 64, 100, 128, 256, 2_048)
TEXTS = st.one_of(
    st.text("ab ", max_size=4),
    st.text(ASCII, max_size=3),
    st.text(INVISIBLE + "a", max_size=3),
    st.sampled_from([number + more for number in LONGEST for more in (0, 1)]).map(lambda number: "x" * number),
    st.text(max_size=4),
)
CHANGES = st.one_of(TEXTS, st.none(), st.integers(0, 9), st.sampled_from([WHEN, "2026-11-21", "...", [], {}]))
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : "), (",\n", ":\t")])


def written(event: dict[str, Any], separators: tuple[str, str], is_ascii: bool) -> bytes:
    text = json.dumps(event, separators=separators, ensure_ascii=is_ascii)
    return text.encode("utf-8", "surrogatepass")


def faults(outcome: Any) -> Any:
    return list(outcome.faults) if isinstance(outcome, InvalidEvent) else outcome


def decoded(decoder: Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except InvalidEvent as error:
        return error


def outcomes(batch: Any) -> list[Any]:
    return [faults(outcome) for slice in batch for outcome in slice]


def field_by_field(decoder: Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.convert(parse(body))
    except InvalidEvent as error:
        return error


@pytest.mark.parametrize("kind", EVENTS)
@given(data=st.data())
def test_texts_are_read_as_field_by_field(kind: str, data: st.DataObject) -> None:
    decoder, good = EVENTS[kind]
    changes = data.draw(st.lists(st.dictionaries(st.sampled_from(list(good)), CHANGES, max_size=2), max_size=3))
    separators, is_ascii = data.draw(SEPARATORS), data.draw(st.booleans())
    bodies = [written({**good, **change}, separators, is_ascii) for change in changes]
    expected = [faults(field_by_field(decoder, body)) for body in bodies]
    assert [faults(decoded(decoder, body)) for body in bodies] == expected
    with suppress(InvalidEvent):  # a lone surrogate makes the whole body invalid JSON
        assert outcomes(decoder.decode(b"[" + b",".join(bodies) + b"]")) == expected
    if separators[0] != ",\n":
        assert outcomes(decoder.decode(b"\n".join(bodies), lines=True)) == expected


@pytest.mark.parametrize("kind", EVENTS)
def test_each_character_is_read_as_field_by_field(kind: str) -> None:
    decoder, good = EVENTS[kind]
    names = [name for name, value in good.items() if isinstance(value, str) and value != WHEN]
    for character in [*map(chr, range(0x120)), *INVISIBLE]:
        for text in (character, f"a{character}", f"{character}a", f" {character}", f"{character} "):
            for is_ascii in (True, False):
                body = written({**good, **dict.fromkeys(names, text)}, (",", ":"), is_ascii)
                assert faults(decoded(decoder, body)) == faults(field_by_field(decoder, body)), text
