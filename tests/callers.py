"""Callers of every kind: what each sends, and the addresses of all routes, so that no new route is forgotten."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from statsd import app
from statsd.accounts.keys import Keys
from statsd.accounts.users import Registration, open_accounts
from statsd.settings import Settings
from statsd.web.operation import declared, view_of

ID = "8645a131-a7ae-4569-bb3c-1f1c7ae86829"
IN_PATH = {"job": ID, "item": ID, "unit": "minute", "secret": "shl_no", "sender": "github", "path": "favicon.svg"}
SOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "a" * 22 + "==",
}
PASSWORD = "correct horse"


class Route(msgspec.Struct, frozen=True):
    """A route, an address that it answers, and what it declares."""

    method: str
    path: str
    address: str
    access: str
    shared: str
    view: str


def routes() -> list[Route]:
    return [_route(route) for route in app.make_app(Settings()).router.routes()]


def _route(route: web.AbstractRoute) -> Route:
    assert route.resource
    path, operation = route.resource.canonical, declared(route.handler)
    address = path
    for name in ("job", "item", "unit", "secret", "sender", "name"):
        address = address.replace(f"{{{name}}}", IN_PATH.get(name, "settings.html" if "/docs/" in path else "app.js"))
    return Route(route.method, path, address, operation.access, operation.shared, view_of(route.handler))


async def make_user(pool: Any, name: str, role: str) -> None:
    async with open_accounts(pool) as accounts:
        await accounts.add(Registration(name, PASSWORD, 34, "Female"), role)


async def log_in(client: Any, name: str) -> dict[str, str]:
    """The header of a user's session."""
    answer = await client.post("/login", json={"username": name, "password": PASSWORD})
    client.session.cookie_jar.clear()
    return {"Authorization": f"Bearer {(await answer.json())['token']}"}


async def make_token(pool: Any, *scopes: str, days: int | None = None) -> dict[str, str]:
    """The header of a new API token."""
    secret, _ = await Keys(pool, is_link=False).add(f"token {' '.join(scopes)}", scopes, days)
    return {"Authorization": f"Bearer {secret}"}


async def make_link(pool: Any, view: str, days: int | None = None) -> str:
    """The secret of a new share link."""
    secret, _ = await Keys(pool, is_link=True).add(f"link {view}", [f"view:{view}"], days)
    return secret


async def callers(client: Any, pool: Any) -> dict[str, dict[str, str]]:
    """Headers by kind of caller."""
    await make_user(pool, "vera", "viewer")
    await make_user(pool, "ada", "admin")
    return {
        "anybody": {},
        "viewer": await log_in(client, "vera"),
        "admin": await log_in(client, "ada"),
        "read": await make_token(pool, "read"),
        "metrics": await make_token(pool, "metrics"),
        "admin token": await make_token(pool, "admin"),
        "ingest": await make_token(pool, "ingest:webhooks"),
        "link": {"Authorization": f"Bearer {await make_link(pool, 'webhooks')}"},
    }
