"""The protocol on /ws, to the letter of the login contract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from waiting import until

from statsd.database.pool import POOL
from statsd.live import websocket
from statsd.live.topics import HUB

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
KEYS = {
    "deviceStats", "regionDeviceStats", "sessionStats", "sessionSummary", "regionStats", "browserStats", "loginTrends",
    "peakHours", "totalSessions", "totalUsers", "averageSessionDuration", "generatedAt",
}  # fmt: skip

Start = Callable[..., Awaitable[Any]]


async def test_ping_is_answered_with_the_bare_pong_and_nothing_came_before(client: Any) -> None:
    async with client.ws_connect("/ws") as ws:
        await ws.send_str('{"type":"ping"}')
        assert (await ws.receive()).data == '{"type":"pong"}'


async def test_only_the_asker_gets_the_answer(client: Any) -> None:
    async with client.ws_connect("/ws") as asker, client.ws_connect("/ws") as other:
        await asker.send_json({"type": "ping"})
        await asker.send_json({"type": "request_initial_data"})
        await other.send_json({"type": "ping"})
        assert (await asker.receive_json())["type"] == "pong"
        assert (await asker.receive_json())["type"] == "stats_update"
        assert (await other.receive_json()) == {"type": "pong"}
        await other.send_json({"type": "ping"})
        assert (await other.receive_json()) == {"type": "pong"}


async def test_initial_data_has_the_envelope_and_every_key(client: Any) -> None:
    await client.post("/logins", json={**LOGIN, "session_duration_seconds": 60})
    async with client.ws_connect("/ws") as ws:
        await ws.send_json({"type": "request_initial_data"})
        frame = await ws.receive_json()
    assert set(frame) == {"type", "payload", "timestamp"}
    assert set(frame["payload"]) == KEYS
    assert all(isinstance(frame["payload"][key], list) for key in ("deviceStats", "regionDeviceStats", "sessionStats"))
    payload = await (await client.get("/logins/stats")).json()
    assert {**payload, "generatedAt": ""} == {**frame["payload"], "generatedAt": ""}


@pytest.mark.parametrize("way", ["query", "message"])
async def test_summary_object_on_request(client: Any, way: str) -> None:
    async with client.ws_connect("/ws" + "?session_stats=object" * (way == "query")) as ws:
        wish = {"session_stats": "object"} if way == "message" else {}
        await ws.send_json({"type": "request_initial_data", **wish})
        payload = (await ws.receive_json())["payload"]
    assert payload["sessionStats"] == payload["sessionSummary"]
    assert payload["sessionStats"]["totalSessions"] == 0


async def test_login_is_broadcast_to_all(client: Any) -> None:
    async with client.ws_connect("/ws") as one, client.ws_connect("/ws") as two:
        await until(lambda: len(client.app[HUB].topics["logins"].clients) == 2)
        await client.post("/logins", json=LOGIN)
        for ws in (one, two):
            while (frame := await ws.receive_json())["payload"]["totalSessions"] != 1:
                pass
            assert frame["type"] == "stats_update"


@pytest.mark.parametrize(
    "message",
    [
        "", "nonsense", "ping", "{", "null", "[]", "[1]", "5", "true", '"ping"', "{}",
        '{"type":null}', '{"type":5}', '{"type":["ping"]}',
        '{"type":"unknown"}', '{"type":"constructor"}', '{"type":"__proto__"}', '{"type":"toString"}',
        '{"type":"PING"}', '{"type":"\\ud800"}', '{"type":NaN}', "[" * 60_000, '{"type":' + "9" * 5_000 + "}",
        '{"type":"subscribe"}', '{"type":"subscribe","topics":"logins"}', '{"type":"subscribe","topics":["nope"]}',
        '{"type":"subscribe","topics":[{}]}',
    ],
)  # fmt: skip
async def test_whatever_comes_the_socket_answers_an_error_and_stays(client: Any, message: str) -> None:
    async with client.ws_connect("/ws") as ws:
        await ws.send_str(message)
        error = await ws.receive_json()
        assert error["type"] == "error"
        assert error["message"] == error["error"]
        assert error["availableTypes"] == ["ping", "request_initial_data", "subscribe"]
        await ws.send_json({"type": "ping"})
        assert await ws.receive_json() == {"type": "pong"}


async def test_numbers_beyond_the_range_are_nobodys_business(client: Any) -> None:
    """msgspec's own floats would refuse what is beyond, and take ages for what is near: frames are not read by them."""
    async with client.ws_connect("/ws") as ws:
        await ws.send_str('{"type":"ping","more":[1e308,1e400]}')
        assert await ws.receive_json() == {"type": "pong"}


async def test_subscriber_gets_updates_in_place_of_stats_updates(client: Any) -> None:
    async with client.ws_connect("/ws") as ws:
        await ws.send_json({"type": "subscribe", "topics": ["logins", "logins"]})
        assert await ws.receive_json() == {"type": "subscribed", "topics": ["logins"]}
        first = await ws.receive_json()
        assert (first["type"], first["topic"], first["payload"]["totalSessions"]) == ("update", "logins", 0)
        await client.post("/logins", json=LOGIN)
        while (frame := await ws.receive_json())["payload"]["totalSessions"] != 1:
            pass
        assert frame["type"] == "update"


async def test_frame_of_64_kib_is_read_and_a_larger_one_closes_with_1009(client: Any) -> None:
    async with client.ws_connect("/ws") as ws:
        ping = '{"type":"ping"}'
        await ws.send_str(ping.ljust(websocket.FRAME_BYTES))
        assert await ws.receive_json() == {"type": "pong"}
        await ws.send_str(ping.ljust(websocket.FRAME_BYTES + 1))
        assert (await ws.receive()).type is WSMsgType.CLOSE
        assert ws.close_code == 1009


async def test_protocol_ping_is_answered(client: Any) -> None:
    async with client.ws_connect("/ws", autoping=False) as ws:
        await ws.ping(b"there?")
        answer = await ws.receive()
        assert (answer.type, bytes(answer.data)) == (WSMsgType.PONG, b"there?")


async def test_peer_that_answers_no_ping_is_dropped(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT_SECONDS", 0.2)
    client = await start()
    async with client.ws_connect("/ws", autoping=False) as ws:
        assert (await ws.receive()).type is WSMsgType.PING
        await until(lambda: not client.app[HUB].sockets)


async def test_stop_closes_every_socket_with_1001(start: Start) -> None:
    client = await start()
    sockets = [await client.ws_connect("/ws") for _ in range(20)]
    receiving = [asyncio.create_task(ws.receive()) for ws in sockets]
    await client.server.close()
    assert {(await one).type for one in receiving} == {WSMsgType.CLOSE}
    assert {ws.close_code for ws in sockets} == {1001}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://{host}", True),
        ("https://{host}", True),
        ("HTTP://{host}", True),
        ("https://stats.example.org", True),
        ("null", False),
        ("", False),
        ("https://evil.example", False),
        ("http://{host}.evil.example", False),
        ("https://evil.example/{host}", False),
        ("https://stats.example.org.evil.example", False),
        ("chrome-extension://abc", False),
        ("http://[", False),
    ],
)
async def test_origin_decides_which_pages_may_connect(
    start: Start, caplog: pytest.LogCaptureFixture, origin: str | None, allowed: bool
) -> None:
    client = await start(cors_origins=("https://stats.example.org",))
    headers = {} if origin is None else {"Origin": origin.format(host=f"{client.host}:{client.port}")}
    if allowed:
        async with client.ws_connect("/ws", headers=headers) as ws:
            await ws.send_json({"type": "ping"})
            assert await ws.receive_json() == {"type": "pong"}
        return
    with pytest.raises(WSServerHandshakeError) as caught:
        await client.ws_connect("/ws", headers=headers)
    assert caught.value.status == 403
    assert "CORS_ORIGINS" in caplog.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 426),
        (
            {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "a"},
            426,
        ),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400),
        ({"Upgrade": "websocket", "Connection": "close", "Sec-WebSocket-Version": "13"}, 400),
        ({"Upgrade": "h2c", "Connection": "Upgrade"}, 426),
    ],
)
async def test_what_is_no_handshake_is_told_so(client: Any, headers: dict[str, str], status: int) -> None:
    response = await client.get("/ws", headers=headers)
    assert response.status == status
    assert (await response.json())["success"] is False


async def test_compression_is_not_negotiated(client: Any) -> None:
    async with client.ws_connect("/ws", compress=15) as ws:
        assert ws.compress == 0


async def test_database_away_is_an_error_frame_and_the_socket_stays(client: Any) -> None:
    async with client.ws_connect("/ws") as ws:
        client.app[POOL].terminate()
        await ws.send_json({"type": "request_initial_data"})
        while (frame := await ws.receive_json())["type"] == "stats_update":
            pass
        assert frame["type"] == "error"
        assert "database is away" in frame["message"]
        await ws.send_json({"type": "ping"})
        assert await ws.receive_json() == {"type": "pong"}
