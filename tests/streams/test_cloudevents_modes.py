"""One CloudEvent in structured, batch and binary mode: the same meaning, one row.

The encoder below is written from the specification (JSON format and HTTP binding 1.0.2), not from our decoder.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent
from deliveries import CLOUD, events, post, stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from statsd.settings import Settings
from statsd.streams.webhooks import cloudevents
from statsd.streams.webhooks.decoder import EventDecoder
from statsd.streams.webhooks.event import KeyedEvent
from statsd.web.decode import Batch
from statsd.web.texts import NOT_BLANK_NO_CONTROLS, form_of
from statsd.web.texts import PRINTABLE as SEEN

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
PRINTABLE = re.compile(r"[ -$&-~]*")  # what a quoted header can hold: printable ASCII; % would be percent-decoded


@dataclass
class Event:
    """A CloudEvent as its producer has it: native types, and data as the bytes of its media type."""

    attributes: dict[str, Any]
    media: str | None
    content: bytes | None
    member: Any = None
    """The data as a JSON value or a text; None if it is only bytes."""
    time: datetime | None = None


def in_json(event: Event, *, as_base64: bool = False, explicit: bool = True) -> dict[str, Any]:
    """The event in the JSON format; the time in another zone than `in_headers` has it."""
    members = dict(event.attributes)
    if event.media and (explicit or event.media != "application/json"):
        members["datacontenttype"] = event.media
    if event.time:
        members["time"] = event.time.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    if event.content is not None and (as_base64 or event.member is None):
        members["data_base64"] = base64.b64encode(event.content).decode()
    elif event.content is not None:
        members["data"] = event.member
    return members


def in_headers(event: Event, *, quoted: bool = False) -> tuple[dict[str, str], bytes]:
    """The event in binary mode; attributes of printable ASCII in quotes, as before version 1.0.2."""
    attributes = dict(event.attributes)
    if event.time:
        attributes["time"] = event.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    headers = {f"ce-{name}": in_header(value, quoted) for name, value in attributes.items()}
    return headers | ({"Content-Type": event.media} if event.media else {}), event.content or b""


def in_header(value: Any, quoted: bool) -> str:
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    if quoted and PRINTABLE.fullmatch(text):
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return "".join(
        char if "!" <= char <= "~" and char not in '"%' else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )


def fits(pattern: str) -> Callable[[str], bool]:
    """Return whether a text may be a source, or a type."""
    form = form_of(pattern)

    def may_be(text: str) -> bool:
        with suppress(ValueError):
            return bool(form(text))
        return False

    return may_be


STRINGS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=20)
LINES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp")), min_size=1, max_size=20)
SOURCES, TYPES = LINES.filter(fits(NOT_BLANK_NO_CONTROLS)), LINES.filter(fits(SEEN))
URIS = st.sampled_from(["https://example.com/a?b=c#d", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "mailto:a@b.c"])
REFERENCES = URIS | st.sampled_from(["/a/b%20c", "#fragment", "//authority/path", "1-555-123-4567", "?q", "/größe"])
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2098, 1, 1), timezones=st.just(UTC))
BASE64 = st.binary(max_size=12).map(lambda content: base64.b64encode(content).decode())
EXTENSIONS = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).map(lambda name: f"x{name}"),
    STRINGS | st.integers(-(2**31), 2**31 - 1) | st.booleans() | BASE64 | REFERENCES | TIMES.map(datetime.isoformat),
    max_size=4,
)
ATTRIBUTES = st.fixed_dictionaries(
    {"specversion": st.just("1.0"), "id": LINES, "source": REFERENCES | SOURCES, "type": TYPES},
    optional={"subject": STRINGS.filter(bool), "dataschema": URIS, "userid": STRINGS},
)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cn"), exclude_characters="\0"), max_size=12)
USER_ID = st.just("userId")
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9)
VALUES = st.recursive(
    TEXTS | NUMBERS | st.booleans(),
    lambda inner: (
        st.lists(inner | st.none(), max_size=3) | st.dictionaries(TEXTS | st.just("userId"), inner, max_size=3)
    ),
    max_leaves=8,
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just("a\0b")
LATIN = st.text(st.characters(max_codepoint=255), max_size=20)


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    event = Event(draw(ATTRIBUTES) | draw(EXTENSIONS), None, None, time=draw(st.none() | TIMES))
    match draw(st.sampled_from(["nothing", "json", "text", "latin", "bytes"])):
        case "nothing":
            event.media = draw(st.sampled_from([None, "application/json", "text/plain"]))
        case "json":
            event.media = draw(st.sampled_from(["application/json", "application/json; charset=utf-8", "text/x+JSON"]))
            event.member = draw(VALUES)
            event.content = json.dumps(event.member, ensure_ascii=draw(st.booleans())).encode()
        case "text":
            event.media = draw(st.sampled_from(["text/plain", 'application/xml; charset="UTF-8"', "a/b;c=d"]))
            event.member = draw(ANY_TEXT)
            event.content = event.member.encode()
        case "latin":
            event.media, event.member = "text/plain; charset=ISO-8859-1", draw(LATIN)
            event.content = event.member.encode("latin-1")
        case "bytes":
            event.media, event.content = "application/octet-stream", draw(st.binary(max_size=20))
    return event


_numbers = count(1)
CONVERT = EventDecoder(Settings()).convert


def decoded(headers: dict[str, str], body: bytes) -> KeyedEvent:
    result = cloudevents.decode(CIMultiDictProxy(CIMultiDict(headers)), body, CONVERT)
    event = next(iter(result))[0] if isinstance(result, Batch) else result
    assert isinstance(event, KeyedEvent), event
    return event


def requests(event: Event) -> list[tuple[dict[str, str], bytes]]:
    """All ways to send an event."""
    members = [in_json(event, as_base64=other, explicit=not other) for other in (False, True)]
    return [
        *(({"Content-Type": STRUCTURED}, json.dumps(part).encode()) for part in members),
        *(({"Content-Type": f"{BATCH}; charset=utf-8"}, json.dumps([part]).encode()) for part in members),
        *(in_headers(event, quoted=quoted) for quoted in (False, True)),
    ]


@given(an_event())
def test_event_means_the_same_in_every_mode(event: Event) -> None:
    first, *others = [decoded(headers, body) for headers, body in requests(event)]
    assert first.key == f"{event.attributes['source']}\n{event.attributes['id']}"
    for other in others:
        assert other == first


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(event=an_event())
async def test_event_is_stored_once_in_whichever_modes_it_comes(client: Any, event: Event) -> None:
    event.attributes["id"] += f"-{next(_numbers)}"  # every example is a new event
    before = (await stats(client))["totalEvents"]
    receipts = []
    for headers, body in requests(event):
        # aiohttp's client names a Content-Type of its own where there is none.
        response = await client.post("/webhook", data=body, headers=headers, skip_auto_headers=["Content-Type"])
        assert response.status == 200, await response.text()
        data = (await response.json())["data"]
        receipts.append((data.get("eventIds", [data.get("eventId")])[0], data["receivedAt"], data.get("duplicates", 1)))
    assert set(receipts) == {receipts[0]}
    assert (await stats(client))["totalEvents"] == before + 1


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ('"Hello \\"World\\""', 'Hello "World"'),
        ('"quoted type"', "quoted type"),
        ('"100%25 \\\\ %22"', '100% \\ "'),
        ('a "b \\" c" d', 'a b " c d'),
        ('""', ""),
        ("%22kept%22", '"kept"'),
        ('5" disk', '5" disk'),
        ('"open \\', '"open \\'),
        ("100%", "100%"),
        ("Euro%20%e2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%2525", "%25"),
    ],
)
async def test_header_is_unquoted_first_and_then_percent_decoded_once(client: Any, header: str, text: str) -> None:
    """HTTP binding 1.0.2 §3.1.3.2."""
    names = {f"ce_{name}": value for name, value in CLOUD.items()}
    await post(client, b"", **names, ce_comment=header)
    (found,) = (await events(client))["events"]
    assert found["metadata"]["comment"] == text


async def test_structured_event_may_repeat_its_attributes_in_headers(client: Any) -> None:
    await post(client, CLOUD, Content_Type=STRUCTURED, ce_specversion="1.0", ce_id="other", ce_type="other")
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["metadata"].get("id")) == (CLOUD["type"], None)


async def test_event_of_the_sdk_is_one_in_all_modes(client: Any) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
    attributes = {**CLOUD, "time": at, "number": "5", "comment": "Größe 100 %", "datacontenttype": "application/json"}
    event = CloudEvent(attributes, {"total": 9, "ok": None})
    structured, binary = http.to_structured_event(event), http.to_binary_event(event)
    batch = json.dumps([json.loads(structured.body) | {"number": 5}])
    for headers, body in (
        (structured.headers, structured.body),
        ({"Content-Type": BATCH}, batch),
        (binary.headers, binary.body),
    ):
        await post(client, body, **{name.replace("-", "_"): text for name, text in headers.items()})
    assert (await events(client))["count"] == 1


async def test_content_type_that_an_sdk_adds_makes_no_other_event(client: Any, pool: Any) -> None:
    """Those of JavaScript and Ruby name one with a charset in binary mode, where the event itself has none."""
    first = await post(client, {**CLOUD, "data": {"total": 9}}, Content_Type=STRUCTURED)
    names = {f"ce_{name}": value for name, value in CLOUD.items()}
    medias = ("application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON ; a=b")
    for media in medias:
        assert await post(client, b'{"total": 9}', **names, Content_Type=media) == first
    await post(client, b'{"total": 9}', 422, **names, Content_Type="application/vnd.shop+json")
    await pool.execute("update webhook_events set metadata = metadata - 'datacontenttype'")  # as it was kept before
    assert await post(client, b'{"total": 9}', **names, Content_Type=medias[0]) == first


@pytest.mark.parametrize(
    "media",
    [
        f"{STRUCTURED}; charset=utf-16", f"{BATCH}; charset=iso-8859-1", "application/cloudevents+avro",
        "application/cloudevents+xml", "application/cloudevents-batch+avro", "application/cloudevents",
        f"{STRUCTURED}/x",
    ],
)  # fmt: skip
async def test_other_format_or_charset_is_415(client: Any, media: str) -> None:
    """With or without attributes in headers: it is no data of an event in binary mode."""
    for headers in ({}, {f"ce_{name}": value for name, value in CLOUD.items()}):
        answer = await post(client, b"{}", 415, Content_Type=media, **headers)
        assert answer["error"].startswith(
            ("Content-Type: must be application/cloudevents+json or ", "Content-Type: the c")
        )


@pytest.mark.parametrize("type", ["", " ", 5, "x" * 1_001])
async def test_fault_of_a_type_says_how_long_it_may_be(client: Any, type: Any) -> None:
    (fault,) = (await post(client, {**CLOUD, "type": type}, 400, Content_Type=STRUCTURED))["errors"]
    assert "at most 128 characters" in fault["message"]
