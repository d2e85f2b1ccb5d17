"""How a WebSocket ends (RFC 6455 §7.4), and which clients are refused or closed because they take too much."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from struct import pack
from typing import Any

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from sockets import read_frame, stalled_socket
from waiting import until

from statsd.live import places, websocket
from statsd.live.client import Snapshot
from statsd.live.topics import HUB

Start = Callable[..., Awaitable[Any]]

CLOSE = 0x88
MASK = b"\1\2\3\4"


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client."""
    hidden = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + MASK + hidden


async def answer_to(client: Any, frame: bytes) -> tuple[int, bytes]:
    """The code and the reason of the close frame that answers a frame; then the server ends the connection."""
    raw = await stalled_socket(client)
    raw.sendall(frame)
    first, payload = await read_frame(raw)
    assert first == CLOSE
    assert await asyncio.to_thread(raw.recv, 1) == b""
    raw.close()
    return int.from_bytes(payload[:2], "big"), payload[2:]


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1008, 1011, 1014, 3000, 4000, 4999])
async def test_close_code_of_the_peer_is_sent_back(client: Any, code: int) -> None:
    assert await answer_to(client, masked(8, pack("!H", code) + "grüße".encode())) == (code, b"")


async def test_close_without_a_code_is_answered_with_1000(client: Any) -> None:
    assert (await answer_to(client, masked(8, b"")))[0] == 1000


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
async def test_close_code_that_may_not_be_sent_is_a_protocol_error(client: Any, code: int) -> None:
    assert (await answer_to(client, masked(8, pack("!H", code))))[0] == 1002


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (masked(8, b"\x03"), 1002),
        (masked(8, pack("!H", 1000) + b"\xff"), 1007),
        (masked(8, pack("!H", 1000) + b"\xed\xa0\x80"), 1007),
        (masked(2, b'{"type":"ping"}'), 1003),
        (masked(2, b""), 1003),
    ],
)
async def test_frame_that_breaks_a_rule_is_answered_with_its_code(client: Any, frame: bytes, code: int) -> None:
    assert (await answer_to(client, frame))[0] == code


@pytest.mark.parametrize("opcode", [WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG])
async def test_peer_that_sends_too_many_messages_is_closed_with_1008(
    client: Any, caplog: pytest.LogCaptureFixture, opcode: WSMsgType
) -> None:
    async with client.ws_connect("/ws", autoping=False) as ws:
        for _ in range(5 * places.BURST):
            await ws.send_frame(b'{"type":"ping"}', opcode)
        answers = []
        while (message := await ws.receive()).type is not WSMsgType.CLOSE:
            answers.append(message)
        assert (message.data, message.extra) == (1008, "more than 20 messages a second")
        if opcode is not WSMsgType.PONG:
            assert places.BURST <= len(answers) < 5 * places.BURST
    assert "too many messages" in caplog.text
    await until(lambda: not client.app[HUB].sockets)


def test_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    bucket = places.Bucket()
    assert sum(bucket.take(1_000.0) for _ in range(places.BURST + 50)) == places.BURST
    bucket = places.Bucket()
    seconds = [number / (2 * places.MESSAGES_PER_SECOND) for number in range(2_000)]  # twice the rate, for 50 s
    assert not all(bucket.take(now) for now in seconds)
    bucket = places.Bucket()
    assert all(bucket.take(number / places.MESSAGES_PER_SECOND) for number in range(2_000))


@pytest.mark.parametrize("path", ["/ws", "/events/ws"])
async def test_address_has_places_for_sockets_and_leaves_room_for_others(
    start: Start, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(places, "MOST_PER_ADDRESS", 2)
    client = await start(trusted_proxies=(ip_network("127.0.0.0/8"),), throttle_exempt=(ip_network("198.51.100.0/24"),))

    async def connect(address: str) -> Any:
        return await client.ws_connect(path, headers={"X-Forwarded-For": address})

    sockets = [await connect("203.0.113.1") for _ in range(2)]
    with pytest.raises(WSServerHandshakeError) as refused:
        await connect("203.0.113.1")
    assert (refused.value.status, refused.value.headers and refused.value.headers["Retry-After"]) == (503, "5")
    sockets += [await connect(address) for address in ("203.0.113.2", *["198.51.100.7"] * 4)]
    async with client.get("/statistics/transfers/minute", headers={"X-Forwarded-For": "203.0.113.1"}) as stream:
        assert stream.status == 200  # streams have places of their own
    await sockets[0].close()
    await until(lambda: len(client.app[HUB].sockets) == len(sockets) - 1)
    sockets.append(await connect("203.0.113.1"))
    for ws in sockets:
        await ws.close()


async def test_wrong_handshakes_take_no_place(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_PER_ADDRESS", 1)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    for _ in range(3):
        assert (await client.get("/ws", headers={**upgrade, "Sec-WebSocket-Key": "short"})).status == 400
    async with client.ws_connect("/ws") as ws:
        await ws.send_json({"type": "ping"})
        assert await ws.receive_json() == {"type": "pong"}


async def test_peer_that_says_goodbye_and_leaves_its_frames_unread_is_cut_off(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would keep a connection and its buffer for ever, without a place."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)
    raw = await stalled_socket(client, "/events/ws")
    topic = client.app[HUB].topics["webhooks"]
    await until(lambda: topic.clients)
    (conversation,) = topic.clients
    await topic.broadcast(Snapshot(b"x" * (20 << 20)))
    assert conversation._transport.get_write_buffer_size()
    raw.sendall(masked(8, pack("!H", 1000)))
    await until(lambda: conversation._protocol.transport is None)
    raw.close()
