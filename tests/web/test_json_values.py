"""JSON at the edges: a number without a fraction is an integer, and a byte order mark is ignored."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from deliveries import sign

from statsd.accounts.users import registration
from statsd.errors import InvalidEvent
from statsd.settings import webhook_secret
from statsd.streams import logins
from statsd.streams.logins.raw import RAW as LOGINS
from statsd.streams.usage.raw import RAW as CLICKS
from statsd.web.decode import parse

Start = Callable[..., Awaitable[Any]]
BOM = b"\xef\xbb\xbf"
SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
WHEN = "2026-11-21T10:30:00Z"
LOGIN = {"user_id": 1, "ip_address": "a", "region": "b", "device_type": "c", "browser": "d"}
VIEW = {"site_id": "a", "event_type": "page_view", "path": "/", "timestamp": WHEN}
HOOK = {"eventType": "a", "userId": "b"}
CLOUD = {"specversion": "1.0", "id": "1", "source": "/", "type": "a"}
ANNA = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}


def read_person(body: bytes) -> Any:
    return registration(parse(body))


# Every integer field of every stream, and of accounts; the rest of the body is valid.
INTEGERS: dict[str, tuple[Callable[[bytes], Any], dict[str, Any]]] = {
    "user_id": (logins.event.DECODER.decode, LOGIN),
    "session_duration_seconds": (logins.event.DECODER.decode, LOGIN),
    "user_id in a file": (LOGINS[0].decode, LOGIN),
    "user_id of a click": (CLICKS[0].decode, {"feature_name": "a"}),
    "age of a click": (CLICKS[0].decode, {"feature_name": "a"}),
    "age": (read_person, ANNA),
}


def read(name: str, number: str) -> Any:
    decode, event = INTEGERS[name]
    field = name.split(maxsplit=1)[0]
    body = json.dumps({**event, field: ...}, default=lambda _: "NUMBER").replace('"NUMBER"', number)
    return getattr(decode(body.encode()), field)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("number", ["18", "18.0", "18.000", "1.8e1", "1800E-2", "180e-1"])
def test_number_without_a_fraction_is_an_integer(name: str, number: str) -> None:
    value = read(name, number)
    assert (value, type(value)) == (18, int)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(
    "number", ["18.5", "1e400", "-1e400", "1e300", "9007199254740993.0", '"18.0"', "true", "[18]", "1e-1", "18.0000001"]
)
def test_any_other_number_is_refused(name: str, number: str) -> None:
    with pytest.raises(InvalidEvent, match=name.split(maxsplit=1)[0]):
        read(name, number)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("number", ["NaN", "Infinity", "18.", ".18", "018", "+18"])
def test_what_json_does_not_have_is_no_number(name: str, number: str) -> None:
    with pytest.raises((InvalidEvent, msgspec.DecodeError)):
        read(name, number)


@pytest.mark.parametrize("number", ["2147483648", "2147483648.0", "-2147483649.0", "1e10"])
def test_whole_number_may_still_be_out_of_range(number: str) -> None:
    with pytest.raises(InvalidEvent, match="user_id must be an integer of 32 bits"):
        read("user_id", number)


def test_negative_zero_is_zero() -> None:
    assert str(read("user_id", "-0.0")) == "0"


def test_batch_reads_numbers_as_single_events_do() -> None:
    bodies = [json.dumps({**LOGIN, "session_duration_seconds": seconds}) for seconds in (1800, 1800.0, 1800.5)]
    for body, is_lines in ((f"[{','.join(bodies)}]", False), ("\n".join(bodies), True)):
        batch: Any = logins.event.DECODER.decode(body.encode(), is_lines)
        first, second, third = [event for part in batch for event in part]
        assert (first, first.session_duration_seconds) == (second, 1800)
        assert isinstance(third, InvalidEvent)


async def test_login_with_a_float_is_stored_as_an_integer(client: Any) -> None:
    response = await client.post("/logins", json={**LOGIN, "user_id": 7.0, "session_duration_seconds": 1800.0})
    assert response.status == 201
    text = await response.text()
    assert '"user_id":7,' in text
    assert '"session_duration_seconds":1800,' in text


NDJSON = "application/x-ndjson"
PLAIN = "application/json"
CASES = [
    ("/logins", PLAIN, LOGIN, 201), ("/event", PLAIN, VIEW, 202), ("/webhook", PLAIN, HOOK, 200),
    ("/logins", PLAIN, [LOGIN, LOGIN], 201), ("/event", PLAIN, [VIEW, VIEW], 202),
    ("/webhook", PLAIN, [HOOK, HOOK], 200),
    ("/webhook", "application/cloudevents+json", CLOUD, 200),
    ("/webhook", "application/cloudevents-batch+json", [CLOUD, {**CLOUD, "id": "2"}], 200),
    ("/register", PLAIN, ANNA, 201), ("/owners", PLAIN, {"name": "Ada"}, 201),
]  # fmt: skip


@pytest.mark.parametrize(("path", "media", "body", "status"), CASES)
async def test_byte_order_mark_before_a_body_is_ignored(
    client: Any, path: str, media: str, body: Any, status: int
) -> None:
    data = BOM + b" \r\n\t" + json.dumps(body).encode()
    response = await client.post(path, data=data, headers={"Content-Type": media})
    assert response.status == status, await response.text()


@pytest.mark.parametrize(("path", "event"), [("/logins", LOGIN), ("/event", VIEW), ("/webhook", HOOK)])
async def test_byte_order_mark_before_the_first_line_is_ignored(client: Any, path: str, event: dict[str, Any]) -> None:
    lines = BOM + b"\r\n".join([json.dumps(event).encode()] * 3)
    for data, headers in ((lines, {}), (gzip.compress(lines), {"Content-Encoding": "gzip"})):
        response = await client.post(path, data=data, headers={"Content-Type": NDJSON, **headers})
        answer = await response.text()
        assert response.status in (200, 201, 202), answer
        assert "must be" not in answer


async def test_byte_order_mark_before_json_in_a_form_and_a_frame_is_ignored(client: Any) -> None:
    form = {"payload": f"\ufeff{json.dumps(HOOK)}"}
    assert (await client.post("/webhook", data=form)).status == 200
    async with client.ws_connect("/ws") as ws:
        await ws.send_str('\ufeff{"type":"ping"}')
        assert await ws.receive_json() == {"type": "pong"}


@pytest.mark.parametrize("data", [BOM, BOM + b"x", b" " + BOM + b"{}", json.dumps(LOGIN).encode("utf-16")])
async def test_anything_else_before_a_body_is_not(client: Any, data: bytes) -> None:
    response = await client.post("/logins", data=data, headers={"Content-Type": PLAIN})
    assert response.status == 400
    assert "valid JSON in UTF-8" in await response.text()


async def test_signature_is_that_of_the_bytes_as_they_were_sent(start: Start) -> None:
    key = webhook_secret(SECRET)
    client = await start(webhook_secrets=(key,))
    body = json.dumps(HOOK).encode()
    now = int(datetime.now(UTC).timestamp())
    for signed, status in ((BOM + body, 200), (body, 401)):
        headers = {
            "webhook-id": f"msg_{status}",
            "webhook-timestamp": str(now),
            "webhook-signature": sign(key, f"msg_{status}", now, signed),
            "Content-Type": PLAIN,
        }
        assert (await client.post("/webhook", data=BOM + body, headers=headers)).status == status
