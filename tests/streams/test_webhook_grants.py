"""The handshake of CloudEvents HTTP WebHook 1.0.2 §4: a sender asks with OPTIONS whether it may deliver."""

from __future__ import annotations

from typing import Any

import pytest
from deliveries import EVENT, post

ASKED = {"WebHook-Request-Origin": "eventemitter.example.com"}
GRANT = {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}


async def ask(client: Any, headers: dict[str, str], path: str = "/webhook") -> tuple[int, dict[str, str]]:
    """The status, and those headers of the answer that speak of what is allowed."""
    response = await client.options(path, headers=headers)
    assert await response.read() == b""
    return response.status, {name: value for name, value in response.headers.items() if "Allow" in name}


@pytest.mark.parametrize(
    "more",
    [{}, {"WebHook-Request-Rate": "120"}, {"WebHook-Request-Callback": "https://example.com/confirm?id=1&key=2"}],
)
async def test_sender_that_asks_is_granted(client: Any, more: dict[str, str]) -> None:
    assert await ask(client, ASKED | more) == (200, {"Allow": "POST", **GRANT})


async def test_other_questions_get_no_grant(client: Any) -> None:
    assert await ask(client, {}) == (204, {"Allow": "POST"})
    assert await ask(client, {"WebHook-Request-Origin": ""}) == (204, {"Allow": "POST"})
    assert await ask(client, {"WebHook-Request-Rate": "120"}) == (204, {"Allow": "POST"})
    for path, allow in (("/event", "POST"), ("/events", "GET,HEAD"), ("/health", "GET,HEAD")):
        status, headers = await ask(client, ASKED, path)
        assert (status, headers) == (204, {"Allow": headers["Allow"]})
        assert headers["Allow"].replace(" ", "") == allow


async def test_preflight_of_a_browser_is_answered_beside_a_grant(client: Any) -> None:
    browser = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    cors = {
        "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "",
    }  # fmt: skip
    assert await ask(client, browser) == (204, {"Allow": "POST", **cors})
    assert await ask(client, browser | ASKED) == (200, {"Allow": "POST", **GRANT, **cors})


async def test_grant_is_no_right(start: Any) -> None:
    client = await start(webhook_api_key="open sesame", require_login=True)
    assert await ask(client, ASKED) == (200, {"Allow": "POST", **GRANT})
    await post(client, EVENT, 401, WebHook_Request_Origin="eventemitter.example.com")
    await post(client, EVENT, WebHook_Request_Origin="eventemitter.example.com", X_API_Key="open sesame")
