"""Adding owners and base items."""

from typing import TypeVar

import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import DatabaseAway, KeyReused
from statsd.ingest import accept
from statsd.ingest.ids import id_of
from statsd.streams.transfers.answers import ADA, BIKE, BaseItem, Owner
from statsd.streams.transfers.event import NEW_BASE_ITEM, NEW_OWNER, NewBaseItem, NewOwner
from statsd.web.answers import json_response, struct_of
from statsd.web.asked import read_body
from statsd.web.operation import Answer, Operation

QUERIES = sql.load("transfers")

S = TypeVar("S", bound=msgspec.Struct)


def _addition(body: type[msgspec.Struct], example: dict[str, str | None], row: BaseItem | Owner) -> Operation:
    kind = type(row)
    answers = {200: Answer("added before under this key", kind, row=row), 201: Answer("the stored row", kind, row=row)}
    return Operation(
        origins="any",
        access="ingest",
        detailed=True,
        body=body,
        example=example,
        keys=["Idempotency-Key"],
        answers=answers,
    )


@_addition(NewBaseItem, {"description": BIKE.description}, BIKE)
async def post_base_item(request: web.Request) -> web.Response:
    """Add a base item: a kind of item.

    200 for a repeat under the same `Idempotency-Key`.
    """
    body = NEW_BASE_ITEM.decode(await read_body(request))
    return await _add(request, BaseItem, "base_item", "description", body.description)


@_addition(NewOwner, {"name": ADA.name}, ADA)
async def post_owner(request: web.Request) -> web.Response:
    """Add an owner.

    200 for a repeat under the same `Idempotency-Key`.
    """
    body = NEW_OWNER.decode(await read_body(request))
    return await _add(request, Owner, "owner", "name", body.name)


async def _add(request: web.Request, kind: type[S], name: str, column: str, value: str | None) -> web.Response:
    key = accept.idempotency_key(request)
    id = id_of(name, key)
    pool = request.app[POOL]
    subject = f"the {name.replace('_', ' ')}"
    added = await ask(subject, pool.fetchrow(QUERIES[f"add_{name}"], id, value))
    stored = added or await ask(subject, pool.fetchrow(QUERIES[name], id))
    if stored is None:
        raise DatabaseAway(f"{subject} cannot be read back now: try again")
    if stored[column] != value:
        raise KeyReused(f"this key {accept.REUSED}")
    return json_response(struct_of(kind, stored), 201 if added else 200)
