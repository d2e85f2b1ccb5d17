"""How a body may be compressed, on every route that reads one; and which version of an answer a client has."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from statsd.web.operation import declared
from statsd.web.origins import HEADERS

VIEW = b'{"site_id":"s","event_type":"page_view","path":"/","timestamp":"2026-11-21T10:30:00Z"}'
JSON = {"Content-Type": "application/json"}
VALUES = {"item": "8645a131-a7ae-4569-bb3c-1f1c7ae86829", "sender": "github"}  # in the path of a route
ELSEWHERE = {"Origin": "https://shop.example", "X-Request-Id": "r-1"}
KNOWN: dict[Callable[[bytes], bytes], tuple[str, ...]] = {
    gzip.compress: ("gzip", "x-gzip", "GZip", "X-GZIP", " gzip ", "gzip, identity", ",gzip,"),
    zlib.compress: ("deflate", "Deflate", "identity,deflate"),
    bytes: ("", "identity", "IDENTITY", "identity, identity", ","),
}
UNKNOWN = ("br", "zstd", "compress", "x", "x-deflate", "gzip, gzip", "deflate, gzip", "gzip;q=1", "gzip gzip", "*")


async def test_body_is_read_in_each_encoding_it_may_have(client: Any) -> None:
    for compress, encoding in [(compress, encoding) for compress, names in KNOWN.items() for encoding in names]:
        response = await client.post("/event", data=compress(VIEW), headers={**JSON, "Content-Encoding": encoding})
        assert response.status == 202, (encoding, await response.text())


async def test_every_other_encoding_is_415_on_every_route_that_reads_a_body(client: Any) -> None:
    ada = {"username": "ada", "password": "correct horse", "age": 34, "gender": "Female"}
    user = {"Authorization": f"Bearer {(await (await client.post('/register', json=ada)).json())['token']}"}
    routes = {
        (route.method, route.resource.canonical.format_map(VALUES))
        for route in client.app.router.routes()
        if route.resource and declared(route.handler).body and declared(route.handler).access != "admin"
    }
    assert {("POST", "/event"), ("POST", "/webhook"), ("POST", "/login"), ("POST", "/track")} < routes
    for method, path in sorted(routes):
        for encoding in UNKNOWN if path == "/event" else UNKNOWN[:2]:
            headers = {**JSON, **user, **ELSEWHERE, "Content-Encoding": encoding}
            headers |= {"Origin": str(client.make_url("")).rstrip("/")} if path in ("/login", "/register") else {}
            response = await client.request(method, path, data=b"{}", headers=headers)
            assert response.status == 415, (path, encoding, await response.text())
            assert (await response.json())["error"] == "Content-Encoding: must be gzip, deflate or absent"
            assert HEADERS.items() <= dict(response.headers).items()
            assert response.headers["X-Request-Id"] == "r-1"
            assert "Server" not in response.headers
            if path in ("/event", "/webhook"):
                assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_encoding_in_two_lines_is_a_list(client: Any) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip"), ("Content-Encoding", "identity")]
    assert (await client.post("/event", data=gzip.compress(VIEW), headers=headers)).status == 202
    headers[2] = ("Content-Encoding", "gzip")
    assert (await client.post("/event", data=gzip.compress(gzip.compress(VIEW)), headers=headers)).status == 415


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_client_that_has_a_version_gets_304(client: Any, method: str) -> None:
    for path in ("/stats?site_id=s", "/events/stats", "/openapi.json", "/dashboard", "/assets/app.js"):
        await check_versions(client, method, path)


async def check_versions(client: Any, method: str, path: str) -> None:
    first = await client.get(path)
    tag = first.headers["ETag"]
    for header in (tag, f"W/{tag}", f'"other", W/{tag}', f'"other" ,{tag}', "*", " * "):
        again = await client.request(method, path, headers={"If-None-Match": header})
        assert (again.status, await again.read()) == (304, b""), header
        assert again.headers["ETag"] == tag
    for header in ('"other"', 'W/"other"', tag.strip('"'), ""):
        assert (await client.request(method, path, headers={"If-None-Match": header})).status == 200, header
