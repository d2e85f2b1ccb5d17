"""HTTP around the handlers: statuses, bodies, headers, limits."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from waiting import until
from yarl import URL

from statsd.database.pool import POOL
from statsd.ingest.writer import WRITERS
from statsd.site.health import STATE
from statsd.web import asked, decode, origins

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
BODY = json.dumps(LOGIN).encode()
JSON = {"Content-Type": "application/json"}

Start = Callable[..., Awaitable[Any]]


async def test_health_has_the_keys_of_all_five_systems(client: Any) -> None:
    response = await client.get("/health")
    health = await response.json()
    assert response.status == 200
    assert (health["success"], health["status"], health["service"]) == (True, "healthy", "analytics-api")
    assert health["database"] is True
    assert isinstance(health["uptime"], float)
    assert isinstance(health["data"]["uptime"], int)
    assert health["data"]["status"] == "healthy"
    assert health["checks"] == {
        "database": "ok",
        "durability": "full",
        "spool": {"state": "empty", "rows": 0, "bytes": 0, "oldest_seconds": 0.0},
        "dead_letters": 0,
        "phase": "serving",
    }
    assert b'"status":"healthy"' in await response.read()


async def test_health_and_readiness_say_503_while_the_database_is_away_and_liveness_does_not(client: Any) -> None:
    client.app[POOL].terminate()
    assert [(await client.get(path)).status for path in ("/health", "/readyz", "/livez")] == [503, 503, 200]
    health = await (await client.get("/health")).json()
    assert (health["success"], health["status"], health["database"]) == (False, "unhealthy", False)


async def test_health_says_so_when_the_database_may_lose_what_it_committed(client: Any, pool: Any) -> None:
    await pool.execute("select set_config('synchronous_commit', 'off', false)")
    async with client.app[POOL].acquire() as one:
        await one.execute("set synchronous_commit = off")
    health = await (await client.get("/health")).json()
    assert health["checks"]["durability"] == "degraded"


async def test_readiness_is_503_while_stopping(client: Any) -> None:
    client.app[STATE].phase = "stopping"
    response = await client.get("/readyz")
    assert (response.status, await response.json()) == (503, {"status": "stopping"})


async def test_metrics_count_what_was_stored(client: Any) -> None:
    def stored(text: str) -> float:
        lines = [
            line for line in text.splitlines() if line.startswith('statsd_events_total{how="stored",stream="logins"}')
        ]
        return float(lines[0].split()[1]) if lines else 0.0

    before = stored(await (await client.get("/metrics")).text())
    await client.post("/logins", json=LOGIN)
    response = await client.get("/metrics")
    assert stored(await response.text()) == before + 1
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/nope", "/Logins", "/.env", "/.git/config", "/assets/../setup.cfg", "/nginx.conf"])
async def test_unknown_path_is_404_in_json(client: Any, path: str) -> None:
    response = await client.get(path)
    assert response.status == 404
    assert await response.json() == {"success": False, "message": "Endpoint not found", "error": "Endpoint not found"}


@pytest.mark.parametrize(
    "path",
    [
        "/assets/%2e%2e/%2e%2e/setup.cfg", "/assets/..%2f..%2fsetup.cfg", "/assets/" + "a" * 300, "/" + "a" * 7000,
        "/assets/", "/assets/panels", "/assets/nope.js", "/assets/%00", "/assets//etc/passwd", "/assets/%ff",
    ],
)  # fmt: skip
async def test_files_outside_the_assets_are_out_of_reach(client: Any, path: str) -> None:
    response = await client.get(URL(path, encoded=True))
    assert response.status in (400, 403, 404)
    assert "message" in await response.json()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_wrong_method_is_405_with_allow(client: Any, method: str) -> None:
    response = await client.request(method, "/logins")
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, POST"
    assert "GET, HEAD, POST" in (await response.json())["error"]


@pytest.mark.parametrize("path", ["/health", "/nope", "/logins/stats", "/", "/dashboard", "/assets/app.js", "/metrics"])
async def test_every_response_carries_the_security_headers(client: Any, path: str) -> None:
    response = await client.get(path)
    for name, value in origins.HEADERS.items():
        assert response.headers[name] == value
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert "Server" not in response.headers
    assert response.headers["Cache-Control"] == ("no-cache" if path in ("/dashboard", "/assets/app.js") else "no-store")


@pytest.mark.parametrize("path", ["/", "/dashboard"])
async def test_page_is_html_and_revalidated(client: Any, path: str) -> None:
    browser = {"Accept": "text/html"}
    response = await client.get(path, headers=browser)
    assert response.content_type == "text/html"
    again = await client.get(path, headers={**browser, "If-None-Match": response.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    ("given", "echoed"), [("abc-123", True), ("x" * 101, False), ("a b", False), ("<script>", False)]
)
async def test_request_id_is_echoed_when_it_is_one(client: Any, given: str, echoed: bool) -> None:
    response = await client.get("/livez", headers={"X-Request-Id": given})
    assert (response.headers.get("X-Request-Id") == given) is echoed


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", None])
async def test_json_is_read_under_every_type_beacons_use(client: Any, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post("/logins", data=BODY, headers=headers, skip_auto_headers=["Content-Type"])
    assert response.status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "text/html"},
    ],
)
async def test_other_types_are_415(client: Any, headers: dict[str, str]) -> None:
    response = await client.post("/logins", data=BODY, headers=headers)
    assert response.status == 415
    assert "must be" in (await response.json())["error"]


async def test_charset_of_the_client_changes_nothing(client: Any) -> None:
    for charset in ("utf-16", "no-such-codec", "latin-1"):
        response = await client.post(
            "/logins", data=BODY, headers={"Content-Type": f"application/json; charset={charset}"}
        )
        assert response.status == 201


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(BODY)[:-12], b""])
async def test_broken_compression_is_400(client: Any, data: bytes) -> None:
    response = await client.post("/logins", data=data, headers={**JSON, "Content-Encoding": "gzip"})
    assert response.status == 400
    assert "error" in await response.json()


@pytest.mark.parametrize("compressed", [False, True])
async def test_body_over_the_limit_is_413(client: Any, compressed: bool) -> None:
    large = b" " * (asked.BATCH_BYTES + 1)
    headers = {**JSON, "Content-Encoding": "gzip"} if compressed else JSON
    response = await client.post(
        "/logins", data=io.BytesIO(gzip.compress(large) if compressed else large), headers=headers
    )
    assert response.status == 413
    assert str(asked.BATCH_BYTES) in (await response.json())["error"]


async def test_one_event_over_a_mebibyte_is_413(client: Any) -> None:
    response = await client.post("/logins", data=io.BytesIO(BODY + b" " * decode.EVENT_BYTES), headers=JSON)
    assert response.status == 413


async def test_body_that_never_ends_is_408(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "BODY_SECONDS", 0.2)
    client = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /logins HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    await writer.wait_closed()


async def test_defect_is_a_500_with_a_number_that_stands_in_the_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    client = await start()
    client.app[STATE].started = "never"  # what no code of ours does, so that something breaks
    response = await client.get("/health")
    assert response.status == 500
    number = (await response.json())["error"].split("(")[1].rstrip(")")
    assert number in caplog.text


async def test_page_of_another_origin_may_read_only_when_it_is_named(start: Start) -> None:
    named, other = "https://stats.example.org", "https://evil.example"
    client = await start(cors_origins=(named,))
    granted = await client.get("/logins/stats", headers={"Origin": named})
    refused = await client.get("/logins/stats", headers={"Origin": other})
    wrong = await client.get("/nope", headers={"Origin": named})
    assert granted.headers["Access-Control-Allow-Origin"] == named
    assert granted.headers["Access-Control-Allow-Credentials"] == "true"
    assert wrong.headers["Access-Control-Allow-Origin"] == named
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert {one.headers["Vary"] for one in (granted, refused, wrong)} == {"Origin"}


async def test_preflight_is_answered_for_the_methods_there_are(start: Start) -> None:
    client = await start(cors_origins=("https://stats.example.org",))
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    granted = await client.options("/logins", headers={**ask, "Origin": "https://stats.example.org"})
    refused = await client.options("/logins", headers={**ask, "Origin": "https://evil.example"})
    assert (granted.status, granted.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD, POST")
    assert granted.headers["Access-Control-Allow-Headers"] == "content-type"
    assert refused.status == 204
    assert not [name for name in refused.headers if name.startswith("Access-Control")]


async def test_full_queue_is_503_with_retry_after(client: Any) -> None:
    client.app[WRITERS]["logins"].stop()
    response = await client.post("/logins", json=LOGIN)
    assert response.status == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert await until(lambda: client.get("/livez"))


async def test_only_allowed_names_are_served(start: Callable[..., Awaitable[Any]]) -> None:
    """A stranger's page can make its own name mean our address; it cannot make it ours."""
    client = await start(allowed_hosts=("stats.example.org",))
    for host, status in {
        "stats.example.org": 200, "Stats.Example.org:8443": 200, "localhost:8080": 200, "127.0.0.1": 200,
        "[::1]:80": 200,
        "evil.example": 421, "stats.example.org.evil.example": 421, "": 421, "127.0.0.1.evil.example": 421,
    }.items():  # fmt: skip
        assert (await client.get("/usage", headers={"Host": host})).status == status, host
    assert (await client.get("/ws", headers={"Host": "evil.example", "Upgrade": "websocket"})).status == 421


@pytest.mark.parametrize(
    ("settings", "answered"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"allowed_hosts": ("other.example",)}, False),
        ({"allowed_hosts": ("rebound.example",)}, True),
        ({"public_url": "https://rebound.example:8443"}, True),
        ({"public_url": "https://other.example"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "192.0.2.1", "allowed_hosts": ("other.example",)}, False),
    ],
)
async def test_server_on_loopback_answers_to_no_name_of_the_public_dns(
    start: Callable[..., Awaitable[Any]], settings: dict[str, Any], answered: bool
) -> None:
    client = await start(**settings)
    for host in ("localhost", "127.0.0.1:80", "[::1]:80", "LOCALHOST:1"):
        assert (await client.get("/usage", headers={"Host": host})).status == 200
    for host in ("stats.localhost:8080", "workstation", "192.0.2.7:80", "[2001:db8::7]:80"):  # in no public DNS
        assert (await client.get("/usage", headers={"Host": host})).status == (
            421 if "allowed_hosts" in settings else 200
        )
    for host in (
        "localhost.",
        "127.0.0.1.rebound.example",
        "localhost.rebound.example",
        "1.2.3.4.5",
        ".",
        "a.localhost.b",
    ):
        other = settings.get("host", "::1") != "0.0.0.0"
        assert (await client.get("/usage", headers={"Host": host})).status == (421 if other else 200), host
    for path in ("/usage", "/", "/logins", "/nowhere"):
        response = await client.get(path, headers={"Host": "rebound.example:8080"})
        assert (response.status == 421) is not answered, path
        if not answered:
            assert "ALLOWED_HOSTS" in (await response.json())["error"]
    view = {"site_id": "s", "event_type": "page_view", "path": "/", "timestamp": "2026-11-21T10:30:00Z"}
    for _ in range(2):  # the lean front learns the head with the first
        response = await client.post("/event", json=view, headers={"Host": "rebound.example"})
        assert response.status == (202 if answered else 421)


async def test_client_that_names_no_host_is_served(client: Any) -> None:
    """HTTP/1.0, as probes speak it. No browser does, so no page of a stranger."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 200")
    writer.close()


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("text/html", "text/html"),
        ("TEXT/HTML", "text/html"),
        ("text/html;q=0.9, application/json;q=0.8", "text/html"),
        ("text/html, */*;q=0.1", "text/html"),
        ("text/html;q=0, application/json", "application/json"),
        ("application/json, text/html;q=0.1", "application/json"),
        ("text/html;q=0.5, application/*", "application/json"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=much", "application/json"),
        ("text/plain, ;q=1,,", "application/json"),
        ("text/htmlx", "application/json"),
    ],
)
async def test_front_door_weighs_what_is_accepted(client: Any, accept: str, media: str) -> None:
    assert (await client.get("/", headers={"Accept": accept})).content_type == media


async def test_front_door_tells_browsers_programs_and_sockets_apart(client: Any) -> None:
    page = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.content_type, page.headers["Cache-Control"]) == ("text/html", "no-cache")
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        index = await client.get("/", headers=headers)
        assert (await index.json())["data"]["endpoints"]["GET /health"]
    assert page.headers["Vary"] == index.headers["Vary"] == "Accept, Upgrade"
    async with client.ws_connect("/") as ws:
        assert set(await ws.receive_json()) == {"stats"}
    foreign = await client.get("/", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert foreign.status == 426
