"""Taking items and transfers in."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web

from statsd.errors import BadRequest, DatabaseAway, InvalidEvent
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.outage import OUTAGE
from statsd.ingest.verdict import Verdict
from statsd.stream import Row
from statsd.streams.transfers.errors import refusal
from statsd.streams.transfers.event import (
    NEW_ITEM,
    OWNERSHIP,
    Item,
    NewItem,
    Ownership,
    Transfer,
    item_row,
    transfer_as_spooled,
    transfer_row,
)
from statsd.streams.transfers.read import (
    ADA,
    BIKE,
    IN_PATH,
    ITEM,
    ITEM_ID,
    MADE,
    MOVE,
    body,
    uuid,
)
from statsd.streams.transfers.stream import ITEMS, TRANSFERS
from statsd.web.answers import json_response
from statsd.web.operation import JSON, Answer, Operation, answer

STATUSES = {"stored": 201, "known": 200, "spooled": 202}
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
    try:
        verdict = await accept.events(request, ITEMS, NEW_ITEM, _item_row)
    except InvalidEvent as error:
        raise refusal(error) from error
    assert isinstance(verdict, Verdict)  # one body is one item
    if verdict.state == "known" and not verdict.record:
        raise DatabaseAway("the item cannot be read back now: try again")
    record = verdict.record or dict(zip(ITEMS.columns, verdict.row, strict=True))
    item = body({name: record[name] for name in ITEMS.columns})
    return json_response(item, STATUSES[verdict.state], {"Location": f"/items/{item['id']}"})


def _item_row(item: NewItem, key: str | None, _: int | None) -> Row:
    return item_row(Item(base_item_id=item.base_item_id), id_of_key(ITEMS.name, key) if key else new_id())


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
    order = _Order(request.match_info["item"])
    try:
        verdict = await accept.events(request, TRANSFERS, order, _transfer_row)
    except InvalidEvent as error:
        if error.rule != "transfer_of_known_item" or not await _waits_in_spool(request, order.item):
            raise refusal(error) from error
        verdict = await _spool_behind_item(request, order)
    match verdict:
        case Verdict(state="spooled", row=(id, _, owner, item)):
            return json_response({"id": id, "item_id": item, "owner_id": owner}, 202)
        case Verdict(state="known", record=None):
            if request.app[OUTAGE].away:
                raise DatabaseAway("whether the item was transferred cannot be read now: try again")
            raise BadRequest(409, "the item belongs to this owner already")
    return web.Response(status=204)


class _Order:
    """Decodes which item goes to whom: the item is in the path, its new owner in the body."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.item = UUID(int=0)

    def decode(self, body: bytes, lines: bool) -> Transfer:
        """Return the transfer. Raises InvalidEvent with all that is wrong with either."""
        faults: list[str] = []
        try:
            self.item = uuid(self._path, ITEM_ID)
        except InvalidEvent as error:
            faults += error.faults
        try:
            self.owner = OWNERSHIP.decode(body, lines).to
        except InvalidEvent as error:
            faults += error.faults
        if faults:
            raise InvalidEvent(faults)
        return Transfer(item_id=self.item, owner_id=self.owner)


def _transfer_row(transfer: Transfer, key: str | None, _: int | None) -> Row:
    return transfer_row(transfer, id_of_key(TRANSFERS.name, key) if key else new_id())


async def _spool_behind_item(request: web.Request, order: _Order) -> Verdict:
    transfer = Transfer(item_id=order.item, owner_id=order.owner)
    row = transfer_as_spooled(_transfer_row(transfer, accept.idempotency_key(request), None))
    await request.app[OUTAGE].spool_rows(TRANSFERS.name, [row])
    return Verdict("spooled", row)


async def _waits_in_spool(request: web.Request, item: UUID) -> bool:
    return await request.app[OUTAGE].spool.contains(f'["{ITEMS.name}","{item}"'.encode())
