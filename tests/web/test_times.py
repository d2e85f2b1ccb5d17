"""Instants: one grammar for every stream, on the fast path and on the slow one."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from statsd.errors import InvalidEvent
from statsd.streams import logins, pageviews, webhooks
from statsd.streams.transfers.raw import RAW as TRANSFERS
from statsd.streams.usage.raw import RAW as CLICKS
from statsd.streams.webhooks import cloudevents
from statsd.web.decode import Batch, Decoder, When
from statsd.web.fast import Fast
from statsd.web.times import Tomorrow, instant, iso, utc

ID = "01a2105e-a6a6-781b-95ab-5b9788c5ad59"
LOGIN = {"user_id": 1, "ip_address": "a", "region": "b", "device_type": "c", "browser": "d"}
VIEW = {"site_id": "a", "event_type": "b", "path": "/"}
HOOK = {"eventType": "a", "userId": "b"}
CLOUD = {"specversion": "1.0", "id": "1", "source": "/", "type": "a"}
TRANSFER = {"kind": "transfer", "item_id": ID, "owner_id": ID}
WEBHOOKS = Decoder(webhooks.event.WebhookEvent, webhooks.event.check, webhooks.event.explain)
PAGE_VIEWS = Decoder(pageviews.event.PageEvent, pageviews.event.check_stored)


def read_cloud_event(body: bytes) -> Any:
    headers = CIMultiDictProxy(CIMultiDict({"Content-Type": cloudevents.STRUCTURED}))
    keyed: Any = cloudevents.decode(headers, body, WEBHOOKS.convert)
    return keyed.event


READERS: dict[str, tuple[Callable[[bytes], Any], dict[str, Any], str, str]] = {
    "logins": (logins.event.DECODER.decode, LOGIN, "login_time", "login_time"),
    "page views": (PAGE_VIEWS.decode, VIEW, "timestamp", "timestamp"),
    "webhooks": (WEBHOOKS.decode, HOOK, "timestamp", "timestamp"),
    "CloudEvents": (read_cloud_event, CLOUD, "time", "timestamp"),
    "clicks in files": (CLICKS[0].decode, {"feature_name": "a"}, "timestamp", "timestamp"),
    "transfers in files": (TRANSFERS[-1].decode, TRANSFER, "timestamp", "timestamp"),
}
"""By stream: what reads an event, an event without a time, the name of the time there, and in the result."""


def readings(text: str, encode: Callable[[Any], bytes] = msgspec.json.encode) -> dict[str, datetime | None]:
    """Return the time that each stream reads in a text, None where it refuses it."""
    found: dict[str, datetime | None] = {}
    for stream, (read, event, name, field) in READERS.items():
        try:
            found[stream] = utc(getattr(read(encode({**event, name: text})), field))
        except InvalidEvent:
            found[stream] = None
    return found


def expected(text: str) -> dict[str, datetime | None]:
    """Return the readings of a valid text. CloudEvents allow only the spellings of RFC 3339."""
    is_rfc_3339 = re.fullmatch(r"[\d-]{10}[Tt][\d:]{8}(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text)
    return {**dict.fromkeys(READERS, instant(text)), "CloudEvents": instant(text) if is_rfc_3339 else None}


# The cases of `date-time` in the JSON-Schema-Test-Suite (json-schema.org, MIT licence, copyright Julian Berman and its
# contributors; draft 2020-12, optional/format/date-time.json), with years before 1970 moved to years from 1970 on.
# Values that are no text are not here: every format allows them, but our fields are texts.
SUITE = [
    ("1993-06-19T08:30:06.283185Z", True, "with a fraction"),
    ("1993-06-19T08:30:06Z", True, "without a fraction"),
    ("1997-01-01T12:00:27.87+00:20", True, "east of Greenwich"),
    ("1990-12-31T15:59:50.123-08:00", True, "west of Greenwich"),
    ("1998-12-31T23:59:60Z", True, "leap second"),
    ("1998-12-31T15:59:60.123-08:00", True, "leap second in another zone"),
    ("1998-12-31T23:59:61Z", False, "no second leap second"),
    ("1998-12-31T23:58:60Z", False, "leap second in another minute"),
    ("1998-12-31T22:59:60Z", False, "leap second in another hour"),
    ("1990-02-31T15:59:59.123-08:00", False, "no such day"),
    ("1990-12-31T15:59:59-24:00", False, "no such offset"),
    ("1993-06-19T08:30:06.28123+01:00Z", False, "two zones"),
    ("1990-12-31T24:00:00Z", False, "no such hour"),
    ("1990-12-31T15:60:00Z", False, "no such minute"),
    ("1990-12-31T10:00:00+10:60", False, "no such minute of an offset"),
    ("06/19/1993 08:30:06 PST", False, "another format"),
    ("1993-06-19t08:30:06.283185z", True, "lower case"),
    ("2013-350T01:01:01", False, "day of the year, which only ISO 8601 has"),
    ("1993-6-19T08:30:06.283185Z", False, "month of one digit"),
    ("1993-06-1T08:30:06.283185Z", False, "day of one digit"),
    ("1993-06-1\u09eaT00:00:00Z", False, "Bengali digit in the date"),
    ("1993-06-11T0\u09ea:00:00Z", False, "Bengali digit in the time"),
    ("+11993-06-19T08:30:06.283185Z", False, "year of five digits"),
    ("1985-04-12T00:59:59.999999999999999Z", True, "fifteen nines"),
]
# What the suite or RFC 3339 calls invalid, and we accept: senders write these, and they mean one instant only.
LENIENT = {
    "2025-11-14": "no time of day: midnight",
    "2025-11-14T10:30": "no seconds",
    "2025-11-14T10:30Z": "no seconds",
    "2025-11-14T10:30:00": "no zone: UTC",
    "2025-11-14 10:30:00Z": "a space, which RFC 3339 allows to read better",
    "2025-11-14T10:30:00,5Z": "a comma, as ISO 8601 has it",
    "2025-11-14T10:30:00+0200": "an offset without a colon",
    "2025-11-14T10:30:00+02": "an offset of hours",
    "2016-12-30T23:59:60Z": "a leap second at the end of any day",
}


@pytest.mark.parametrize(
    ("text", "is_valid"), [(text, valid) for text, valid, _ in SUITE], ids=[id for *_, id in SUITE]
)
def test_cases_of_the_json_schema_suite_are_read_alike_everywhere(text: str, is_valid: bool) -> None:
    assert readings(text) == (expected(text) if is_valid else dict.fromkeys(READERS))


@pytest.mark.parametrize("text", LENIENT)
def test_other_spellings_are_read_alike_everywhere(text: str) -> None:
    assert readings(text) == expected(text)


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
        ("2025-11-14T10:30:00.1Z", "2025-11-14T10:30:00.1"),
        ("2025-11-14T10:30:00,9999999Z", "2025-11-14T10:30:00.999999"),
        (f"2025-11-14T10:30:00.{'9' * 1_000}Z", "2025-11-14T10:30:00.999999"),
        ("2025-11-14T10:30:00-00:00", "2025-11-14T10:30:00"),
        ("2025-11-14T10:30:00+14:00", "2025-11-13T20:30:00"),
        ("2025-11-14T10:30:00+0059", "2025-11-14T09:31:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00"),
        ("2016-12-31T23:59:60.9999999Z", "2017-01-01T00:00:00.999999"),
        ("2016-12-31 23:59:60", "2017-01-01T00:00:00"),
        ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00"),
        ("2016-12-30T23:59:60Z", "2016-12-31T00:00:00"),  # on any day, as no list of them is complete
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
        "2025-11-14T10:30:00+15:00", "2025-11-14T10:30:00+14:01", "2025-11-14T10:30:00+99:00",
        "2025-11-14T10:30:00+10:60", "2025-11-14T10:30:00+1060", "2025-11-14T10:30:00-00:99",
        "2016-12-31T23:59:60+05:30", "2016-12-31T23:58:60Z", "2016-12-31T22:59:60Z", "2016-12-31T23:59:61Z",
        "2099-12-31T23:59:60Z", "9999-12-31T23:59:60Z", "9999-12-31T23:59:60-01:00", "0001-01-01T23:59:60+14:00",
        f"2025-11-14T10:30:00.{'9' * 1_001}Z", "2025-11-14T10:30:00.Z", "2025-11-14T10:30.5Z", "2025-11-14T10Z",
        "2025-11-14T10:30:00+05:30:00",
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


@pytest.mark.parametrize("second", ["59.999999", "59.9999999", "59.9999995", f"59.{'9' * 40}", "59,9999999"])
@pytest.mark.parametrize("zone", ["Z", "z", "+00", "+0000", "-00:00", ""])
@pytest.mark.parametrize("separator", ["T", "t", " "])
def test_last_moment_of_a_day_is_of_that_day_in_every_spelling(separator: str, second: str, zone: str) -> None:
    text = f"2026-11-25{separator}23:59:{second}{zone}"
    assert instant(text) == datetime(2026, 11, 25, 23, 59, 59, 999_999, UTC)
    assert readings(text) == expected(text)


def test_fraction_written_in_escapes_is_cut_as_well() -> None:
    """JSON allows any character as an escape, so that a search for digits alone would miss it."""

    def encode(event: Any) -> bytes:
        body: bytes = msgspec.json.encode(event)
        return re.sub(rb"[.:0-9](?=[^\"]*Z\")", lambda digit: b"\\u00%02x" % digit[0][0], body)

    assert b"2026" not in encode({"time": "2026-11-25T23:59:59.9999999Z"})
    assert readings("2026-11-25T23:59:59.9999999Z", encode) == expected("2026-11-25T23:59:59.9999999Z")


class Event(msgspec.Struct):
    time: When


FAST = Fast(Event)
DIGITS = st.text("0123456789", min_size=1, max_size=12)
TWO = st.one_of(st.integers(0, 61).map("{:02}".format), st.sampled_from(["00", "23", "59", "60"]))
YEARS = st.sampled_from(["1969", "1970", "1999", "2026", "2099", "2100", "0001", "9999", "0000"])
DATES = st.tuples(YEARS, st.sampled_from(["01", "02", "06", "12", "13", "1"]), TWO).map("-".join)
CLOCKS = st.tuples(TWO, TWO, TWO).map(":".join) | st.sampled_from(
    ["23:59:60", "23:59:59", "05:29:60", "10:30", "24:00:00"]
)
FRACTIONS = st.just("") | st.tuples(st.sampled_from([".", ","]), DIGITS | st.just("9999999")).map("".join)
OFFSETS = st.tuples(st.sampled_from("+-"), TWO, st.sampled_from(["", ":", "::"]), TWO).map("".join)
ZONES = st.sampled_from(["", "Z", "z", "+05:30", "-08:00", "+14:00", "+14:01", "+00:00Z", " Z"]) | OFFSETS
TEXTS = st.tuples(DATES, st.sampled_from(["T", "t", " ", "_", ""]), CLOCKS, FRACTIONS, ZONES).map("".join)


def outcome(read: Callable[[], datetime]) -> datetime | None:
    try:
        return read()
    except ValueError:
        return None


@settings(max_examples=2_000)
@given(TEXTS | st.text(max_size=30), st.sets(st.integers(0, 40)))
def test_fast_path_reads_an_instant_as_the_slow_one_or_leaves_it(text: str, escaped: set[int]) -> None:
    written = "".join(f"\\u{ord(one):04x}" if i in escaped and one < "\x7f" else msgspec.json.encode(one).decode()[1:-1]
                      for i, one in enumerate(text))  # fmt: skip
    for body in (f'{{"time":"{written}"}}', f'{{"time": "{written}", "more": "\\u0041"}}'):
        event = FAST.decode(body.encode(), FAST.one)
        if event is not None:
            assert outcome(lambda: utc(event.time)) == outcome(lambda: instant(text))  # noqa: B023 - run at once


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_fast_path_takes_what_programs_write(when: datetime, minutes: int) -> None:
    """Otherwise the test above would say nothing."""
    aware = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    for text in (aware.isoformat(), f"{aware.replace(tzinfo=None).isoformat(timespec='microseconds')}789Z"):
        event = FAST.decode(msgspec.json.encode({"time": text}), FAST.one)
        assert event is not None
        assert utc(event.time) == instant(text)


def test_batch_reads_times_as_single_events_do() -> None:
    texts = ["2026-11-25T23:59:59.9999999Z", "2026-11-25T23:59:59Z", "2026-11-25", "2016-12-31T23:59:60+05:30"]
    batch: Any = PAGE_VIEWS.decode(msgspec.json.encode([{**VIEW, "timestamp": text} for text in texts]))
    assert isinstance(batch, Batch)
    events = [event for part in batch for event in part]
    assert [outcome(lambda: instant(text)) for text in texts] == [getattr(one, "timestamp", None) for one in events]  # noqa: B023


def test_tomorrow_is_a_day_from_now_also_when_time_goes_on() -> None:
    tomorrow, now = Tomorrow(), datetime.now(UTC)
    assert not tomorrow.is_before(now + timedelta(hours=23, minutes=59))
    assert tomorrow.is_before(now + timedelta(days=1, minutes=1))
    assert timedelta(hours=23) < tomorrow.known - now < timedelta(hours=25)


def test_instants_are_written_in_milliseconds() -> None:
    assert iso(instant("2026-11-21T10:30:00.9999999+05:30")) == "2026-11-21T05:00:00.999Z"
