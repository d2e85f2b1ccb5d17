"""API tokens and share links: what each lets in, how it ends, and what is kept of it."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from callers import ID, log_in, make_link, make_token, make_user
from databases import renamed
from waiting import until

from statsd.accounts.access import HOLDS
from statsd.accounts.keys import Keys
from statsd.accounts.session import TOKENS
from statsd.accounts.tokens import LEEWAY_SECONDS, SECONDS
from statsd.database.pool import connect

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
EVENT = {"eventType": "page_view", "userId": "7", "timestamp": "2026-01-01T12:00:00Z"}
VIEW = {"site_id": "shop", "event_type": "page_view", "path": "/", "timestamp": "2026-01-01T12:00:00Z"}
WAYS_IN = {
    "logins": ("POST", "/logins", LOGIN),
    "webhooks": ("POST", "/webhook", EVENT),
    "transfers": ("POST", "/owners", {"name": "Ada"}),
    "pageviews": ("POST", "/event", VIEW),
}
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


async def send(client: Any, stream: str, headers: dict[str, str]) -> int:
    method, path, body = WAYS_IN[stream]
    async with client.request(method, path, json=body, headers=headers) as response:
        return int(response.status)


@pytest.mark.parametrize("stream", WAYS_IN)
async def test_way_in_that_needs_a_token_takes_no_other(start: Any, pool: Any, stream: str) -> None:
    client = await start(require_ingest_token=tuple(WAYS_IN))
    right, other = await make_token(pool, f"ingest:{stream}"), await make_token(pool, "read", "admin")
    assert await send(client, stream, {}) == 401
    assert await send(client, stream, {"Authorization": "Bearer stl_" + "0" * 48}) == 401
    assert await send(client, stream, other) == 403
    assert await send(client, stream, right) in (200, 201, 202)


async def test_ways_in_of_other_streams_stay_open_and_look_at_no_token(start: Any) -> None:
    client = await start(require_ingest_token=("logins",), require_login=True)
    for stream in ("webhooks", "transfers", "pageviews"):
        assert await send(client, stream, {"Authorization": "Bearer stl_wrong"}) in (200, 201, 202)


async def test_ingest_goes_on_with_a_token_seen_before_while_the_database_is_away(
    start: Any, pool: Any, server_dsn: str
) -> None:
    client = await start(require_ingest_token=("pageviews",))
    seen, unseen = await make_token(pool, "ingest:pageviews"), await make_token(pool, "ingest:pageviews", "read")
    assert await send(client, "pageviews", seen) == 202
    admin = await connect(renamed(server_dsn, "postgres"))
    name = await pool.fetchval("select current_database()")
    await admin.execute(f"alter database {name} allow_connections false")
    await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
    assert await send(client, "pageviews", seen) == 202
    assert await send(client, "pageviews", unseen) == 503
    assert await send(client, "pageviews", {}) == 401
    await admin.execute(f"alter database {name} allow_connections true")
    await admin.close()


@pytest.mark.parametrize("guard", ["key", "signature"])
async def test_token_stands_in_place_of_the_key_or_the_signature(start: Any, pool: Any, guard: str) -> None:
    secrets = (base64.b64decode(SECRET.removeprefix("whsec_")),)
    client = await start(**({"webhook_api_key": "k"} if guard == "key" else {"webhook_secrets": secrets}))
    right, other = await make_token(pool, "ingest:webhooks"), await make_token(pool, "ingest:logins")
    assert await send(client, "webhooks", {}) == 401
    assert await send(client, "webhooks", {"Authorization": "Bearer stl_wrong"}) == 401
    assert await send(client, "webhooks", other) == 403
    assert await send(client, "webhooks", right) == 200


async def test_token_ends_when_it_is_revoked_or_its_days_are_over(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    for how in ("delete from access_keys", "update access_keys set expires_at = now()"):
        headers = await make_token(pool, "read", days=1)
        assert (await client.get("/logins", headers=headers)).status == 200
        await pool.execute(how)
        assert (await client.get("/logins", headers=headers)).status == 401
        await pool.execute("delete from access_keys")


async def test_only_the_digest_is_stored_and_the_last_use_once_a_minute(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    headers = await make_token(pool, "read")
    secret = headers["Authorization"].removeprefix("Bearer ")
    assert re.fullmatch(r"stl_[0-9a-f]{48}", secret)
    used = "select last_used from access_keys"
    assert await pool.fetchval(used) is None
    await client.get("/logins", headers=headers)
    first = await until(lambda: pool.fetchval(used))
    await client.get("/logins", headers=headers)
    assert await pool.fetchval(used) == first
    assert secret not in str(await pool.fetch("select * from access_keys"))


async def test_share_link_reads_one_view_with_any_lock_and_nothing_else(start: Any, pool: Any) -> None:
    for settings in ({}, {"require_login": True}):
        client = await start(**settings)
        secret = await make_link(pool, "logins", 1)
        assert (await client.get(f"/logins/stats?link={secret}")).status == 200
        async with client.get(f"/webhooks?link={secret}") as response:
            assert (response.status, "the scope read" in (await response.json())["error"]) == (403, True)
        if settings:
            assert (await client.get(f"/logins?link={secret}")).status == 403
        assert (await client.post("/access/tokens?link=" + secret, json={})).status == 403
        assert (await client.get("/logins/stats?link=shl_" + "0" * 48)).status == 401
        async with client.ws_connect(f"/ws?link={secret}") as socket:
            await socket.send_json({"type": "subscribe", "topics": ["webhooks"]})
            assert (await socket.receive_json())["message"] == "topics: must be a list of logins"
            await socket.send_json({"type": "subscribe", "channel": "events"})
            assert (await socket.receive_json())["type"] == "error"
            await socket.send_json({"type": "subscribe", "topics": ["logins"]})
            assert (await socket.receive_json())["type"] == "subscribed"
            assert (await socket.receive_json())["topic"] == "logins"
        assert (await client.get(f"/events/ws?link={secret}")).status == 403
        await pool.execute("delete from access_keys")


async def test_socket_of_another_view_gets_nothing_of_the_logins(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    secret = await make_link(pool, "pageviews")
    async with client.ws_connect(f"/ws?link={secret}") as socket:
        assert await send(client, "logins", {}) == 201
        await socket.send_json({"type": "request_initial_data"})
        assert (await socket.receive_json())["message"] == "not shared: subscribe to pageviews"
        await socket.send_json({"type": "ping"})
        assert await socket.receive_json() == {"type": "pong"}


async def test_event_stream_takes_a_link_and_ends_with_it(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    secret = await make_link(pool, "transfers")
    keys = Keys(pool, is_link=True)
    async with client.get(f"/statistics/transfers/day?link={secret}") as response:
        assert await response.content.readline() == b"retry: 3000\n"
        await keys.revoke("link transfers")
        client.app[HOLDS].revoked()
        assert b"data" in await response.content.read()  # which ends
    assert (await client.get(f"/statistics/transfers/day?link={secret}")).status == 401


@pytest.mark.parametrize("how", ["logout", "removed", "role", "token revoked", "token over"])
async def test_socket_closes_when_its_right_ends(start: Any, pool: Any, how: str) -> None:
    client = await start(require_login=True)
    await make_user(pool, "vera", "viewer")
    headers = await make_token(pool, "read") if how.startswith("token") else await log_in(client, "vera")
    async with client.ws_connect("/ws", headers=headers) as socket:
        await socket.send_json({"type": "ping"})
        assert await socket.receive_json() == {"type": "pong"}
        if how == "logout":
            assert (await client.post("/logout", headers=headers)).status == 200
        else:
            await pool.execute({
                "removed": "delete from users",
                "role": "update users set role = 'admin'",
                "token revoked": "delete from access_keys",
                "token over": "update access_keys set expires_at = now()",
            }[how])  # fmt: skip
            await pool.execute("select pg_notify('statsd', 'access')")  # as the commands do
        if how == "role":  # it is read at every check
            assert await until(lambda: metrics_of(client, headers)) == 200
            return
        message = await socket.receive()
        assert (message.data, message.extra) == (1008, "the right to read has ended")


async def test_socket_closes_at_the_end_of_the_session(start: Any, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await start(require_login=True)
    await make_user(pool, "vera", "viewer")
    now, age = time.time(), SECONDS + LEEWAY_SECONDS - 1
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now - age)
        token = client.app[TOKENS].make(await pool.fetchval("select id from users"), "vera", 1)
    async with client.ws_connect("/ws", headers={"Authorization": f"Bearer {token}"}) as socket:
        assert (await socket.receive()).data == 1008
    assert (await client.get("/logins", headers={"Authorization": f"Bearer {token}"})).status == 401


async def metrics_of(client: Any, headers: dict[str, str]) -> int:
    async with client.get("/metrics", headers=headers) as response:
        return int(response.status)


async def test_admin_manages_tokens_and_links_over_http(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    await make_user(pool, "ada", "admin")
    headers = await log_in(client, "ada")
    new = {"name": "grafana", "scopes": ["read"], "days": 90}
    async with client.post("/access/tokens", json=new, headers=headers) as response:
        added = await response.json()
        assert response.status == 201
    token = {"Authorization": f"Bearer {added['token']}"}
    assert (await client.get("/logins", headers=token)).status == 200
    async with client.get("/access/tokens", headers=headers) as response:
        (listed,) = await response.json()
    ends = datetime.fromisoformat(listed["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends <= timedelta(days=90)
    assert "token" not in listed
    assert added["token"] not in json.dumps(listed)
    assert (await client.post("/access/tokens", json=new, headers=headers)).status == 409
    assert (await client.delete("/access/tokens/grafana", headers=headers)).status == 204
    assert (await client.get("/logins", headers=token)).status == 401
    assert (await client.delete("/access/tokens/grafana", headers=headers)).status == 404
    async with client.post("/access/links", json={"view": "logins"}, headers=headers) as response:
        link = await response.json()
    assert (await client.get(link["path"])).status == 200
    assert (await client.delete(f"/access/links/{link['name']}", headers=headers)).status == 204
    assert (await client.get(link["path"])).status == 404


@pytest.mark.parametrize(
    ("path", "body", "faults"),
    [
        ("tokens", {"name": " ", "scopes": ["write"], "days": 0}, ["name must", "scopes: some of", "days must"]),
        ("tokens", {"name": "a"}, ["Object missing required field `scopes`"]),
        ("links", {"view": "all", "days": 99999}, ["view must be one of", "days must"]),
        ("links", [], ["Expected `object`"]),
    ],
)
async def test_bad_key_is_refused_with_all_faults(
    start: Any, pool: Any, path: str, body: Any, faults: list[str]
) -> None:
    client = await start()
    headers = await make_token(pool, "admin")
    async with client.post(f"/access/{path}", json=body, headers=headers) as response:
        error = (await response.json())["error"]
        assert response.status == 400
    assert all(fault in error for fault in faults), error


async def test_page_of_another_site_cannot_use_the_session_of_an_admin(start: Any, pool: Any) -> None:
    client = await start(require_login=True)
    await make_user(pool, "ada", "admin")
    token = (await log_in(client, "ada"))["Authorization"].removeprefix("Bearer ")
    headers = {"Cookie": f"auth_token={token}", "Origin": "https://evil.example"}
    async with client.post("/access/tokens", json={"name": "a", "scopes": ["admin"]}, headers=headers) as response:
        assert response.status == 403
    assert await pool.fetchval("select count(*) from access_keys") == 0


async def test_receipt_is_read_and_not_open(start: Any) -> None:
    client = await start(require_login=True)
    assert (await client.get(f"/jobs/{ID}")).status == 401
