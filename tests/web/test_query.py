"""What a query may say: a name that a route does not know is a fault, not a default; so is an empty value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from statsd.app import make_app
from statsd.settings import Settings
from statsd.web.operation import declared

Start = Callable[..., Awaitable[Any]]

ITEM = "8645a131-a7ae-4569-bb3c-1f1c7ae86829"
ANNA = {"username": "anna", "password": "correct horse", "age": 34, "gender": "Female"}
PLACES = {"{job}": ITEM, "{item}": ITEM, "{unit}": "day", "{name}": "x", "{secret}": "x"}
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
SOCKET = {**UPGRADE, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
JSON = {"Accept": "application/json"}


def operations() -> list[tuple[str, Any]]:
    """Each path with a GET, and its operation."""
    paths = {}
    for route in make_app(Settings()).router.routes():
        if route.method == "GET" and route.resource:
            path = route.resource.canonical
            for place, value in PLACES.items():
                path = path.replace(place, value)
            paths[path] = declared(route.handler)
    return sorted(paths.items(), key=lambda path: path[0])


READS = [path for path, operation in operations() if operation.strict]
FILES = [path for path, operation in operations() if not operation.strict]


@pytest.fixture
async def admin(client: Any, pool: Any) -> Any:
    """A client whose cookies may read everything."""
    assert (await client.post("/register", json=ANNA)).status == 201
    await pool.execute("update users set role = 'admin'")
    return client


async def fault(client: Any, address: str, **headers: str) -> str:
    response = await client.get(address, headers={**JSON, **headers})
    answer = await response.json()
    assert response.status == 400, (address, answer)
    assert answer["success"] is False
    message: str = answer["error"]
    return message


async def test_unknown_name_is_400_on_every_route_that_reads(admin: Any) -> None:
    assert {"/stats", "/events", "/export/csv", "/ws", "/events/ws", "/health", "/livez", "/metrics"} < {*READS}
    for path in READS:
        for headers in ({}, SOCKET) if path.endswith("ws") else ({},):
            assert '"nosuch"' in await fault(admin, f"{path}?nosuch=1", **headers), path
        head = await admin.head(f"{path}?nosuch=1", headers=JSON)
        assert head.status == 400, path
    stream = await admin.get("/statistics/transfers/day?nosuch=1", headers={"Accept": "text/event-stream"})
    assert stream.status == 400


async def test_files_and_the_page_take_any_query(client: Any) -> None:
    assert {"/", "/dashboard", "/t.js", "/docs", "/openapi.json"} < {*FILES}
    for path in FILES:
        plain = await client.get(path, headers={"Accept": "text/html"})
        asked = await client.get(f"{path}?v=1&limit=&ref=x", headers={"Accept": "text/html"})
        assert asked.status == plain.status, path
    assert '"v"' in await fault(client, "/?v=1")
    assert '"v"' in await fault(client, "/?v=1", **SOCKET)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("/logins?limt=5", "did you mean limit?"),
        ("/logins?LIMIT=5", "did you mean limit?"),
        ("/logins?Limit=5&limit=5", "did you mean limit?"),
        ("/logins?page=5", "known: limit"),
        ("/stats?site=a", "did you mean site_id?"),
        ("/stats?siteId=a", "did you mean site_id?"),
        ("/stats?site_id=a&day=2026-11-21", "did you mean date?"),
        ("/stats?site_id[]=a", "site_id query parameter is required"),
        ("/analytics?start_date=2026-11-21", "did you mean startDate?"),
        ("/analytics?agegroup=All", "did you mean ageGroup?"),
        ("/events?fliter=day", "did you mean filter?"),
        ("/events/stats?lnk=shl_x", "did you mean link?"),
        ("/livez?limit=1", "this route has none"),
        ("/logins?=1", 'unknown query parameter ""'),
        ("/logins?%D1%84=1", 'unknown query parameter "ф"'),
    ],
)
async def test_fault_names_the_nearest_name(admin: Any, address: str, hint: str) -> None:
    assert hint in await fault(admin, address)


async def test_all_faults_stand_in_one_answer(client: Any) -> None:
    message = await fault(client, "/events?filter=day&filter=hour&lmit=3&cursr=x&limit=1&limit=2&nosuch")
    assert message.split("; ") == [
        'unknown query parameter "lmit" (did you mean limit?)',
        'unknown query parameter "cursr" (did you mean cursor?)',
        'unknown query parameter "nosuch" (known: filter, limit, cursor, link)',
        "filter must be given once",
        "limit must be given once",
    ]
    details = await client.get("/items?lmit=3&before=x", headers=JSON)
    assert (await details.json())["details"] == ['unknown query parameter "lmit" (did you mean limit?)']


async def test_many_or_long_names_make_a_short_answer(client: Any) -> None:
    assert len(await fault(client, "/logins?" + "&".join(f"a{number}" for number in range(900)))) < 600
    assert len(await fault(client, "/logins?" + "a" * 7_000)) < 200


@pytest.mark.parametrize("query", ["_=1764239400", "utm_source=mail&utm_medium=x&utm_source=y", "_&_=2", "utm_=1"])
async def test_cache_breakers_and_marks_of_campaigns_pass(client: Any, query: str) -> None:
    for path in ("/logins", "/health", "/events/stats", "/"):
        assert (await client.get(f"{path}?{query}", headers=JSON)).status == 200
    assert (await client.get("/ws?" + query, headers=SOCKET)).status == 101


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("/logins?limit=", "limit"),
        ("/stats?site_id=", "site_id"),
        ("/stats?site_id=a&date=", "date"),
        ("/stats?site_id=a&from=", "from"),
        ("/stats?site_id=a&to=", "to"),
        ("/stats?site_id=a&limit", "limit"),
        ("/events?filter=", "filter"),
        ("/events?cursor=", "cursor"),
        ("/export/csv?filter=", "filter"),
        ("/items?before=", "before"),
        ("/statistics/transfers/day?since=", "since"),
        ("/ws?stream=", "stream"),
        ("/ws?stream=nosuch", "stream"),
        ("/ws?session_stats=", "session_stats"),
        *((f"/analytics?{name}=", name) for name in ("startDate", "endDate", "ageGroup", "gender", "feature", "tz")),
    ],
)
async def test_empty_value_counts_as_given(admin: Any, address: str, named: str) -> None:
    assert named in await fault(admin, address, **(SOCKET if address.startswith("/ws") else {}))


async def test_no_route_takes_an_empty_value_for_its_default(admin: Any) -> None:
    may_be_empty = {"lastEventId"}
    for path, operation in operations():
        for name in [name for name in operation.query if name not in may_be_empty]:
            needed = "".join(
                f"&{other}=a" for other, parameter in operation.query.items() if parameter.required and other != name
            )
            assert name in await fault(admin, f"{path}?{name}={needed}", **(SOCKET if path == "/ws" else {})), path


async def test_every_declared_parameter_is_known(admin: Any) -> None:
    for path, operation in operations():
        for name in (*operation.query, "link") if operation.strict else ():
            response = await admin.get(f"{path}?{name}=%00", headers=JSON)
            assert "unknown query parameter" not in await response.text(), (path, name)


async def test_right_to_read_is_asked_before_the_query(start: Start) -> None:
    client = await start(require_login=True)
    for path in ("/logins", "/metrics", "/ws"):
        assert (await client.get(f"{path}?nosuch=1", headers=JSON)).status == 401
    with pytest.raises(WSServerHandshakeError, match="401"):
        await client.ws_connect("/?nosuch=1")


async def test_ways_in_and_unknown_paths_stay_as_they_are(client: Any) -> None:
    view = {"site_id": "s", "event_type": "page_view", "path": "/", "timestamp": "2026-11-21T10:30:00Z"}
    assert (await client.post("/event?nosuch=1", json=view)).status == 202
    assert (await client.get("/nosuch?nosuch=1")).status == 404
    assert (await client.delete("/logins?nosuch=1")).status == 405
    assert (await client.options("/logins?nosuch=1")).status == 204
