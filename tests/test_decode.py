"""Decoding: instants that exist, all faults at once, and nothing that crashes."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statsd.decode import BATCH_EVENTS, instant
from statsd.errors import BadRequest, InvalidEvent
from statsd.streams.logins import DECODER, Login

GOOD = {"user_id": 1, "ip_address": "203.0.113.7", "region": "USA", "device_type": "Mobile", "browser": "Chrome"}


def body(**changes: object) -> bytes:
    return msgspec.json.encode({**GOOD, **changes})


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-11-14T10:30:00Z", "2025-11-14T10:30:00"),
        ("2025-11-14t10:30:00z", "2025-11-14T10:30:00"),
        ("2025-11-14 10:30:00", "2025-11-14T10:30:00"),
        ("2025-11-14T10:30", "2025-11-14T10:30:00"),
        ("2025-11-14", "2025-11-14T00:00:00"),
        ("2025-11-14T10:30:00.123456789+02:00", "2025-11-14T08:30:00.123456"),
        ("2025-11-14T10:30:00-0530", "2025-11-14T16:00:00"),
        ("2025-11-14T10:30:00+05", "2025-11-14T05:30:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00"),
        ("2099-12-31T23:59:59.999999Z", "2099-12-31T23:59:59.999999"),
        ("2024-02-29", "2024-02-29T00:00:00"),
    ],
)
def test_instants_are_read_as_utc(text: str, utc: str) -> None:
    assert instant(text) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "", "2025", "1",
        "now", "infinity", "Nov 14 2025", "2025-02-30T00:00:00Z", "2023-02-29", "2025-13-01", "2025-00-10",
        "20251114T103000Z", "2025-W46-5", "2025-11-14T25:00:00Z", "2025-11-14T10:60:00Z", "2025-11-14T10:30:60Z",
        "2025-11-14T10:30:00Z\n", "2025-11-14T10:30:00Z\0", "\u0662\u0660\u0662\u0665-11-14", "2025-11-14T10+15:00",
        "2025-11-14T10:30:00+15:00",
        "1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "2025-11-14T10:30:00 Z", " 2025-11-14", "2025-11-14T10:30:00+02:0", "10000-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        instant(text)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_instant_reads_what_isoformat_writes(when: datetime, minutes: int) -> None:
    aware = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert instant(aware.isoformat()) == aware


@given(st.text(max_size=40))
def test_instant_never_fails_otherwise(text: str) -> None:
    with suppress(ValueError):
        assert instant(text).tzinfo is UTC


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
        ({"user_id": 1.0}, "user_id must be an integer"),
        ({"user_id": 2**31}, "user_id must be an integer"),
        ({"region": "x" * 101}, "region must be a non-empty string of at most 100"),
        ({"region": "a\u2028b"}, "region must be"),
        ({"region": "line\n"}, "region must be"),
        ({"region": None}, "region is required"),
        ({"login_time": 5}, "login_time must be an ISO 8601"),
        (
            {"login_time": "2025-01-02T00:00:00Z", "logout_time": "2025-01-01T00:00:00Z"},
            "logout_time must not be before",
        ),
        ({"logout_time": "2020-01-01T00:00:00Z"}, "which is now when not given"),
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
        b"", b" ", b"{", b"nul", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"user_id":NaN}', b'"\xed\xa0\x80"',
        b'{"region":"\\ud800"}',
        b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, b"[1,2", b'[{"user_id":Infinity}]',
        '{"user_id":1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_broken_body_is_one_clear_fault(text: bytes) -> None:
    with pytest.raises(InvalidEvent, match=r"valid JSON|JSON object"):
        DECODER.decode(text)


@pytest.mark.parametrize("text", [b"null", b"1", b'"text"', b"true"])
def test_event_that_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidEvent, match="JSON object"):
        DECODER.decode(text)


def test_array_keeps_the_good_beside_the_bad() -> None:
    decoded = DECODER.decode(b"[" + b",".join([body(), body(user_id="x"), b"null", body(user_id=2)]) + b"]")
    assert isinstance(decoded, list)
    assert [type(one).__name__ for one in decoded] == ["Login", "InvalidEvent", "InvalidEvent", "Login"]


def test_array_has_a_limit() -> None:
    with pytest.raises(BadRequest) as caught:
        DECODER.decode(b"[" + b",".join([body()] * (BATCH_EVENTS + 1)) + b"]")
    assert caught.value.status == 413


def test_unknown_fields_are_ignored() -> None:
    assert isinstance(DECODER.decode(body(more={"deep": [1, 2]})), Login)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_any_json_value_is_an_event_or_a_fault(value: object) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31
    with nullcontext() if good else pytest.raises(InvalidEvent, match="user_id"):
        DECODER.decode(msgspec.json.encode({**GOOD, "user_id": value}))
