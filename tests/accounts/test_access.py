"""Who may use which route: every rule for every route, so that a new one cannot be forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from callers import SOCKET, Route, callers, make_token, routes

from statsd.web.operation import Operation, declared

ROUTES = routes()
READERS = {"viewer", "admin", "read", "admin token"}
MAY = {
    "open": {"anybody", *READERS, "metrics", "ingest", "link"},
    "ingest": {"anybody", *READERS, "metrics", "ingest", "link"},
    "read": READERS,
    "login": READERS,
    "metrics": {"admin", "admin token", "metrics"},
    "admin": {"admin", "admin token"},
}
"""Who may use the routes of an access where reading is locked; share links only what they share."""


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


async def denied(client: Any, route: Route, headers: dict[str, str]) -> int:
    """The status if the check in front of the handler refused the request, else 0."""
    kind = {"Content-Type": "application/json"} if route.method in ("POST", "PUT") else {}
    async with client.request(route.method, route.address, headers={**kind, **headers}) as response:
        if response.status not in (401, 403):
            assert response.status < 500, await response.text()
            return 0
        if route.method != "HEAD":
            body = await response.json()
            assert body.get("error") in ("No token provided", "Invalid or expired token") or "scope" in body["error"]
            assert set(body) <= {"success", "message", "error", "details"}
        assert (response.headers.get("WWW-Authenticate") == "Bearer") is (response.status == 401)
        return int(response.status)


async def test_every_route_lets_in_whom_it_declares_where_reading_is_locked(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    everybody = await callers(client, pool)
    for route in ROUTES:
        if route.path in ("/track", "/logout", "/ws", "/events/ws"):  # they have tests of their own
            continue
        for who, headers in everybody.items():
            allowed = who in MAY[route.access]
            if who == "link" and route.method in ("GET", "HEAD"):
                allowed |= route.shared == "every" or (route.shared == "own" and route.view == "webhooks")
            if route.path.startswith("/statistics") and allowed:
                headers = {**headers, "Accept": "application/json"}  # noqa: PLW2901 - not an endless answer
            expected = 0 if allowed else 401 if who == "anybody" else 403
            assert await denied(client, route, headers) == expected, f"{who}: {name_of(route)}"


@pytest.mark.parametrize("path", ["/", "/ws", "/events/ws", "/ws?stream=events"])
async def test_socket_is_locked_on_every_path_that_opens_one(start: Any, pool: Any, path: str) -> None:
    client = await start(require_login=True)
    assert (await client.get(path, headers=SOCKET)).status == 401
    async with client.ws_connect(path, headers=await make_token(pool, "read")) as socket:
        await socket.send_json({"type": "ping"})
        while (frame := await socket.receive_json()) != {"type": "pong"}:
            assert "stats" in frame


async def test_nothing_is_locked_and_nobody_is_asked_by_default(client: Any) -> None:
    for route in ROUTES:
        for headers in ({}, {"Authorization": "Bearer stl_wrong"}, {"Authorization": "Basic YTpi"}):
            if route.method == "GET" and route.access == "read" and "ws" not in route.path:
                found = await denied(client, route, {**headers, "Accept": "application/json"})
                assert found == 0, name_of(route)
    assert (await client.get("/logins?link=somewhere")).status == 200
    assert (await client.get("/analytics")).status == 401


async def test_path_that_does_not_exist_is_404_and_a_wrong_method_405(start: Any) -> None:
    client = await start(require_login=True)
    assert (await client.get("/nowhere")).status == 404
    assert (await client.delete("/logins")).status == 405
    assert (await client.options("/logins/stats")).status == 204


async def test_no_answer_but_those_of_ways_in_is_for_pages_of_every_origin(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    headers = {"Origin": "http://localhost:1", **await make_token(pool, "read")}
    asked = {"Access-Control-Request-Method": "GET"}
    for route in ROUTES:
        if route.method == "HEAD" or "ws" in route.path:
            continue
        method = "POST" if route.method == "POST" else route.method
        mine = {**headers, "Accept": "application/json"}
        for response in (
            await client.request(method, route.address, headers=mine),
            await client.options(route.address, headers={**headers, **asked}),
            await client.request(
                method, route.address, headers={"Origin": headers["Origin"], "Accept": "application/json"}
            ),
        ):
            if "Access-Control-Allow-Origin" in response.headers:
                ways = {one.access for one in ROUTES if one.path == route.path}
                assert "ingest" in ways or route.path == "/t.js", name_of(route)  # the script that sends there
            response.release()
    assert (await client.post("/event", headers=headers, json={})).headers["Access-Control-Allow-Origin"] == "*"


def test_route_that_declares_nothing_is_locked() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    assert declared(handler).access == Operation().access == "read"


def test_open_and_shared_routes_are_these() -> None:
    """Whoever opens a route changes this list."""
    assert sorted({route.path for route in ROUTES if route.access == "open"}) == [
        "/", "/assets/{name}", "/dashboard", "/docs", "/docs/{name}", "/favicon.ico", "/favicon.svg", "/health",
        "/livez", "/login", "/logout", "/openapi.json", "/readyz", "/register", "/share/{secret}", "/t.js",
    ]  # fmt: skip
    shared = {(route.view, route.path) for route in ROUTES if route.shared != "no"}
    assert sorted(shared) == [
        ("logins", "/logins/stats"), ("logins", "/ws"),
        ("pageviews", "/pageviews"), ("pageviews", "/stats"),
        ("transfers", "/items"), ("transfers", "/items/{item}"), ("transfers", "/statistics/item-creation/{unit}"),
        ("transfers", "/statistics/transfers/{unit}"), ("transfers", "/transfers"),
        ("usage", "/analytics"), ("usage", "/usage"),
        ("webhooks", "/events"), ("webhooks", "/events/refused"), ("webhooks", "/events/stats"),
        ("webhooks", "/events/ws"), ("webhooks", "/export/csv"), ("webhooks", "/export/json"),
        ("webhooks", "/export/ndjson"), ("webhooks", "/webhooks"),
    ]  # fmt: skip
    assert {route.method for route in ROUTES if route.shared != "no"} == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("settings", "statuses"),
    [
        ({}, [200, 200, 200]),
        ({"metrics": "login"}, [401, 403, 200]),
        ({"metrics": "off"}, [404, 404, 404]),
        ({"require_login": True}, [401, 403, 200]),
        ({"require_login": True, "metrics": "open"}, [200, 200, 200]),
    ],
)
async def test_metrics_are_read_by_choice(start: Any, pool: Any, settings: dict[str, Any], statuses: list[int]) -> None:
    """By anybody, by who may read, and by a token for them."""
    client = await start(**settings)
    tokens: list[dict[str, str]] = [{}, await make_token(pool, "read"), await make_token(pool, "metrics")]
    assert [(await client.get("/metrics", headers=headers)).status for headers in tokens] == statuses
