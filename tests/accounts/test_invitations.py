"""Who may register: anybody, or where that is closed, those with an invitation that was not used yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from program import Program

from statsd.accounts import invitations
from statsd.accounts.signin import CLOSED

Start = Callable[..., Awaitable[Any]]

ANNA = {"username": "anna", "password": "correct horse", "age": 34, "gender": "Female"}


async def register(client: Any, **fields: Any) -> tuple[int, dict[str, Any]]:
    response = await client.post("/register", json={**ANNA, **fields})
    client.session.cookie_jar.clear()
    return response.status, await response.json()


@pytest.mark.parametrize(
    ("settings", "is_open"),
    [
        ({}, True),
        ({"registration": "open"}, True),
        ({"registration": "closed"}, False),
        ({"require_login": True}, False),
        ({"require_login": True, "registration": "open"}, True),
        ({"require_login": True, "registration": "closed"}, False),
    ],
)
async def test_settings_decide_whether_anybody_may_register(
    start: Start, settings: dict[str, Any], is_open: bool
) -> None:
    client = await start(**settings)
    status, answer = await register(client)
    assert status == (201 if is_open else 403)
    page = await (await client.get("/", headers={"Accept": "text/html"})).text()
    assert ('data-registration="closed"' in page) is not is_open
    if not is_open:
        assert answer["error"] == CLOSED
        assert await register(client, password="", invitation="") == (403, answer)  # nothing else is said


async def test_invitation_makes_one_account_of_its_role(start: Start, pool: Any) -> None:
    client = await start(registration="closed")
    secret, _ = await invitations.make(pool, "admin", 7)
    assert secret.encode() not in await pool.fetchval("select digest from invitations")
    assert (await register(client, invitation=secret, password="short"))[0] == 400
    assert (await register(client, invitation=secret))[0] == 201
    assert await pool.fetchval("select role from users where username = 'anna'") == "admin"
    for used in (secret, secret[:-1], "x", "\N{SNOWMAN}\0", f"{secret} "):
        status, answer = await register(client, username="bob", invitation=used)
        assert (status, answer["error"]) == (403, invitations.WORTHLESS)
    assert (await register(client, username="bob", invitation=5))[0] == 400
    assert await pool.fetchval("select count(*)::int from users") == 1


async def test_invitation_stays_when_the_name_is_taken(start: Start, pool: Any) -> None:
    client = await start(registration="closed")
    first, second = [(await invitations.make(pool, "viewer", 7))[0] for _ in range(2)]
    assert (await register(client, invitation=first))[0] == 201
    assert await register(client, invitation=second) == (400, {"error": "Username already exists"})
    assert (await register(client, invitation=second, username="bob"))[0] == 201


async def test_invitation_ends(start: Start, pool: Any) -> None:
    client = await start(registration="closed")
    secret, _ = await invitations.make(pool, "viewer", 7)
    await pool.execute("update invitations set expires_at = now() - interval '1 second'")
    assert (await register(client, invitation=secret))[0] == 403
    await invitations.make(pool, "viewer", 7)
    assert await pool.fetchval("select count(*)::int from invitations") == 1  # the old one is forgotten


@pytest.mark.parametrize("name", ["anna{}", "anna"])
async def test_invitation_used_twice_at_once_makes_one_account(start: Start, pool: Any, name: str) -> None:
    client = await start(registration="closed")
    for _ in range(5):
        secret, _ = await invitations.make(pool, "viewer", 7)
        uses = [register(client, invitation=secret, username=name.format(number)) for number in range(2)]
        statuses = sorted(status for status, _ in await asyncio.gather(*uses))
        assert statuses[0] == 201
        assert statuses[1] in ((403,) if name != "anna" else (400, 403))
        assert await pool.fetchval("select count(*)::int from users") == 1
        await pool.execute("delete from users")


async def test_open_registration_takes_invitations_too(client: Any, pool: Any) -> None:
    secret, _ = await invitations.make(pool, "admin", 7)
    assert (await register(client, invitation=secret))[0] == 201
    assert await pool.fetchval("select role from users") == "admin"
    assert (await register(client, username="bob", invitation=secret))[0] == 403


async def test_command_prints_the_link(run: Callable[..., Program], start: Start, database_url: str) -> None:
    async def invite(*arguments: str, **environment: str) -> tuple[int, str, str]:
        program = run("user", "invite", *arguments, DATABASE_URL=database_url, LOG_LEVEL="error", **environment)
        return await program.ended(), program.output(), program.stderr

    code, link, said = await invite("--role", "admin", "--days", "3", STATS_PUBLIC_URL="https://stats.example.org/")
    assert (code, said.startswith("for one account, an admin, until 20")) == (0, True)
    assert link.startswith(f"https://stats.example.org/#usage/register/{invitations.PREFIX}")
    client = await start(registration="closed")
    assert (await register(client, invitation=link.strip().rpartition("/")[2]))[0] == 201
    assert (await invite())[1].startswith("http://127.0.0.1:8080/#usage/register/")
    code, link, said = await invite("--days", "366")
    assert (code, link) == (2, "")
    assert 'statsd: --days: must be a whole number from 1 to 365 (got "366")\n' in said
