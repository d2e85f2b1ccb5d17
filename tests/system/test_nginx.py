"""The frontend container's nginx (static/nginx.conf), run here before the real program."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from events import Events
from folders import ROOT
from nginx import Nginx
from outside import Outside
from ports import free_port
from program import Program
from waiting import PATIENCE_SECONDS, until
from yarl import URL

from statsd.web.asked import BATCH_BYTES
from statsd.web.origins import HEADERS

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "Estonia", "device_type": "Desktop", "browser": "Firefox"}

Frontend = Callable[..., Awaitable[aiohttp.ClientSession]]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    """Run nginx in front of a backend (host:port)."""
    started: list[Nginx] = []

    def begin(backend: str, **resolver: str) -> Nginx:
        folder = tmp_path / f"nginx-{len(started)}"
        folder.mkdir()
        started.append(Nginx(folder, backend, **resolver))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


@pytest.fixture
async def front(nginx: Callable[..., Nginx]) -> AsyncIterator[Frontend]:
    """Return an HTTP client of nginx in front of a backend."""
    sessions: list[aiohttp.ClientSession] = []

    async def begin(backend: str, **resolver: str) -> aiohttp.ClientSession:
        server = nginx(backend, **resolver)
        await until(server.accepts)
        patience = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        sessions.append(aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", timeout=patience))
        return sessions[-1]

    yield begin
    for session in sessions:
        await session.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real program on its embedded database."""
    server = Program("serve", "--port", "0", folder=tmp_path_factory.mktemp("program"))
    yield asyncio.run(server.address())
    server.process.terminate()
    server.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
async def client(front: Frontend, program: str) -> aiohttp.ClientSession:
    return await front(program.removeprefix("http://"))


def security_headers(headers: Any) -> dict[str, list[str]]:
    """Security headers, each with all the values it was sent with."""
    return {name: headers.getall(name, []) for name in HEADERS}


async def refusal(response: aiohttp.ClientResponse) -> str:
    """Return the message of an error in the body that all five wire contracts understand."""
    assert response.content_type == "application/json"
    assert security_headers(response.headers) == {name: [value] for name, value in HEADERS.items()}
    body = await response.json()
    assert body == {"success": False, "message": body["error"], "error": body["error"]}
    return str(body["error"])


async def test_documents_and_assets_come_from_the_files(client: aiohttp.ClientSession) -> None:
    """nginx itself answers them: an ETag of its own, and the program's X-Request-Id is missing."""
    for path, file, kind in (
        ("/docs", "docs.html", "text/html"),
        ("/docs/servers.html", "docs/servers.html", "text/html"),
        ("/favicon.svg", "favicon.svg", "image/svg+xml"),
        ("/favicon.ico", "favicon.svg", "image/svg+xml"),
        ("/assets/app.js", "assets/app.js", "application/javascript"),
        ("/assets/panels/logins.js", "assets/panels/logins.js", "application/javascript"),
        ("/assets/css/style.css", "assets/css/style.css", "text/css"),
    ):
        async with client.get(path, headers=BROWSER) as response:
            assert response.status == 200
            assert await response.read() == (ROOT / "static" / file).read_bytes()
            assert response.content_type == kind
            assert response.headers["Cache-Control"] == "no-cache"
            assert "X-Request-Id" not in response.headers
        async with client.get(path, headers={**BROWSER, "If-None-Match": response.headers["ETag"]}) as again:
            assert again.status == 304


async def test_page_is_as_the_program_marks_it(front: Frontend, run: Callable[..., Program], tmp_path: Path) -> None:
    environment = {"STATS_REQUIRE_LOGIN": "true", "STATS_REGISTRATION": "open"}
    server = run("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), **environment)
    client = await front((await server.address()).removeprefix("http://"))
    page = (ROOT / "static" / "index.html").read_text()
    marked = page.replace("<html ", '<html data-locked="" data-registration="open" ', 1)
    for path in ("/", "/dashboard"):
        async with client.get(path, headers=BROWSER) as response:
            assert (response.status, await response.text()) == (200, marked)
    server.process.terminate()
    assert await server.ended() == 0
    for path in ("/", "/dashboard"):
        async with client.get(path, headers=BROWSER) as response:
            assert (response.status, await response.text()) == (200, page)


async def test_unmarked_page_is_revalidated(client: aiohttp.ClientSession) -> None:
    for path in ("/", "/dashboard"):
        async with client.get(path, headers=BROWSER) as response:
            assert await response.read() == (ROOT / "static" / "index.html").read_bytes()
            assert response.headers.getall("Cache-Control") == ["no-cache"]
        async with client.get(path, headers={**BROWSER, "If-None-Match": response.headers["ETag"]}) as again:
            assert again.status == 304


async def test_front_door_is_the_page_to_browsers_only(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        assert (await response.json())["message"] == "Event Webhook API"
    for address in ("/", "/events/ws"):
        async with client.ws_connect(address) as ws:
            assert set(await ws.receive_json()) == {"stats"}


async def test_assets_are_compressed(client: aiohttp.ClientSession) -> None:
    async with client.get("/assets/vendor/chart.umd.min.js", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"


async def test_tracker_is_for_pages_of_any_origin(client: aiohttp.ClientSession) -> None:
    async with client.get("/t.js", headers={"Origin": "https://shop.example"}) as response:
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


async def test_security_headers_are_those_of_the_program(client: aiohttp.ClientSession, program: str) -> None:
    async with aiohttp.ClientSession(program) as direct:
        for path in ("/", "/docs", "/docs/servers.html", "/assets/app.js", "/logins/stats", "/health", "/nowhere"):
            async with client.get(path, headers=BROWSER) as proxied, direct.get(path, headers=BROWSER) as response:
                assert proxied.status == response.status
                assert security_headers(proxied.headers) == security_headers(response.headers)
                assert proxied.headers.getall("Cache-Control") == response.headers.getall("Cache-Control")
                assert proxied.headers["Server"] == "nginx"  # and no version


async def test_what_is_no_file_is_answered_by_the_program(client: aiohttp.ClientSession, program: str) -> None:
    async with aiohttp.ClientSession(program) as direct:
        async with client.get("/") as page:
            front = str(page.url.origin())
        for method, path, status in (
            ("GET", "/nowhere", 404),
            ("GET", "/nginx.conf", 404),
            ("GET", "/assets/../nginx.conf", 404),
            ("GET", "/assets/%2e%2e/nginx.conf", 404),
            ("GET", "/static/nginx.conf", 404),
            ("GET", "/index.html", 404),
            ("GET", "/assets/nowhere.js", 404),
            ("GET", "/docs/", 404),
            ("GET", "/docs/nowhere.html", 404),
            ("GET", "/docs/../nginx.conf", 404),
            ("POST", "/dashboard", 405),
            ("OPTIONS", "/dashboard", 204),
            ("DELETE", "/logins", 405),
        ):
            as_written, asked_directly = URL(front + path, encoded=True), URL(program + path, encoded=True)
            async with (
                client.request(method, as_written) as proxied,
                direct.request(method, asked_directly) as response,
            ):
                assert (proxied.status, response.status) == (status, status), path
                assert await proxied.read() == await response.read()
                assert proxied.headers.getall("Cache-Control") == response.headers.getall("Cache-Control")
                assert proxied.headers.get("Allow") == response.headers.get("Allow")


@pytest.mark.parametrize("path", ["/logins", "/", "/assets/app.js", "/ws", "/nowhere"])
async def test_trace_is_refused_by_nginx_itself(client: aiohttp.ClientSession, path: str) -> None:
    async with client.request("TRACE", path) as response:
        assert response.status == 405
        assert await refusal(response) == "this method is not allowed here"
        assert response.headers.getall("Allow") == ["GET, HEAD, POST, PUT"]
        assert "X-Request-Id" not in response.headers  # the program was not bothered


async def test_a_login_is_stored_and_pushed(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as page:
        origin = str(page.url.origin())
    async with client.ws_connect("/ws", origin=origin) as ws:
        await ws.send_str('{"type":"ping"}')
        assert await ws.receive_str(timeout=PATIENCE_SECONDS) == '{"type":"pong"}'

        async with client.post("/logins", json=LOGIN) as response:
            assert response.status == 201
            assert (await response.json())["user_id"] == 7

        async def pushed() -> bool:
            message = await ws.receive_json(timeout=PATIENCE_SECONDS)
            assert message["type"] == "stats_update"
            return any(row["region"] == "Estonia" for row in message["payload"]["regionStats"])

        await until(pushed)


async def test_a_service_posts_to_its_address(client: aiohttp.ClientSession) -> None:
    body = {"action": "opened", "sender": {"login": "octocat"}}
    for _ in range(2):
        headers = {"X-GitHub-Event": "issues", "X-GitHub-Delivery": "72d3162e"}
        async with client.post("/webhook/github", json=body, headers=headers) as response:
            assert response.status == 200
    async with client.get("/events?filter=hour") as response:
        (event,) = (await response.json())["data"]["events"]
    assert (event["eventType"], event["userId"], event["metadata"]) == ("issues.opened", "octocat", body)


async def test_a_page_of_another_origin_may_not_open_a_socket(client: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await client.ws_connect("/ws", origin="https://elsewhere.example")


async def test_too_large_a_body_is_refused_in_json(client: aiohttp.ClientSession) -> None:
    batch = json.dumps([{**LOGIN, "region": "Latvia"}]).encode().ljust(BATCH_BYTES)
    async with client.post("/logins", data=io.BytesIO(batch)) as largest:
        assert largest.status == 201
    # The body waits for the answer: what was half sent would be closed at some time, in the middle of another test.
    async with client.post("/logins", data=io.BytesIO(batch + b" "), expect100=True) as response:
        assert response.status == 413
        assert await refusal(response) == f"the body must not be larger than {BATCH_BYTES} bytes"
        assert "X-Request-Id" not in response.headers  # the program was not bothered


async def test_a_flood_from_one_address_is_refused_and_others_are_served(client: aiohttp.ClientSession) -> None:
    async def statuses(count: int) -> set[int]:
        async def one() -> int:
            async with client.get("/livez", headers={"X-Forwarded-For": "198.51.100.1"}) as response:
                if response.status == 429:
                    assert "too many requests" in await refusal(response)
                    assert response.headers.getall("Retry-After") == ["2"]
                return response.status

        return set(await asyncio.gather(*(one() for _ in range(count))))

    assert await statuses(150) == {200}  # a burst is no flood
    seen: set[int] = set()

    async def flooded() -> bool:
        seen.update(await statuses(250))
        return 429 in seen

    await until(flooded)  # more than a hundred a second, for as long as the burst lasts
    assert seen == {200, 429}
    async with client.get("/livez", headers={"X-Forwarded-For": "198.51.100.2"}) as response:
        assert response.status == 200
    async with client.get("/assets/app.js", headers={"X-Forwarded-For": "198.51.100.1"}) as response:
        assert response.status == 200


async def test_without_the_program_the_page_stays_and_the_api_says_so(
    front: Frontend, run: Callable[..., Program], tmp_path: Path
) -> None:
    server = run("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    client = await front((await server.address()).removeprefix("http://"))
    async with client.get("/health") as response:
        assert response.status == 200
    server.process.terminate()
    assert await server.ended() == 0

    for method, path in (
        ("GET", "/health"),
        ("POST", "/logins"),
        ("GET", "/ws"),
        ("GET", "/assets/no.js"),
        ("POST", "/"),
    ):
        async with client.request(method, path) as response:
            assert response.status == 502
            assert await refusal(response) == "the server cannot be reached, try again"
            assert response.headers.getall("Retry-After") == ["2"]
    async with client.get("/dashboard") as response:
        assert response.status == 200
    async with client.post("/", headers=BROWSER) as response:
        assert response.status == 502
        assert await refusal(response) == "the server cannot be reached, try again"


async def test_without_the_program_a_stream_is_told_when_to_come_back_and_others_that_it_is_away(
    front: Frontend,
) -> None:
    """An EventSource that is answered with an error never comes back; a page that may not listen need not."""
    client = await front(f"127.0.0.1:{free_port()}")
    sent = {"Accept": "text/event-stream", "Origin": "http://localhost:3000"}
    async with client.get("/statistics/transfers/year", headers={**sent, "Origin": "https://a.example"}) as response:
        assert response.status == 200
        assert "Access-Control-Allow-Origin" not in response.headers
    async with client.get("/statistics/transfers/year", headers=sent) as response:
        events = Events(response)
        with pytest.raises(EOFError):
            await events.next()
        assert events.retry == 3000
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
        assert response.headers.getall("Cache-Control") == ["no-cache"]
        assert "Retry-After" not in response.headers
        assert security_headers(response.headers) == {name: [value] for name, value in HEADERS.items()}
    for path, accept in (("/statistics/transfers/year", "*/*"), ("/logins/stats", "text/event-stream")):
        async with client.get(path, headers={**sent, "Accept": accept}) as response:
            assert response.status == 502
            assert await refusal(response) == "the server cannot be reached, try again"
            assert response.headers.getall("Retry-After") == ["2"]
            assert "Access-Control-Allow-Origin" not in response.headers


class Names(asyncio.DatagramProtocol):
    """Docker's name server: every name has the addresses that it has just now."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        head = data[:2] + b"\x81\x80\0\1" + len(self.addresses).to_bytes(2, "big") + bytes(4)
        record = b"\xc0\x0c\0\1\0\1" + (600).to_bytes(4, "big") + b"\0\4"  # the question's name, A, IN, Docker's TTL
        answers = (record + socket.inet_aton(address) for address in self.addresses)
        self._transport.sendto(head + data[12:] + b"".join(answers), addr)


async def test_backends_that_come_and_go_are_found_by_name(
    front: Frontend, run: Callable[..., Program], tmp_path: Path
) -> None:
    """As `docker compose up --scale backend=2`, and then 1: all are asked, and one that left is not missed."""
    first = run("serve", "--port", "0", "--data-dir", str(tmp_path / "first"))
    port = (await first.address()).rpartition(":")[2]
    second = run("serve", "--host", "127.0.0.2", "--port", port, "--data-dir", str(tmp_path / "second"))
    async with aiohttp.ClientSession(await second.address()) as direct, direct.post("/logins", json=LOGIN) as stored:
        assert stored.status == 201

    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(lambda: Names("127.0.0.1"), local_addr=("127.0.0.1", 0))
    resolver = transport.get_extra_info("sockname")
    client = await front(f"backend:{port}", resolver=f"127.0.0.1:{resolver[1]}")

    async def logins() -> int:
        async with client.get("/logins") as response:
            assert response.status == 200
            return len(await response.json())

    async def second_answers() -> bool:
        return await logins() == 1

    with contextlib.closing(transport):
        assert {await logins() for _ in range(10)} == {0}
        names.addresses = ("127.0.0.1", "127.0.0.2")
        await until(second_answers)
        assert {await logins() for _ in range(30)} == {0, 1}
        first.process.terminate()
        assert await first.ended() == 0
        assert {await logins() for _ in range(30)} == {1}  # nginx goes on to the next address


async def test_three_servers_on_one_database_are_one_and_no_client_sticks_to_any(
    front: Frontend, run: Callable[..., Program], outside: Outside
) -> None:
    """As `docker compose up --scale backend=3`: each request may go to another one, and a stream survives its own."""
    await (await outside.ready()).close()
    told = {"DATABASE_URL": outside.dsn, "STATS_AGGREGATE_SECONDS": "1"}
    servers = [run("serve", "--port", "0", "--data-dir", "data-1", **told)]
    port = (await servers[0].address()).rpartition(":")[2]
    for n in (2, 3):
        servers.append(run("serve", "--host", f"127.0.0.{n}", "--port", port, "--data-dir", f"data-{n}", **told))
        await servers[-1].address()
    loop = asyncio.get_running_loop()
    addresses = [f"127.0.0.{n}" for n in (1, 2, 3)]
    transport, _ = await loop.create_datagram_endpoint(lambda: Names(*addresses), local_addr=("127.0.0.1", 0))
    resolver = transport.get_extra_info("sockname")
    client = await front(f"backend:{port}", resolver=f"127.0.0.1:{resolver[1]}")

    async def make(path: str, body: dict[str, str]) -> str:
        async with client.post(path, json=body) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["id"])

    async def taken_by(server: int) -> int:
        async with (
            aiohttp.ClientSession(f"http://{addresses[server]}:{port}") as direct,
            direct.get("/metrics") as found,
        ):
            taken = re.search(r'statsd_events_total\{how="stored",stream="items"\} (\d+)', await found.text())
            return int(taken[1]) if taken else 0

    path = "/statistics/item-creation/day"
    with contextlib.closing(transport):
        base = await make("/base-items", {"description": "a bike"})
        async with client.get(path, headers={"Accept-Encoding": "gzip"}) as response:
            events = Events(response)
            assert await events.next() == []
            assert "Content-Encoding" not in response.headers
            made = 0
            while not all([await taken_by(server) for server in range(3)]):  # nginx draws lots
                await make("/items", {"base_item_id": base})
                made += 1
                await events.total(made)
            assert made < 100
            (killed,) = [n for n in range(3) if await _streams(addresses[n], port)]
            servers[killed].process.kill()
            with pytest.raises((EOFError, aiohttp.ClientPayloadError)):
                await events.next()
            await servers[killed].ended()  # until then its socket may take a connection, and a POST is not sent twice
        for _ in range(6):
            await make("/items", {"base_item_id": base})  # nginx goes on to the next address
        async with client.get(path, headers={"Last-Event-ID": events.id}) as response:
            assert [bin["count"] for bin in await Events(response).next()] == [made + 6]


async def _streams(address: str, port: str) -> bool:
    async with aiohttp.ClientSession(f"http://{address}:{port}") as direct, direct.get("/metrics") as found:
        return "statsd_live_clients 1.0" in await found.text()


async def test_the_program_is_told_who_asks_and_live_answers_are_not_held_back(front: Frontend) -> None:
    heads: list[bytes] = []
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\ndata: 1\n\n"
        )
        await reader.read()  # the answer never ends, until nginx hangs up because its client did
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        client = await front(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        sent = {"X-Forwarded-For": "192.0.2.9, 198.51.100.1", "X-Forwarded-Proto": "https"}
        async with client.get("/statistics/transfers/second", headers=sent) as response:
            assert await response.content.readline() == b"data: 1\n"
            assert response.headers.getall("Cache-Control") == ["no-cache"]
            response.close()
        await asyncio.wait_for(left.wait(), PATIENCE_SECONDS)
        lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /statistics/transfers/second HTTP/1.1"
    assert f"Host: {response.url.authority}" in lines
    assert "X-Forwarded-For: 198.51.100.1" in lines  # the last one a machine of ours did not write
    assert "X-Forwarded-Proto: https" in lines


async def test_only_the_gateway_of_the_network_says_who_asks(front: Frontend) -> None:
    """A neighbour in the network, here 127.0.0.2, speaks for itself alone."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        client = await front(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with client.get("/livez") as response:
            address = response.url
        neighbour = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        sent = {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https"}
        async with aiohttp.ClientSession(connector=neighbour) as other, other.get(address, headers=sent) as response:
            assert response.status == 204
    lines = heads[-1].split("\r\n")
    assert "X-Forwarded-For: 127.0.0.2" in lines
    assert "X-Forwarded-Proto: http" in lines


async def test_address_of_a_share_link_is_told_to_nobody(client: aiohttp.ClientSession) -> None:
    async with client.get("/share/shl_none") as response:
        assert response.status == 404
        assert response.headers.getall("Referrer-Policy") == ["no-referrer"]
        assert "noindex" in response.headers["X-Robots-Tag"]
