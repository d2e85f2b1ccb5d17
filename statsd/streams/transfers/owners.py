"""Adding owners and base items, which items refer to."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import DatabaseAway, KeyReused
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.streams.transfers.event import (
    NEW_BASE_ITEM,
    NEW_OWNER,
    NewBaseItem,
    NewOwner,
)
from statsd.streams.transfers.read import (
    ADA,
    BIKE,
    GRACE,
    WHEN,
)
from statsd.web.answers import json_response
from statsd.web.asked import read_body
from statsd.web.operation import JSON, Answer, Operation
from statsd.web.times import iso

QUERIES = sql.load("transfers")


def _addition(body: type[msgspec.Struct], example: dict[str, str], *rows: dict[str, Any]) -> Operation:
    named = {f"row{number}": row for number, row in enumerate(rows, 1)}
    answers = {
        200: Answer("it was added before, under this key", JSON, {}, named),
        201: Answer("the stored row", JSON, {}, named),
    }
    return Operation(origins="any", body=body, example=example, keys=["Idempotency-Key"], answers=answers)


@_addition(NewBaseItem, {"description": "a bike"}, {"id": BIKE, "description": "a bike", "created_at": WHEN})
async def post_base_item(request: web.Request) -> web.Response:
    """`POST /base-items`: add a kind of item. 200 for a repeat under the same `Idempotency-Key`."""
    body = NEW_BASE_ITEM.decode(await read_body(request))
    return await _add(request, "base_item", "description", body.description)


@_addition(
    NewOwner,
    {"name": "Ada"},
    {"id": ADA, "name": "Ada", "created_at": WHEN},
    {"id": GRACE, "name": None, "created_at": WHEN},
)
async def post_owner(request: web.Request) -> web.Response:
    """`POST /owners`: add an owner. 200 for a repeat under the same `Idempotency-Key`."""
    body = NEW_OWNER.decode(await read_body(request))
    return await _add(request, "owner", "name", body.name)


async def _add(request: web.Request, what: str, column: str, value: str | None) -> web.Response:
    key = accept.idempotency_key(request)
    id = id_of_key(what, key) if key else new_id()
    pool = request.app[POOL]
    added = await ask("what is added", pool.fetchrow(QUERIES[f"add_{what}"], id, value))
    stored = added or await ask("what was added", pool.fetchrow(QUERIES[what], id))
    if stored is None:
        raise DatabaseAway("what was added cannot be read back now: try again")
    if stored[column] != value:
        raise KeyReused(f"this key {accept.REUSED}")
    answered = {"id": stored["id"], column: value, "created_at": iso(stored["created_at"])}
    return json_response(answered, 201 if added else 200)
