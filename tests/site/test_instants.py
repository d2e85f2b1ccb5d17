"""Every instant in every answer, frame and export has one form: UTC, milliseconds, `Z`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from statsd.accounts import signin
from statsd.commands.tables import plain
from statsd.database import sql
from statsd.web.times import instant

FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
LIKE = re.compile(r"\b\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d[^\s\",]*", re.ASCII)
WHEN = "2026-11-21T10:30:00.123456+02:00"
EVENTS: dict[str, Any] = {
    "/logins": {
        **{"user_id": 1, "ip_address": "::1", "region": "b", "device_type": "c", "browser": "d"},
        **{"login_time": WHEN, "logout_time": "2026-11-21T12:30:00.987654+02:00"},
    },
    "/event": {"site_id": "shop", "event_type": "page_view", "path": "/", "timestamp": WHEN},
    "/webhook": {"eventType": "a", "userId": "b", "timestamp": WHEN},
    "/track": {"feature_name": "a"},
    "/owners": {"name": "Ada"},
    "/base-items": {"description": "a bike"},
    "/access/tokens": {"name": "a token", "scopes": ["read"], "days": 5},
    "/access/links": {"name": "a link", "view": "logins"},
}
HAS_INSTANTS = {
    *("/logins", "/webhook", "/track", "/owners", "/base-items", "/access/tokens", "/access/links", "/items"),
    *("/events", "/events/refused", "/export/csv", "/export/json", "/export/ndjson", "/health"),
    *("/items/{item}", "/jobs/{job}", "/logins/stats", "/pageviews", "/usage", "/transfers", "/webhooks", "/ws"),
    *("/statistics/item-creation/{unit}", "/statistics/transfers/{unit}"),
}
"""Where an instant must be found, so that a walk past them would be noticed."""


def instants(text: str) -> list[str]:
    """What looks like an instant in an answer, whatever its media type."""
    return LIKE.findall(text)


def parameters(operation: dict[str, Any], place: str) -> dict[str, str]:
    """The values of the parameters that must be given."""
    named = [one for one in operation.get("parameters", []) if one["in"] == place and one.get("required")]
    return {one["name"]: str(one["example"]) for one in named}


def paths(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        if "get" in methods and path not in ("/openapi.json", "/ws", "/events/ws"):
            yield path, methods["get"]


async def test_every_instant_in_every_answer_has_one_form(client: Any, pool: Any) -> None:
    found: dict[str, list[str]] = {}

    async def note(path: str, response: Any) -> str:
        text: str = await response.text()
        found.setdefault(path, []).extend(instants(text))
        return text

    await pool.execute(sql.load("transfers")["seed"])
    registered = await client.post("/register", json=signin.NEW | signin.KNOWN)
    await pool.execute("update users set role = 'admin'")
    client.session.headers["Authorization"] = f"Bearer {(await registered.json())['token']}"
    client.session.cookie_jar.clear()
    ids: dict[str, str] = {}
    for path, event in EVENTS.items():
        response = await client.post(path, json=event)
        assert response.status < 300, await response.text()
        answer = json.loads(await note(path, response))
        ids[path] = str(answer.get("jobId") or answer.get("id"))
    await client.post("/webhook", json={"eventType": "a"})  # which is refused
    response = await client.post("/items", json={"base_item_id": ids["/base-items"]})
    item = json.loads(await note("/items", response))["id"]
    assert (await client.put(f"/items/{item}/ownership", json={"to": ids["/owners"]})).status == 204
    document = await (await client.get("/openapi.json")).json()
    for path, operation in paths(document):
        given = {**parameters(operation, "path"), "item": item, "job": ids["/event"], "name": "a token"}
        async with client.get(
            path.format(**given), params=parameters(operation, "query"), headers={"Accept": "application/json"}
        ) as response:
            await note(path, response)
    async with client.ws_connect("/ws") as socket:
        await socket.send_json({"type": "subscribe", "topics": ["webhooks", "pageviews", "transfers", "usage"]})
        frames = [(await socket.receive()).data for _ in range(5)]  # and one that says what is subscribed
        found["/ws"] = [one for frame in frames for one in instants(frame)]

    assert {one for instants in found.values() for one in instants if not FORM.fullmatch(one)} == set()
    assert {path for path in found if found[path]} >= HAS_INSTANTS


def test_instants_of_commands_have_the_same_form() -> None:
    assert json.dumps({"at": instant(WHEN)}, default=plain) == '{"at": "2026-11-21T08:30:00.123Z"}'


def test_what_does_not_have_the_form_is_noticed() -> None:
    for text in ("2026-11-21T10:30:00Z", "2026-11-21 10:30:00+00", "2026-11-21T10:30:00.123456Z", "20261121T103000Z"):
        assert not any(map(FORM.fullmatch, instants(f'{{"at":"{text}"}}')))
        assert instants(f'{{"at":"{text}"}}')
