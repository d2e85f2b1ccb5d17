"""No answer without our body and our headers, whatever is sent and whoever refuses it; and none names the server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from waiting import PATIENCE_SECONDS

from statsd import metrics
from statsd.web import asked
from statsd.web.meter import NO_ROUTE, OTHER
from statsd.web.origins import HEADERS

Start = Callable[..., Awaitable[Any]]

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
SOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
VERSION, KEY = b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


def get(path: bytes = b"/livez", *lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return b"%b %b %b\r\n%b%b\r\n" % (method, path, version, HOST, b"".join(lines))


def post(*lines: bytes, body: bytes = b"{}") -> bytes:
    return get(b"/event", JSON, *(lines or (b"Content-Length: %d\r\n" % len(body),)), method=b"POST") + body


REFUSED: dict[str, tuple[bytes, int]] = {
    "cookie": (get(b"/stats", b"Cookie: secret=" + b"x" * 9_000 + b"\r\n"), 400),
    "request line": (b"GET\r\n\r\n", 400),
    "nothing known": (b"\x00\x01\x02\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100f1010000ed0303" + "00" * 200), 400),
    "PROXY protocol": (b"PROXY TCP4 203.0.113.6 203.0.113.7 1 2\r\n" + get(), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/3": (get(version=b"HTTP/3.7"), 400),
    "long address": (get(b"/" + b"a" * 9_000), 400),
    "method that is no token": (get(method=b"G\xc3\xa9T"), 400),
    "unknown method": (get(method=b"FOO"), 400),
    "lower case": (get(method=b"get"), 400),
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get(b"/livez", HOST), 400),
    "strange host": (b"GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    "space in a header": (get(b"/livez", b"A b: c\r\n"), 400),
    "folded header": (get(b"/livez", b"A: b\r\n c\r\n"), 400),
    "NUL in a header": (get(b"/livez", b"A: b\0c\r\n"), 400),
    "many headers": (get(b"/livez", *(b"A%d: b\r\n" % number for number in range(200))), 400),
    "broken address": (get(b"http://[::1"), 400),
    "port": (get(b"http://localhost:99999/"), 400),
    "star": (get(b"*"), 400),
    "space in the address": (get(b"/a b"), 400),
    "bytes in the address": (get(b"/\xc3\xa9"), 400),
    "chunk": (post(b"Transfer-Encoding: chunked\r\n", body=b"zz\r\n{}\r\n0\r\n\r\n"), 400),
    "negative length": (post(b"Content-Length: -5\r\n"), 400),
    "two lengths": (post(b"Content-Length: 2\r\n", b"Content-Length: 3\r\n"), 400),
    "length and chunks": (post(b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"), 400),
    "unknown transfer encoding": (post(b"Transfer-Encoding: x\r\n"), 400),
    "too large": (post(b"Content-Length: 99999999\r\n"), 413),
    "too slow": (post(b"Content-Length: 9\r\n"), 408),
    "expectation": (post(b"Expect: foo\r\n", b"Content-Length: 2\r\n"), 417),
    "coding": (post(b"Content-Encoding: br\r\n", b"Content-Length: 2\r\n"), 415),
    "event": (post(), 400),
    "nowhere": (get(b"/nope"), 404),
    "nowhere in bytes": (get(b"/%ff%00"), 404),
    "wrong method": (get(b"/event", method=b"DELETE"), 405),
    "TRACE": (get(b"/", method=b"TRACE"), 405),
    "CONNECT": (get(b"a:1", method=b"CONNECT"), 404),
    "no upgrade": (get(b"/ws"), 426),
    "old WebSocket": (get(b"/ws", SOCKET, KEY, b"Sec-WebSocket-Version: 8\r\n"), 426),
    "WebSocket without a key": (get(b"/ws", SOCKET, VERSION), 400),
    "WebSocket with half a key": (get(b"/ws", SOCKET, VERSION, b"Sec-WebSocket-Key: a\r\n"), 400),
    "WebSocket with a key of bytes": (
        get(b"/ws", SOCKET, VERSION, b"Sec-WebSocket-Key: \xc3\xa9\xff\r\n"),
        400,
    ),
    "WebSocket without Connection": (get(b"/ws", b"Upgrade: websocket\r\n", VERSION, KEY), 400),
    "WebSocket of another page": (get(b"/ws", SOCKET, VERSION, KEY, b"Origin: https://evil.example\r\n"), 403),
    "no token": (get(b"/analytics"), 401),
}
SERVED: dict[str, tuple[bytes, int]] = {
    "probe": (get(), 200),
    "HTTP/1.0": (b"GET /livez HTTP/1.0\r\n\r\n", 200),
    "WebSocket": (get(b"/ws", SOCKET, VERSION, KEY), 101),
    "stream": (get(b"/statistics/transfers/day"), 200),
    "file": (get(b"/favicon.ico"), 200),
    "part of a file": (get(b"/favicon.ico", b"Range: bytes=0-3\r\n"), 206),
    "preflight": (get(b"/event", method=b"OPTIONS"), 204),
}


async def answer(client: Any, data: bytes) -> tuple[bytes, bytes]:
    """Send bytes; return the head and the body of the answer, of a body without an end what comes with the head."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
        body = await reader.readexactly(int(length[1])) if length else b""
    writer.close()
    return head, body


def check_head(head: bytes, status: int, name: str) -> None:
    assert int(head[9:12]) == status, (name, head)
    for header, value in HEADERS.items():
        assert head.count(f"\r\n{header}: {value}\r\n".encode()) == 1, (name, header)
    lower = head.lower()
    assert b"\r\nserver:" not in lower, name
    assert b"aiohttp" not in lower, name
    assert b"\r\ndate: " in lower, name
    assert b"\r\ncache-control: " in lower or status == 101, name


@pytest.mark.parametrize("lean", [True, False])
async def test_every_refusal_is_json_with_our_headers(
    start: Start, lean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "BODY_SECONDS", 0.1)
    client = await start(lean=lean)
    for name, (data, status) in REFUSED.items():
        head, body = await answer(client, data)
        check_head(head, status, name)
        assert b"\r\nContent-Type: application/json\r\n" in head, name
        refused = json.loads(body)
        assert refused["error"], name
        assert refused["error"] not in ("Bad Request", "Not Found"), name
        assert not {"secret", "203.0.113.6"} & {*re.split(r"[ =]", refused["error"])}, name
    for name, (data, status) in SERVED.items():
        check_head((await answer(client, data))[0], status, name)


async def test_what_is_refused_ends_the_connection(client: Any) -> None:
    for first in (get(), get(b"/livez", SOCKET), post()):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        async with asyncio.timeout(PATIENCE_SECONDS):
            writer.write(first)
            answers = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"NONSENSE\r\n\r\n")
            answers += await reader.read()
        assert re.findall(rb"HTTP/1\.\d (\d{3}) ", answers)[1:] == [b"400"]
        assert answers.endswith(b"}")
        assert b"\r\nServer:" not in answers
        writer.close()


async def test_body_that_breaks_while_it_is_read_is_400(client: Any) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer.write(post(b"Transfer-Encoding: chunked\r\n", body=b"2\r\n{}\r\n"))
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(b"zz\r\n")
        answers = await reader.read()
    assert answers.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert b"\r\nServer:" not in answers
    assert answers.count(b"Content-Security-Policy") == answers.count(b"HTTP/1.")
    writer.close()


async def test_refusals_of_the_parser_are_counted(client: Any) -> None:
    latency = metrics.REQUESTS.of(NO_ROUTE, OTHER)

    def refused() -> float:
        return sum(latency.by_status.get(400, [0.0])[:-1])

    before = refused()
    await answer(client, b"\0\r\n\r\n")
    assert refused() == before + 1


async def test_sums_of_seconds_never_fall(client: Any) -> None:
    """No reader of OpenMetrics takes a scrape with a negative sum."""
    latencies = [metrics.REQUESTS.of(NO_ROUTE, OTHER).by_status, metrics.REQUESTS.of("/event", "POST").by_status]
    for by_status in latencies:
        by_status.clear()
    for name in ("nothing known", "TLS", "expectation"):
        await answer(client, REFUSED[name][0])
    sums = [seconds for by_status in latencies for *_, seconds in by_status.values()]
    assert len(sums) == 2
    assert min(sums) >= 0.0


async def test_nothing_of_a_scan_is_in_the_log(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("TLS", "nothing known", "cookie", "expectation"):
        await answer(client, REFUSED[name][0])
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_error_between_the_handlers_is_a_500_of_ours(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(type(client.app.router), "resolve")  # what no code of ours does, so that something breaks
    head, body = await answer(client, get())
    check_head(head, 500, "defect")
    number = json.loads(body)["error"].split("(")[1].rstrip(")")
    assert number in caplog.text
