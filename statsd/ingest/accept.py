"""The one way in: read, decode and store the events of a request, and return a verdict for each.

An event whose id is known is a repeat, or another event under a used key. The stream's query `known` compares it with
the stored row.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from typing import Protocol, TypeVar

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, PATIENCE_SECONDS, POOL, SECONDS_PER_ROW, ask
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent, KeyReused
from statsd.ingest.outage import OUTAGE
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import WRITERS, Writer
from statsd.stream import Row, Stream
from statsd.web.asked import JSON_TYPES, LINES, media_type, read_body
from statsd.web.decode import SLICE_EVENTS, Batch, raised

KEY_CHARACTERS = 255
EVENT_ID = msgspec.Meta(
    min_length=1, max_length=KEY_CHARACTERS, description=f"a string of 1 to {KEY_CHARACTERS} characters if provided"
)
"""The rule of `event_id`, the key that an event brings in its body."""
REUSED = "was used with another event: use a new one for a new event"
STATUSES = {"stored": 201, "known": 200, "spooled": 202}
"""The status of an answer with the row of an event, by the state of its verdict."""

Repeats = Callable[[Row, asyncpg.Record], bool]

E = TypeVar("E")
T = TypeVar("T")
R = TypeVar("R")
E_co = TypeVar("E_co", covariant=True)


class Decoder(Protocol[E_co]):
    """Decodes a body: into an event, or into a batch (an array, or one event a line) of events and their errors."""

    def decode(self, body: bytes, lines: bool) -> E_co | Batch[E_co]: ...


async def events(  # noqa: PLR0913 - the differences between the streams
    request: web.Request,
    stream: Stream,
    decoder: Decoder[E],
    row: Callable[[E, str | None, int | None], Row],
    *,
    types: Collection[str] | None = JSON_TYPES,
    admit: Callable[[list[E | InvalidEvent]], Awaitable[list[E | InvalidEvent]]] | None = None,
    ask_first: bool = False,
    is_repeat: Repeats = lambda _, record: record["same"],
) -> Verdict | list[Verdict]:
    """Store the events of a request; return the verdict on a single event, or a verdict for each event of a batch.

    `row` makes a row of the event, the request's key (None: it has none) and the event's index in the batch (None: it
    came alone). `admit` may replace valid events by an InvalidEvent. `ask_first` checks whether the key of a single
    event is known before it is stored, for tables whose primary key has more columns than the id. `is_repeat` says
    whether a row whose id is known repeats the stored one, by default if nothing differs.

    Raises for a single event whatever refused it: InvalidEvent, KeyReused, Overloaded or DatabaseAway. Raises for a
    batch what refused the request as a whole: BadRequest, InvalidEvent for an empty batch, and Overloaded or
    DatabaseAway if some events were not stored. The client may then send the whole batch again under the same keys.
    """
    writer = request.app[WRITERS][stream.name]
    writer.require_room(1)  # before the body is read: to refuse it should cost nothing
    decoded = decoder.decode(await read_body(request, types=types), media_type(request) in LINES)
    key = idempotency_key(request)
    if isinstance(decoded, Batch):
        if not decoded and not decoded.may_be_empty:
            raise InvalidEvent(["the batch must hold at least one event"])
        batch = await _decode(decoded, writer)

        def make_row(index: int, event: E | InvalidEvent) -> Row | InvalidEvent:
            return event if isinstance(event, InvalidEvent) else row(event, key, index)

        rows = await in_slices(make_row, await admit(batch) if admit else batch)
        valid = [row for row in rows if not isinstance(row, InvalidEvent)]
        stored = iter(await _store(request, stream, valid, is_repeat))
        return [Verdict("refused", error=row) if isinstance(row, InvalidEvent) else next(stored) for row in rows]
    event = raised((await admit([decoded]))[0]) if admit else decoded
    values = [row(event, key, None)]
    if ask_first and key:
        # If a lock or an outage delays the answer, the replay decides.
        with suppress(DatabaseAway):
            (verdict,) = await _known(request, stream, values, is_repeat, AWAY_SECONDS)
            if verdict.error:
                raise verdict.error
    (verdict,) = await _store(request, stream, values, is_repeat)
    if verdict.error:
        raise verdict.error
    return verdict


async def _decode(batch: Batch[E], writer: Writer) -> list[E | InvalidEvent]:
    """Decode a batch. Large batches take turns, so that those that find the queue full are not decoded."""
    writer.require_room(len(batch))
    events = []
    async with writer.turn if len(batch) > SLICE_EVENTS else nullcontext():
        writer.require_room(len(batch))
        for part in batch:
            events += part
            await asyncio.sleep(0)  # other requests run after each slice: no batch holds the event loop for long
    return events


async def in_slices(make: Callable[[int, T], R], items: Sequence[T]) -> list[R]:
    """Return `make(index, item)` for each of the items, of which there may be thousands."""
    results: list[R] = []
    for start in range(0, len(items), SLICE_EVENTS):
        results += [make(index, item) for index, item in enumerate(items[start : start + SLICE_EVENTS], start)]
        await asyncio.sleep(0)
    return results


def idempotency_key(request: web.Request, name: str = "Idempotency-Key") -> str | None:
    """Return the key in the header `name`, or None without that header.

    Raises BadRequest (400) unless it has 1 to 255 printable ASCII characters: programs and proxies decode others
    differently (RFC 9110 §5.5).
    """
    key = request.headers.get(name)
    if key is not None and not (1 <= len(key) <= KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise BadRequest(400, f"{name}: must have 1 to {KEY_CHARACTERS} printable ASCII characters")
    return key


async def _store(request: web.Request, stream: Stream, rows: Sequence[Row], is_repeat: Repeats) -> list[Verdict]:
    """Store rows. Raises the error of a valid row that could not be stored."""
    verdicts = await request.app[WRITERS][stream.name].store(rows)
    repeats = []
    for verdict in verdicts:
        if verdict.state == "known":
            repeats.append(verdict.row)
        elif verdict.error and not isinstance(verdict.error, InvalidEvent):
            raise verdict.error
    if not repeats:
        return verdicts
    # Two rows with the same id may get different verdicts: one is a repeat, the other another event.
    known = iter(await _known(request, stream, repeats, is_repeat))
    return [next(known) if verdict.state == "known" else verdict for verdict in verdicts]


async def _known(
    request: web.Request,
    stream: Stream,
    rows: Sequence[Row],
    is_repeat: Repeats,
    patience: float = PATIENCE_SECONDS,
) -> list[Verdict]:
    """Return for each row whether it repeats the stored row or is another event under its id (KeyReused).

    During an outage every row counts as a repeat. Raises DatabaseAway if the query fails otherwise.
    """
    records: dict[int, asyncpg.Record] = {}
    if not request.app[OUTAGE].away:
        columns = [list(column) for column in zip(*rows, strict=True)]
        try:
            query = request.app[POOL].fetch(sql.load(stream.name)["known"], *columns)
            matches = await ask("the event", query, patience + SECONDS_PER_ROW * len(rows))
        except DatabaseAway:
            if not request.app[OUTAGE].away:
                raise
        else:
            records = {record["number"]: record for record in matches}
    verdicts = []
    for number, row in enumerate(rows, 1):
        record = records.get(number)
        reused = KeyReused(f"this key {REUSED}") if record and not is_repeat(row, record) else None
        verdicts.append(Verdict("refused" if reused else "known", row, record, reused))
    return verdicts
