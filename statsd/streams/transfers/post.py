"""Creating and transferring items."""

from aiohttp import web

from statsd.errors import BadRequest, DatabaseAway, InvalidEvent
from statsd.ingest import accept
from statsd.ingest.ids import id_of
from statsd.ingest.lean import Way, storing
from statsd.ingest.outage import OUTAGE
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import WRITERS
from statsd.stream import Row
from statsd.streams.transfers import answers, event
from statsd.streams.transfers.errors import refusal
from statsd.streams.transfers.read import IN_PATH, ITEM_ID, uuid
from statsd.streams.transfers.stream import ITEMS, TRANSFERS
from statsd.web.answers import Reply, json_response, struct_of
from statsd.web.operation import Answer, Operation

AT_ITEM = {"Location": "the address of the item"}


@Operation(
    origins="any",
    access="ingest",
    detailed=True,
    body=event.NewItem,
    example={"base_item_id": answers.BIKE.id},
    keys=["Idempotency-Key"],
    answers={
        200: Answer("created before under this key", answers.CreatedItem, headers=AT_ITEM, item=answers.CREATED),
        201: Answer("the stored row", answers.CreatedItem, headers=AT_ITEM, item=answers.CREATED),
        202: Answer("on disk until the database is back", answers.CreatedItem, headers=AT_ITEM, item=answers.CREATED),
        422: "unknown base item, or the key was used with another body",
    },
)
async def post_item(request: web.Request) -> web.Response:
    """Create an item.

    201 returns the stored row. During a database outage, 202 returns the row that will be stored. With an
    `Idempotency-Key`, a repeat returns 200 and the first row.
    """
    try:
        verdict = await accept.events(request, ITEMS, event.NEW_ITEM, _item_row)
    except InvalidEvent as error:
        raise refusal(error) from error
    assert isinstance(verdict, Verdict)  # one body is one item
    if verdict.state == "known" and not verdict.record:
        raise DatabaseAway("the item cannot be read back now: try again")
    return json_response(*_created(verdict))


def items_way(app: web.Application) -> Way:
    """Return the lean way in, for an item without a key."""

    def make_row(body: bytes, _: str) -> Row:
        return _item_row(event.NEW_ITEM.decode(body, lines=False), None, None)

    return Way(storing(app[WRITERS][ITEMS.name], make_row), _created)


def _created(verdict: Verdict) -> Reply:
    item = struct_of(answers.CreatedItem, verdict.record or ITEMS.named(verdict.row))
    return item, accept.STATUSES[verdict.state], {"Location": f"/items/{item.id}"}


def _item_row(item: event.NewItem, key: str | None, _: int | None) -> Row:
    return event.item_row(event.Item(base_item_id=item.base_item_id), id_of(ITEMS.name, key))


@Operation(
    origins="any",
    access="ingest",
    detailed=True,
    body=event.Ownership,
    path=IN_PATH,
    example={"to": answers.ADA.id},
    keys=["Idempotency-Key"],
    answers={
        202: Answer(
            "on disk until the database is back",
            answers.SpooledTransfer,
            transfer=answers.SpooledTransfer(answers.TRANSFER, answers.ITEM, answers.ADA.id),
        ),
        204: "the item has its new owner",
        404: "no such item",
        409: "the item belongs to this owner already, or its latest transfer is dated at the end of 2099",
        422: "unknown owner, or the key was used with another body",
    },
)
async def put_ownership(request: web.Request) -> web.Response:
    """Transfer an item to an owner.

    With an `Idempotency-Key`, repeating a stored transfer returns 204 again, even if the item has another owner by now.
    Repeating a refused transfer tries it again.
    """
    decoder = _TransferDecoder(request.match_info["item"])
    try:
        verdict = await accept.events(request, TRANSFERS, decoder, _transfer_row)
    except InvalidEvent as error:
        outage, is_unknown = request.app[OUTAGE], error.rule == "transfer_of_known_item"
        if not is_unknown or not await outage.spool.contains(f'["{ITEMS.name}","{decoder.transfer.item_id}"'.encode()):
            raise refusal(error) from error
        # The item is in the spool itself: its transfer follows it there.
        row = event.transfer_as_spooled(_transfer_row(decoder.transfer, accept.idempotency_key(request), None))
        await outage.spool_rows(TRANSFERS.name, [row])
        verdict = Verdict("spooled", row)
    assert isinstance(verdict, Verdict)  # one body is one transfer
    if verdict.state == "spooled":
        return json_response(*_spooled(verdict))
    if verdict.state == "known" and not verdict.record:
        if request.app[OUTAGE].away:
            raise DatabaseAway("the item's transfers cannot be read now: try again")
        raise BadRequest(409, "the item belongs to this owner already")
    return web.Response(status=204)


def ownership_way(app: web.Application) -> Way:
    """Return the lean way in, for a transfer without a key."""

    def make_row(body: bytes, item: str) -> Row:
        return _transfer_row(_TransferDecoder(item).decode(body, lines=False), None, None)

    def reply(verdict: Verdict) -> Reply | None:
        match verdict.state:
            case "stored":
                return b"", 204, {}
            case "spooled":
                return _spooled(verdict)
        return None

    return Way(storing(app[WRITERS][TRANSFERS.name], make_row), reply)


def _spooled(verdict: Verdict) -> Reply:
    id, _, owner, item = verdict.row
    return answers.SpooledTransfer(id, item, owner), 202, {}


class _TransferDecoder:
    """Decodes a transfer: the item from the path, its new owner from the body."""

    transfer: event.Transfer

    def __init__(self, item: str) -> None:
        self._item = item

    def decode(self, body: bytes, lines: bool) -> event.Transfer:
        """Return the transfer. Raises InvalidEvent with the faults of both."""
        faults: list[str] = []
        try:
            item = uuid(self._item, ITEM_ID)
        except InvalidEvent as error:
            faults += error.faults
        try:
            owner = event.OWNERSHIP.decode(body, lines).to
        except InvalidEvent as error:
            faults += error.faults
        if faults:
            raise InvalidEvent(faults)
        self.transfer = event.Transfer(item_id=item, owner_id=owner)
        return self.transfer


def _transfer_row(transfer: event.Transfer, key: str | None, _: int | None) -> Row:
    return event.transfer_row(transfer, id_of(TRANSFERS.name, key))
