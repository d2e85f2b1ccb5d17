"""`user`, `token` and `link` as their users run them: what they print, and that it counts at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from callers import log_in, make_user
from folders import ROOT


async def statsd(database_url: str, *arguments: str, code: int = 0) -> str:
    """Run a command; what it wrote to stdout, or to stderr if it is to fail."""
    command = [sys.executable, "-m", "statsd", *arguments, "--database-url", database_url]
    run = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    return run.stderr if code else run.stdout


async def test_users_are_listed_and_get_a_role_that_counts_at_once(start: Any, pool: Any, database_url: str) -> None:
    client = await start(require_login=True)
    await make_user(pool, "vera", "viewer")
    headers = await log_in(client, "vera")
    assert (await client.get("/access/tokens", headers=headers)).status == 403
    await statsd(database_url, "user", "role", "VERA", "admin")
    assert (await client.get("/access/tokens", headers=headers)).status == 200
    (listed,) = map(json.loads, (await statsd(database_url, "user", "list", "--json")).splitlines())
    assert (listed["username"], listed["role"]) == ("vera", "admin")
    assert listed["last_login"] > listed["created_at"]
    table = await statsd(database_url, "user", "list")
    assert table.splitlines()[0].split() == ["id", "username", "role", "created", "at", "last", "login", "sample"]
    assert "vera" in table
    assert "needs a role: viewer or admin" in await statsd(database_url, "user", "role", "vera", code=2)
    assert "there is no user nobody" in await statsd(database_url, "user", "role", "nobody", "admin", code=1)


async def test_tokens_and_links_are_added_listed_and_revoked(start: Any, database_url: str) -> None:
    client = await start(require_login=True)
    secret = (await statsd(database_url, "token", "add", "ci", "--scope", "read", "--days", "9")).strip()
    headers = {"Authorization": f"Bearer {secret}"}
    socket = await client.ws_connect("/ws", headers=headers)
    path = (await statsd(database_url, "link", "add", "logins", "--name", "board")).strip()
    assert (await client.get(path)).status == 200
    tokens, links = await asyncio.gather(
        statsd(database_url, "token", "list"), statsd(database_url, "link", "list", "--json")
    )
    assert tokens.splitlines()[1].split()[1:3] == ["ci", "read"]
    assert secret not in tokens
    assert json.loads(links)["view"] == "logins"
    assert "named ci already" in await statsd(database_url, "token", "add", "ci", "--scope", "read", code=1)
    assert "no share link named ci" in await statsd(database_url, "link", "revoke", "ci", code=1)
    await statsd(database_url, "token", "revoke", "ci")
    assert (await socket.receive()).data == 1008
    assert (await client.get("/logins", headers=headers)).status == 401
    await statsd(database_url, "link", "revoke", "board")
    assert (await client.get(path)).status == 404


@pytest.mark.parametrize("kind", ["token", "link"])
async def test_name_is_found_in_every_spelling(database_url: str, kind: str) -> None:
    for name in ("caf\u00e9", "cafe\u0301"):
        options = ["cafe\u0301", "--scope", "read"] if kind == "token" else ["usage", "--name", "cafe\u0301"]
        await statsd(database_url, kind, "add", *options)
        await statsd(database_url, kind, "revoke", name)
    assert "there is no" in await statsd(database_url, kind, "revoke", name, code=1)


async def test_what_cannot_be_added_is_refused_in_a_sentence(database_url: str) -> None:
    assert "token add needs --scope, once or more: read" in await statsd(database_url, "token", "add", "ci", code=2)
    assert "view must be one of logins" in await statsd(database_url, "link", "add", "board", code=2)
    assert "link add needs a view" in await statsd(database_url, "link", "add", code=2)
