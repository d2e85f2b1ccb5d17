"""Behind TLS: cookies, HSTS and our own origin. On plain HTTP all stays as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

Start = Callable[..., Awaitable[Any]]

PUBLIC = "https://stats.example.org"
HSTS = "max-age=31536000; includeSubDomains"
ANNA = {"username": "anna", "password": "correct horse", "age": 34, "gender": "Female"}
VIEW = {"site_id": "s", "event_type": "page_view", "path": "/", "timestamp": "2026-11-21T10:30:00Z"}
PROXY = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}
CASES = [
    ({}, {}, False),
    ({}, {"X-Forwarded-Proto": "https"}, False),
    ({"trusted_proxies": (ip_network("10.0.0.0/8"),)}, {"X-Forwarded-Proto": "https"}, False),
    (PROXY, {"X-Forwarded-Proto": "https"}, True),
    (PROXY, {"X-Forwarded-Proto": "http"}, False),
    (PROXY, {}, False),
    ({"public_url": PUBLIC}, {}, True),
    ({"public_url": PUBLIC}, {"X-Forwarded-Proto": "http"}, True),
    ({**PROXY, "public_url": "http://stats.example.org"}, {"X-Forwarded-Proto": "https"}, False),
]


def names_of(response: Any) -> list[str]:
    return [cookie.partition("=")[0] for cookie in response.headers.getall("Set-Cookie")]


@pytest.mark.parametrize(("settings", "headers", "is_secure"), CASES)
async def test_settings_and_trusted_proxies_decide_what_is_secure(
    start: Start, settings: dict[str, Any], headers: dict[str, str], is_secure: bool
) -> None:
    client = await start(**settings)
    response = await client.post("/register", json=ANNA, headers=headers)
    assert response.status == 201
    prefix, attributes = ("__Host-", "Secure; SameSite=Lax") if is_secure else ("", "SameSite=Lax")
    assert names_of(response) == [f"{prefix}auth_token", f"{prefix}user_data"]
    for cookie in response.headers.getall("Set-Cookie"):
        assert cookie.endswith(attributes)
        assert ("Secure" in cookie) == is_secure
        assert "; Path=/;" in cookie
        assert "Domain" not in cookie
    answers = [response, *[await client.get(path, headers=headers) for path in ("/", "/docs", "/usage", "/nowhere")]]
    answers += [await client.post("/event", json=VIEW, headers=headers) for _ in range(3)]  # the lean front, too
    assert {answer.headers.get("Strict-Transport-Security") for answer in answers} == {HSTS if is_secure else None}


async def test_both_names_are_read_and_logout_clears_both(start: Start) -> None:
    client = await start(public_url=PUBLIC)
    client.session.cookie_jar.clear()
    old = (await (await client.post("/register", json=ANNA)).json())["token"]
    new = (await (await client.post("/login", json=ANNA)).json())["token"]
    for cookie in (f"auth_token={old}", f"__Host-auth_token={new}", f"auth_token=broken; __Host-auth_token={new}"):
        assert (await client.get("/analytics", headers={"Cookie": cookie})).status == 200
    broken = await client.get("/analytics", headers={"Cookie": f"auth_token={old}; __Host-auth_token=broken"})
    assert broken.status == 401  # another host of the domain can set the one, but not the other
    response = await client.post("/logout", headers={"Cookie": f"auth_token={old}; __Host-auth_token={new}"})
    assert sorted(names_of(response)) == ["__Host-auth_token", "__Host-user_data", "auth_token", "user_data"]
    for cookie in response.headers.getall("Set-Cookie"):
        assert "=; Path=/; Expires=Thu, 01 Jan 1970" in cookie
        assert cookie.startswith("__Host-") == ("Secure" in cookie)
    for token in (old, new):
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/analytics", headers=bearer)).status == 401


async def test_cookies_for_a_page_of_another_origin_keep_their_attribute(start: Start) -> None:
    client = await start(public_url=PUBLIC, frontend_url="https://app.example.org")
    for cookie in (await client.post("/register", json=ANNA)).headers.getall("Set-Cookie"):
        assert cookie.startswith("__Host-")
        assert cookie.endswith("Secure; SameSite=None")


@pytest.mark.parametrize(
    ("settings", "host", "origin", "allowed"),
    [
        ({"public_url": PUBLIC}, "stats.example.org", PUBLIC, True),
        ({"public_url": PUBLIC}, "stats.example.org", "HTTPS://Stats.example.org", True),
        ({"public_url": PUBLIC}, "127.0.0.1:8080", PUBLIC, True),  # a proxy that does not pass on Host
        ({"public_url": PUBLIC}, "stats.example.org", "http://stats.example.org", False),
        ({"public_url": PUBLIC}, "127.0.0.1:8080", "http://127.0.0.1:8080", True),  # past the proxy, on this machine
        ({"public_url": PUBLIC}, "stats.example.org", "https://evil.example", False),
        ({"public_url": "http://stats.example.org"}, "stats.example.org", "http://stats.example.org", True),
        ({}, "localhost:80", "http://localhost:80", True),
        ({}, "localhost:80", "https://localhost:80", True),  # a proxy that says nothing
    ],
)
async def test_own_origin_has_the_right_scheme(
    start: Start, settings: dict[str, Any], host: str, origin: str, allowed: bool
) -> None:
    client = await start(**settings)
    headers = {"Host": host, "Origin": origin}
    registered = await client.post("/register", json=ANNA, headers=headers)
    assert registered.status == (201 if allowed else 403)
    if allowed:
        async with client.ws_connect("/ws", headers=headers) as ws:
            await ws.send_json({"type": "ping"})
            assert await ws.receive_json() == {"type": "pong"}
    else:
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect("/ws", headers=headers)
        assert refused.value.status == 403
