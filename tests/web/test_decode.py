"""Decoding: instants that exist, all faults at once, and nothing that crashes."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statsd.database.pool import compact
from statsd.errors import BadRequest, InvalidEvent
from statsd.streams import webhooks
from statsd.streams.logins.event import DECODER, Login
from statsd.streams.transfers.event import NEW_ITEM, NewItem
from statsd.streams.webhooks import metadata
from statsd.streams.webhooks.event import WebhookEvent
from statsd.web.decode import BATCH_EVENTS, Batch, Decoder, parse

GOOD = {"user_id": 1, "ip_address": "203.0.113.7", "region": "USA", "device_type": "Mobile", "browser": "Chrome"}


WEBHOOKS = Decoder(WebhookEvent, webhooks.event.check, webhooks.event.explain)


def decoded(decoder: Decoder[Any], text: bytes, lines: bool = False) -> list[Any]:
    """The events of a batch, and the errors."""
    batch = decoder.decode(text, lines)
    assert isinstance(batch, Batch)
    return [one for part in batch for one in part]


def event(**fields: str) -> bytes:
    """A webhook event whose fields are written as they are."""
    given = {"eventType": '"view"', "userId": '"1"', **fields}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in given.items()) + "}").encode()


def body(**changes: object) -> bytes:
    return msgspec.json.encode({**GOOD, **changes})


def test_fast_and_slow_path_read_the_same_event() -> None:
    """A time that only the wider grammar knows sends the event down the slow path, with the same result."""
    fast = DECODER.decode(body(login_time="2025-11-14T00:00:00Z"))
    slow = DECODER.decode(body(login_time="2025-11-14"))
    assert isinstance(fast, Login)
    assert fast == slow


def test_all_faults_come_at_once_in_field_order() -> None:
    bad = {
        "user_id": "1",
        "login_time": "2025-02-30",
        "session_duration_seconds": -1,
        "region": " \t",
        "browser": "a\0b",
    }
    with pytest.raises(InvalidEvent) as caught:
        DECODER.decode(msgspec.json.encode(bad))
    assert [fault.split()[0] for fault in caught.value.faults] == [
        "user_id", "login_time", "session_duration_seconds", "ip_address", "region", "device_type", "browser",
    ]  # fmt: skip
    assert caught.value.faults[3].startswith("ip_address is required and must be a non-empty string")
    assert not any("02-30" in fault for fault in caught.value.faults)  # nothing a client sent is repeated


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"user_id": True}, "user_id must be an integer"),
        ({"user_id": 1.5}, "user_id must be an integer"),
        ({"user_id": 2**31}, "user_id must be an integer"),
        ({"region": "x" * 101}, "region must be a non-empty string of at most 100"),
        ({"browser": "x" * 513}, "browser must be a non-empty string of at most 512"),
        ({"region": "a\u2028b"}, "region must be"),
        ({"region": "line\n"}, "region must be"),
        ({"region": None}, "region is required"),
        ({"login_time": 5}, "login_time must be an ISO 8601"),
        (
            {"login_time": "2025-01-02T00:00:00Z", "logout_time": "2025-01-01T00:00:00Z"},
            "logout_time must not be before",
        ),
        ({"logout_time": "2020-01-01T00:00:00Z"}, "which defaults to now"),
        ({"login_time": "1980-01-01", "logout_time": "2020-01-01"}, "within ten years"),
        ({"login_time": "0001-01-01T00:00:00+14:00"}, "login_time must be"),
    ],
)
def test_fault_says_what_would_be_right(changes: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidEvent, match=says):
        DECODER.decode(body(**changes))


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"nul", b"\xff\xfe", b"\xef\xbb\xbf", b'{"user_id":NaN}', b'"\xed\xa0\x80"',
        b'{"region":"\\ud800"}',
        b"[1,2", b'[{"user_id":Infinity}]',
        '{"user_id":1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_broken_body_is_one_clear_fault(text: bytes) -> None:
    with pytest.raises(InvalidEvent, match=r"valid JSON|JSON object"):
        DECODER.decode(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[" * 2_000 + b"]" * 2_000, "deeper than 500 levels"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "deeper than 500 levels"),
        (b"9" * 5_000, "more than 4,300 digits"),
        (b'[{"more":' + b"9" * 5_000 + b"}]", "more than 4,300 digits"),
    ],
)
def test_json_that_is_too_much_is_not_called_broken(text: bytes, says: str) -> None:
    with pytest.raises(InvalidEvent, match=says):
        DECODER.decode(text) if text[:1] != b"[" else decoded(DECODER, text)


def test_500_levels_are_read() -> None:
    assert parse(b"[" * 500 + b"]" * 500)


@pytest.mark.parametrize("text", [b"null", b"1", b'"text"', b"true"])
def test_event_that_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidEvent, match="JSON object"):
        DECODER.decode(text)


def test_array_keeps_the_good_beside_the_bad() -> None:
    events = decoded(DECODER, b"[" + b",".join([body(), body(user_id="x"), b"null", body(user_id=2)]) + b"]")
    assert [type(one).__name__ for one in events] == ["Login", "InvalidEvent", "InvalidEvent", "Login"]


def test_array_has_a_limit() -> None:
    with pytest.raises(BadRequest) as caught:
        DECODER.decode(b"[" + b",".join([body()] * (BATCH_EVENTS + 1)) + b"]")
    assert caught.value.status == 413


def test_unknown_fields_are_ignored() -> None:
    assert isinstance(DECODER.decode(body(more={"deep": [1, 2]})), Login)


@pytest.mark.parametrize("lines", [False, True])
def test_number_beyond_the_range_is_the_fault_of_its_event_alone(lines: bool) -> None:
    """No way of reading goes through msgspec's own floats: to them this is no number, and those near it take ages."""
    events = [event(metadata='{"a":1}'), event(metadata='{"a":[1e400]}'), event(metadata='{"a":-1e400}', eventType="7")]
    good, *wrong = decoded(WEBHOOKS, b"\n".join(events) if lines else b"[" + b",".join(events) + b"]", lines)
    assert isinstance(good, WebhookEvent)
    assert all("numbers beyond 1.79" in str(one) for one in wrong[:1])
    assert [len(one.faults) for one in wrong if isinstance(one, InvalidEvent)] == [1, 1]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float_is_read_as_it_is_written(number: float) -> None:
    one = WEBHOOKS.decode(event(metadata=f'{{"a":{number!r}}}'))
    assert isinstance(one, WebhookEvent)
    assert one.metadata == {"a": number} == parse(f'{{"a":{number!r}}}')


# PostgreSQL has no -0.0; and from 1e20 on no number is longer with its exponent.
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not 1e16 <= abs(number) < 1e20)
NUMBERS = FLOATS.map(lambda number: number + 0.0) | st.integers(-(10**40), 10**40) | st.sampled_from([1e16, 1e22, 1e-7])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.dictionaries(TEXTS, NUMBERS | st.lists(NUMBERS | TEXTS)))
async def test_bytes_are_those_that_the_database_gives_back(pool: Any, value: dict[str, Any]) -> None:
    stored = await pool.fetchval("select $1::jsonb::text", msgspec.json.encode(value).decode())
    size = len(compact(stored))
    back = parse(stored)
    assert all(_is_same(value[name], back[name]) for name in value)
    assert metadata.fault(value, size) is None
    assert "numbers written without exponents" in (metadata.fault(value, size - 1) or "")


def _is_same(sent: Any, back: Any) -> bool:
    """Whether a reader of floats gets the float that was sent: 1e300 comes back as an integer."""
    return [*map(_is_same, sent, back)] == [True] * len(sent) if isinstance(sent, list) else type(sent)(back) == sent


@pytest.mark.parametrize(
    ("text", "is_refused"), [("\0", True), ("a\0", True), ("\\\0", True), ("\\u0000", False), ("\\\\u0000", False)]
)
def test_nul_is_refused_and_its_escape_as_text_is_not(text: str, is_refused: bool) -> None:
    for value in ({"a": [text]}, {text: 1}):
        fault = metadata.fault(value)
        assert fault == ("must not hold the character NUL" if is_refused else None)


def test_values_are_counted_alike_on_one_level_and_on_several() -> None:
    flat = {str(number): number for number in range(metadata.MOST_VALUES)}
    assert str(metadata.fault(flat, 1 << 20)).startswith("must be at most 12 levels")
    del flat["0"]  # the object itself is a value
    assert metadata.fault(flat, 1 << 20) is None
    del flat["1"]
    assert metadata.fault({**flat, "1": []}, 1 << 20) is None
    assert str(metadata.fault({**flat, "1": [0]}, 1 << 20)).startswith("must be at most 12 levels")


def test_long_fraction_is_cut_and_that_of_a_number_is_none() -> None:
    long = event(timestamp='"2025-11-14T10:30:00.1234567891Z"')
    cut = datetime(2025, 11, 14, 10, 30, 0, 123_456, UTC)
    assert WEBHOOKS.decode(long).timestamp == cut  # type: ignore[union-attr]
    assert [one.timestamp for one in decoded(WEBHOOKS, b"[" + long + b"]")] == [cut]
    assert isinstance(WEBHOOKS.decode(event(metadata='{"lat":59.436960123456789}')), WebhookEvent)


@pytest.mark.parametrize("text", ["0" * 32, f"{'0' * 8}-{'0' * 24}", "{" + "0" * 34 + "}", "0" * 36, "x" * 36])
def test_id_is_written_with_dashes_as_in_paths(text: str) -> None:
    with pytest.raises(InvalidEvent, match="base_item_id must be"):
        NEW_ITEM.decode(msgspec.json.encode({"base_item_id": text}))


@pytest.mark.parametrize("text", ["0A2105ea-a6a6-781b-95ab-5b9788c5ad59"])
def test_id_with_dashes_is_read(text: str) -> None:
    assert NEW_ITEM.decode(msgspec.json.encode({"base_item_id": text})) == NewItem(base_item_id=UUID(text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_any_json_value_is_an_event_or_a_fault(value: object) -> None:
    is_whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    good = is_whole and -(2**31) <= int(value) < 2**31  # type: ignore[call-overload]
    with nullcontext() if good else pytest.raises(InvalidEvent, match="user_id"):
        DECODER.decode(msgspec.json.encode({**GOOD, "user_id": value}))
