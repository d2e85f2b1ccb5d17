"""Items and transfers (contracts.md §4): what was made, who owns it, and how both change over time.

Two streams with one topic for the page: items that were made, and transfers that moved them. Their statistics per unit
of time are topics of their own, over server-sent events and `/ws` alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import web

from statsd.errors import BadRequest, DatabaseAway, InvalidEvent
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.outage import OUTAGE
from statsd.ingest.writer import Spooled
from statsd.streams.transfers.event import (
    NEW_ITEM,
    OWNERSHIP,
    Item,
    NewItem,
    Ownership,
    Transfer,
    item_row,
    transfer_aside,
    transfer_row,
)
from statsd.streams.transfers.read import (
    ADA,
    BIKE,
    IN_PATH,
    ITEM,
    MADE,
    MOVE,
    NO_SUCH_ITEM,
    body,
    item_id,
)
from statsd.streams.transfers.stream import ITEMS, TRANSFERS
from statsd.web.answers import json_response
from statsd.web.asked import read_body
from statsd.web.decode import Decoder
from statsd.web.operation import JSON, Answer, Operation, answer

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


@Operation(
    origins="any",
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
    origins="any",
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


async def _decoded(request: web.Request, decoder: Decoder[Any]) -> Any:
    decoded = decoder.decode(await read_body(request))
    if isinstance(decoded, list):
        raise InvalidEvent(["the body must be one JSON object"])
    return decoded


def _id(request: web.Request, stream: str) -> UUID:
    key = accept.idempotency_key(request)
    return id_of_key(stream, key) if key else new_id()
