"""Items and transfers (contracts.md §4): what was made, who owns it, and how both change over time.

Two streams with one topic for the page: items that were made, and transfers that moved them. Their statistics per unit
of time are topics of their own, over server-sent events and `/ws` alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import wraps
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd import accept, ownership, series, sql
from statsd.database import POOL, ask
from statsd.decode import Decoder, iso, text
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent, KeyReused
from statsd.ingest import Spooled, id_of_key, new_id
from statsd.live import HUB
from statsd.movements import Item, Transfer, item_row, sample_item, sample_transfer, transfer_aside, transfer_row
from statsd.operation import JSON, Answer, Operation, answer
from statsd.outage import OUTAGE
from statsd.ownership import (
    ADA,
    BIKE,
    GRACE,
    IN_PATH,
    ITEM,
    MADE,
    MOVE,
    NO_SUCH_ITEM,
    OWNED,
    UNOWNED,
    UUID_RULE,
    WHEN,
    body,
    item_id,
)
from statsd.stream import Stream
from statsd.web import Handler, json_response, read_body

Id = msgspec.Meta(description=UUID_RULE)


class NewItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /items`."""

    base_item_id: Annotated[UUID, Id]


class Ownership(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /items/{id}/ownership`."""

    to: Annotated[UUID, Id]


class NewBaseItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /base-items`."""

    description: Annotated[str, text(500)]


class NewOwner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /owners`; a name is for people to read."""

    name: Annotated[str, text(200)] | None = None


NEW_ITEM: Decoder[NewItem] = Decoder(NewItem, lambda _: [])
OWNERSHIP: Decoder[Ownership] = Decoder(Ownership, lambda _: [])
NEW_BASE_ITEM: Decoder[NewBaseItem] = Decoder(NewBaseItem, lambda _: [])
NEW_OWNER: Decoder[NewOwner] = Decoder(NewOwner, lambda _: [])


REFUSALS = {
    "item_of_known_base_item": (422, "base_item_id: must be the id of a base item"),
    "transfer_of_known_item": (404, NO_SUCH_ITEM),
    "transfer_to_known_owner": (422, "to: must be the id of an owner"),
    "transferred_between_1970_and_2100": (
        409,
        "the item was transferred at the end of 2099 already, and nothing can be later: that row must be corrected",
    ),
}
"""What a broken rule of the tables means to who sent the event."""


def _refusal(wrong: InvalidEvent) -> Exception:
    if wrong.rule not in REFUSALS:
        return wrong
    status, sentence = REFUSALS[wrong.rule]
    return BadRequest(status, sentence)


REFUSED = {
    name: {"success": False, "message": sentence, "error": sentence, "details": [sentence]}
    for name, sentence in {
        "unknown": "base_item_id: must be the id of a base item",
        "reused": f"this key {accept.REUSED}",
    }.items()
}


def _addition(body: type[msgspec.Struct], example: dict[str, str], *rows: dict[str, Any]) -> Operation:
    named = {f"row{number}": row for number, row in enumerate(rows, 1)}
    answers = {
        200: Answer("it was added before, under this key", JSON, {}, named),
        201: Answer("the stored row", JSON, {}, named),
    }
    return Operation(body=body, example=example, keys=["Idempotency-Key"], answers=answers)


@Operation(
    body=NewItem,
    example={"base_item_id": BIKE},
    keys=["Idempotency-Key"],
    answers={
        200: answer("it was made before, under this key", item=MADE),
        201: answer("the stored row", headers={"Location": "the item"}, item=MADE),
        202: answer("what will be stored when the database is back", headers={"Location": "the item"}, item=MADE),
        422: Answer("no such base item, or the key was used with another body", JSON, {}, REFUSED),
    },
)
async def post_item(request: web.Request) -> web.Response:
    """`POST /items`: make an item.

    201 with the stored row; 202 with what will be stored while the database is away. 422 for an unknown base item. An
    `Idempotency-Key` makes a repeat answer 200 with the row of the first.
    """
    given = await _decoded(request, NEW_ITEM)
    row = item_row(Item(base_item_id=given.base_item_id), _id(request, ITEMS.name))
    try:
        outcome, found = await accept.one(request, ITEMS, row)
    except InvalidEvent as wrong:
        raise _refusal(wrong) from wrong
    if outcome is None and found is None:
        raise DatabaseAway("the item cannot be read back now: try again")
    if isinstance(outcome, asyncpg.Record):
        return _item_response(outcome, 201)
    if found is not None:
        return _item_response(found, 200)
    return _item_response(dict(zip(ITEMS.columns, row, strict=True)), 202)


def _item_response(record: Mapping[str, Any] | asyncpg.Record, status: int) -> web.Response:
    item = body({name: record[name] for name in ITEMS.columns})
    return json_response(item, status, {"Location": f"/items/{item['id']}"})


@Operation(
    body=Ownership,
    path=IN_PATH,
    example={"to": ADA},
    keys=["Idempotency-Key"],
    answers={
        202: answer(
            "what will be stored when the database is back",
            transfer={"id": MOVE["id"], "item_id": ITEM, "owner_id": ADA},
        ),
        204: "it has its new owner",
        404: "there is no such item",
        409: "it belongs to this owner already, or its latest transfer is dated at the end of 2099",
        422: Answer("no such owner, or the key was used with another body", JSON, {}, REFUSED),
    },
)
async def put_ownership(request: web.Request) -> web.Response:
    """`PUT /items/{id}/ownership`: transfer an item to an owner.

    204 once the item has its new owner; 202 while the database is away. 404 for an unknown item, 422 for an unknown
    owner, 409 for the present one. An `Idempotency-Key` makes a repeat of what was stored answer 204 again, whoever has
    the item by now; what was refused is not remembered, and decided anew.
    """
    item, given = await _order(request)
    row = transfer_row(Transfer(item_id=item, owner_id=given.to), _id(request, TRANSFERS.name))
    try:
        outcome, found = await accept.one(request, TRANSFERS, row)
    except InvalidEvent as wrong:
        if wrong.rule != "transfer_of_known_item" or not await _waits_in_spool(request, item):
            raise _refusal(wrong) from wrong
        await request.app[OUTAGE].set_aside(TRANSFERS.name, [transfer_aside(row)])  # behind its item
        outcome, found = Spooled.SPOOLED, None
    if outcome is Spooled.SPOOLED:
        return json_response({"id": row[0], "item_id": item, "owner_id": given.to}, 202)
    if outcome is None and found is None:
        if request.app[OUTAGE].away:
            raise DatabaseAway("whether the item was transferred cannot be read now: try again")
        raise BadRequest(409, "the item belongs to this owner already")
    return web.Response(status=204)


async def _order(request: web.Request) -> tuple[UUID, Ownership]:
    """Which item goes to whom. Raises InvalidEvent with all that is wrong with either."""
    faults: list[str] = []
    item = UUID(int=0)
    try:
        item = item_id(request)
    except InvalidEvent as wrong:
        faults += wrong.faults
    try:
        given: Ownership = await _decoded(request, OWNERSHIP)
    except InvalidEvent as wrong:
        raise InvalidEvent([*faults, *wrong.faults]) from wrong
    if faults:
        raise InvalidEvent(faults)
    return item, given


async def _waits_in_spool(request: web.Request, item: UUID) -> bool:
    return await request.app[OUTAGE].spool.contains(f'["{ITEMS.name}","{item}"'.encode())


@_addition(NewBaseItem, {"description": "a bike"}, {"id": BIKE, "description": "a bike", "created_at": WHEN})
async def post_base_item(request: web.Request) -> web.Response:
    """`POST /base-items`: add a kind of item. 200 for a repeat under the same `Idempotency-Key`."""
    given = await _decoded(request, NEW_BASE_ITEM)
    return await _add(request, "base_item", "description", given.description)


@_addition(
    NewOwner,
    {"name": "Ada"},
    {"id": ADA, "name": "Ada", "created_at": WHEN},
    {"id": GRACE, "name": None, "created_at": WHEN},
)
async def post_owner(request: web.Request) -> web.Response:
    """`POST /owners`: add an owner. 200 for a repeat under the same `Idempotency-Key`."""
    given = await _decoded(request, NEW_OWNER)
    return await _add(request, "owner", "name", given.name)


async def _add(request: web.Request, what: str, column: str, value: str | None) -> web.Response:
    id = _id(request, what)
    pool = request.app[POOL]
    added = await ask("what is added", pool.fetchrow(QUERIES[f"add_{what}"], id, value))
    stored = added or await ask("what was added", pool.fetchrow(QUERIES[what], id))
    if stored is None:
        raise DatabaseAway("what was added cannot be read back now: try again")
    if stored[column] != value:
        raise KeyReused(f"this key {accept.REUSED}")
    answered = {"id": stored["id"], column: value, "created_at": iso(stored["created_at"])}
    return json_response(answered, 201 if added else 200)


OVERVIEW = {
    "itemCount": 1, "transferCount": 1, "items": [OWNED, UNOWNED],
    "transfers": [{**MOVE, "item_id": ITEM, "description": "a bike"}],
    "owners": [{"id": ADA, "name": "Ada"}, {"id": GRACE, "name": None}], "ownerCount": 2,
    "baseItems": [{"id": BIKE, "description": "a bike"}], "generatedAt": WHEN,
}  # fmt: skip


@Operation(
    answers={
        200: answer(
            "the newest 50 items and transfers, 100 owners and base items; owners are counted up to 10,000",
            overview=OVERVIEW,
            crowded={**OVERVIEW, "ownerCount": None},
        )
    }
)
async def get_overview(request: web.Request) -> web.Response:
    """`GET /transfers`: the newest items, transfers, owners and base items; the payload of the topic `transfers`."""
    return json_response((await request.app[HUB].topics[TRANSFERS.name].snapshot()).payload)


async def _decoded(request: web.Request, decoder: Decoder[Any]) -> Any:
    decoded = decoder.decode(await read_body(request))
    if isinstance(decoded, list):
        raise InvalidEvent(["the body must be one JSON object"])
    return decoded


def _id(request: web.Request, stream: str) -> UUID:
    key = accept.idempotency_key(request)
    return id_of_key(stream, key) if key else new_id()


def routes() -> list[web.RouteDef]:
    made = [
        web.post("/items", post_item),
        web.put("/items/{item:[^/]+}/ownership", put_ownership),
        web.post("/base-items", post_base_item),
        web.post("/owners", post_owner),
        web.get("/transfers", get_overview),
        *ownership.routes(),
        *series.routes(),
    ]
    return [web.RouteDef(one.method, one.path, _detailed(one.handler), one.kwargs) for one in made]


def _detailed(handler: Handler) -> Handler:
    """Every refusal of this contract has `details`, too (contracts.md §6.5); where there are none, its sentence."""

    @wraps(handler)
    async def detailed(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequest as wrong:
            raise BadRequest(wrong.status, str(wrong), wrong.details or [str(wrong)]) from wrong

    return detailed


OPEN_PATHS = frozenset(
    {
        "/items",
        "/items/{item}",
        "/items/{item}/ownership",
        "/base-items",
        "/owners",
        "/transfers",
    }
)
"""The dashboard of contracts.md §4 is a page of another origin."""
STREAM_PATHS = frozenset({"/statistics/item-creation/{unit}", "/statistics/transfers/{unit}"})

QUERIES = sql.load("transfers")
ITEMS = Stream(
    name="items",
    part_of="transfers",
    table="items",
    event=Item,
    columns={"id": UUID, "base_item_id": UUID, "created_at": datetime},
    row=item_row,
    sample=sample_item,
    fixtures=True,
    routes=list,
    views=series.views(series.CREATIONS, "items"),
)
TRANSFERS = Stream(
    name="transfers",
    table="transfers",
    event=Transfer,
    columns={"id": UUID, "timestamp": datetime | None, "owner_id": UUID, "item_id": UUID},
    row=transfer_row,
    aside=transfer_aside,
    sample=sample_transfer,
    fixtures=True,
    routes=routes,
    open_paths=OPEN_PATHS,
    near_paths=STREAM_PATHS,
    follows=frozenset({ITEMS.name}),
    views=series.views("transfers", "transfers"),
)
