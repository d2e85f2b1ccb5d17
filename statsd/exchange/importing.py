"""Import: the records of a file, stored by the statements that store events, each once however often it is read.

The id of a record is in the file, or is made of its text, so that the same file always gives the same ids. A repeat is
compared with the stored row. An import that was interrupted is simply run again.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import groupby, islice
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from statsd.database import sql
from statsd.database.pool import Pool, ask
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent, StatsError
from statsd.exchange.reading import Line
from statsd.ingest.ids import id_of
from statsd.ingest.lanes import BATCH_ROWS
from statsd.ingest.writer import Writer
from statsd.settings import Settings
from statsd.stream import Row
from statsd.streams import STREAMS
from statsd.streams.raw import Raw

MOST_BATCHES = 4  # under way at once: two lanes commit while the next rows are read
REMEMBERED_LINES = 10_000  # among which an equal line is another event, and not the same one
RETRY_SECONDS = 60.0  # for a batch that the database does not take
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


@dataclass
class Outcome:
    """What became of the records of a file."""

    stored: int = 0
    known: int = 0
    """Stored before, with the same values."""
    refused: int = 0

    @property
    def records(self) -> int:
        return self.stored + self.known + self.refused


class Item(NamedTuple):
    """A line of a file, and its row, or else what is wrong with it."""

    line: Line
    raw: Raw | None = None
    row: Row = ()
    fault: str = ""


class Import:
    """Stores the records of a file. `refuse` gets each line that was not stored, and why; its error ends the import."""

    def __init__(
        self,
        pool: Pool,
        raws: Sequence[Raw],
        settings: Settings,
        committed: Callable[[str], None],
        refuse: Callable[[Line, str], None],
    ) -> None:
        self._pool = pool
        self._raws = {raw.kind: raw for raw in raws}
        self._settings = settings
        self._committed = committed
        self._refuse = refuse
        self._writers: dict[str, Writer] = {}
        self._writing: list[asyncio.Task[None]] = []
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._stopping = False
        self._kept_from: dict[str, datetime] = {}
        self.outcome = Outcome()

    async def run(self, lines: Iterator[Line], progress: Callable[[int], None]) -> None:
        """Store all lines. Raises DatabaseAway, and what `refuse` raises; what was stored stays."""
        await self._load_retention()
        running: deque[asyncio.Task[None]] = deque()
        latest: Raw | None = None
        try:
            while items := await asyncio.to_thread(self._read, lines):
                for item in items:
                    if not item.raw:
                        self._count_refused(item.line, item.fault)
                for raw, group in groupby([item for item in items if item.raw], lambda item: item.raw):
                    while running and (latest is not raw or len(running) >= MOST_BATCHES):
                        await running.popleft()  # rows of one kind may refer to those of a kind before them
                    latest = raw
                    assert raw
                    running.append(asyncio.create_task(self._store(raw, [*group])))
                progress(self.outcome.records)
            while running:
                await running.popleft()
        finally:
            self._stopping = True
            await asyncio.gather(*running, return_exceptions=True)
            for writer in self._writers.values():
                writer.stop()
            await asyncio.gather(*self._writing)

    async def _load_retention(self) -> None:
        """Find from when on each stream has its rows: one from before was counted when it came, and was deleted."""
        marks = await ask("the retention", self._pool.fetch(sql.load("retention")["kept_from"]), PATIENCE_SECONDS)
        self._kept_from = {mark["stream"]: mark["kept_from"] for mark in marks}

    def _read(self, lines: Iterator[Line]) -> list[Item]:
        return [self._item(line) for line in islice(lines, BATCH_ROWS)]

    def _item(self, line: Line) -> Item:
        try:
            if line.fault:
                return Item(line, fault=line.fault)
            raw = self._raw_of(line)
            record = raw.decode(line.json)
            id = raw.id_of(record) or self._made_id(raw, line)
            row = raw.row(record, id, self._settings)
            received = row[raw.received] if raw.received is not None else None
            kept_from = self._kept_from.get(raw.stream.name)
            if received and kept_from and received < kept_from:
                return Item(line, fault=f"rows from before {kept_from:%Y-%m-%d} were deleted by the retention")
            return Item(line, raw, row)
        except (InvalidEvent, BadRequest) as error:
            return Item(line, fault=_reasons(error))

    def _raw_of(self, line: Line) -> Raw:
        if len(self._raws) == 1:
            return next(iter(self._raws.values()))
        kind = msgspec.json.decode(line.json, type=_Kind).kind if line.json.startswith(b"{") else None
        if kind not in self._raws:
            raise InvalidEvent([f"kind must be one of {', '.join(self._raws)}"])
        return self._raws[kind]

    def _made_id(self, raw: Raw, line: Line) -> UUID:
        """Return the id of a line without one: of its text, and of how many equal lines came shortly before."""
        digest = sha256(line.json).digest()
        repeats = self._seen.pop(digest, -1) + 1
        self._seen[digest] = repeats
        if len(self._seen) > REMEMBERED_LINES:
            self._seen.popitem(last=False)
        return id_of(raw.stream.name, f"import\n{raw.kind}\n{digest.hex()}\n{repeats}")

    def _writer(self, raw: Raw) -> Writer:
        if raw.kind not in self._writers:
            writer = Writer(raw.stream, self._pool, self._committed, lanes=self._settings.lanes)
            self._writers[raw.kind] = writer
            self._writing.append(asyncio.create_task(writer.run(), name=f"import {raw.stream.name} {raw.kind}"))
        return self._writers[raw.kind]

    async def _store(self, raw: Raw, items: list[Item]) -> None:
        repeats: list[Item] = []
        deadline = time.monotonic() + RETRY_SECONDS
        while items:
            verdicts = await self._writer(raw).store([item.row for item in items])
            late: list[Item] = []
            for item, verdict in zip(items, verdicts, strict=True):
                if verdict.state == "stored":
                    self.outcome.stored += 1
                elif verdict.state == "known":
                    repeats.append(item)
                elif isinstance(verdict.error, InvalidEvent):
                    self._count_refused(item.line, _reasons(verdict.error))
                else:
                    late.append(item)
            if late and (self._stopping or time.monotonic() > deadline):
                raise DatabaseAway("the database is away: run the import again later, what is stored is skipped")
            if late:
                await asyncio.sleep(PAUSE_SECONDS)
            items = late
        await self._compare(raw, repeats)

    async def _compare(self, raw: Raw, repeats: list[Item]) -> None:
        """Count the rows that are stored already, and refuse those under whose id another row is stored."""
        records: dict[int, asyncpg.Record] = {}
        if repeats and raw.export == "export":
            width = len(next(stream.columns for stream in STREAMS if stream.name == raw.stream.name))
            columns = [list(column) for column in islice(zip(*(item.row for item in repeats), strict=True), width)]
            known = self._pool.fetch(sql.load(raw.stream.name)["known"], *columns)
            records = {record["number"]: record for record in await ask("the rows", known, PATIENCE_SECONDS)}
        for number, item in enumerate(repeats, 1):
            record = records.get(number)
            if record and not record["same"]:
                self._count_refused(item.line, f"another row is stored under the id {item.row[0]}")
            else:
                self.outcome.known += 1

    def _count_refused(self, line: Line, reason: str) -> None:
        self.outcome.refused += 1
        self._refuse(line, reason)


class _Kind(msgspec.Struct):
    kind: Any = None


def _reasons(error: StatsError) -> str:
    """Return the faults of a record in one sentence."""
    faults = error.faults if isinstance(error, InvalidEvent) else [str(error)]
    return "; ".join(str(getattr(fault, "message", fault)) for fault in faults)
