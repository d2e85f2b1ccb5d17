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
from statsd.streams.transfers.answers import (
    ADA,
    BIKE,
    ITEM,
    MADE,
    REUSED,
    TRANSFER,
    UNKNOWN,
    MadeItem,
    SpooledTransfer,
)
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
from statsd.streams.transfers.read import IN_PATH, ITEM_ID, uuid
from statsd.streams.transfers.stream import ITEMS, TRANSFERS
from statsd.web.answers import Refusal, json_response, struct_of
from statsd.web.operation import Operation, answer

STATUSES = {"stored": 201, "known": 200, "spooled": 202}
AT_ITEM = {"Location": "the address of the item"}


@Operation(
    origins="any",
    body=NewItem,
    example={"base_item_id": BIKE.id},
    keys=["Idempotency-Key"],
    answers={
        200: answer("made before, under this key", MadeItem, headers=AT_ITEM, item=MADE),
        201: answer("the stored row", MadeItem, headers=AT_ITEM, item=MADE),
        202: answer("on disk until the database is back", MadeItem, headers=AT_ITEM, item=MADE),
        422: answer(
            "unknown base item, or the key was used with another body", Refusal, unknown=UNKNOWN, reused=REUSED
        ),
    },
)
async def post_item(request: web.Request) -> web.Response:
    """Make an item.

    201 returns the stored row. While the database is away, 202 returns the row that will be stored. With an
    `Idempotency-Key`, a repeat returns 200 and the first row.
    """
    try:
        verdict = await accept.events(request, ITEMS, NEW_ITEM, _item_row)
    except InvalidEvent as error:
        raise refusal(error) from error
    assert isinstance(verdict, Verdict)  # one body is one item
    if verdict.state == "known" and not verdict.record:
        raise DatabaseAway("the item cannot be read back now: try again")
    record = verdict.record or dict(zip(ITEMS.columns, verdict.row, strict=True))
    item = struct_of(MadeItem, record)
    return json_response(item, STATUSES[verdict.state], {"Location": f"/items/{item.id}"})


def _item_row(item: NewItem, key: str | None, _: int | None) -> Row:
    return item_row(Item(base_item_id=item.base_item_id), id_of_key(ITEMS.name, key) if key else new_id())


@Operation(
    origins="any",
    body=Ownership,
    path=IN_PATH,
    example={"to": ADA.id},
    keys=["Idempotency-Key"],
    answers={
        202: answer(
            "on disk until the database is back", SpooledTransfer, transfer=SpooledTransfer(TRANSFER, ITEM, ADA.id)
        ),
        204: "the item has its new owner",
        404: "no such item",
        409: "the item belongs to this owner already, or its latest transfer is dated at the end of 2099",
        422: answer("unknown owner, or the key was used with another body", Refusal, reused=REUSED),
    },
)
async def put_ownership(request: web.Request) -> web.Response:
    """Transfer an item to an owner.

    With an `Idempotency-Key`, repeating a transfer that was stored returns 204 again, whoever has the item by now. A
    refusal is not remembered: a repeat is decided anew.
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
            return json_response(SpooledTransfer(id, item, owner), 202)
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
