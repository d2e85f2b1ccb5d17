"""The queue of a stream, and the lanes that empty it.

A lane commits one batch at a time. While few rows wait, one lane takes them all, because two small statements cost more
than one. When many wait, each lane takes the rows of its own keys. So rows of one key are stored in the order in which
they arrived.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from statsd.ingest.verdict import Verdict
from statsd.stream import Row

BATCH_ROWS = 1_000  # to encode two such batches, one of each lane, takes 3 ms of the event loop
SPREAD_ROWS = 500  # more waiting rows than this are spread over the lanes


class Waiter(Protocol):
    """Waits for verdicts as a future does."""

    def done(self) -> bool: ...

    def set_result(self, verdicts: list[Verdict], /) -> None: ...


Submission = tuple[Sequence[Row], Waiter]
"""Rows that belong together, and what gets their verdicts."""


class Queue:
    """Rows that wait for a lane. `batches` is the work of a lane."""

    def __init__(self, lanes: int = 1, key: Callable[[Row], Any] | None = None) -> None:
        self.rows = 0  # that wait, without those of the batches under way
        self._key = key
        self._arrived: deque[Submission] = deque()
        self._lanes: list[deque[Submission]] = [deque() for _ in range(lanes if key else 1)]
        self._busy = 0  # lanes with a batch under way
        self._shared = False  # whether the batch under way has rows of all keys
        self._wake = asyncio.Event()
        self.closed = False

    @property
    def lanes(self) -> range:
        """The numbers of the lanes."""
        return range(len(self._lanes))

    def put(self, rows: Sequence[Row], waiter: Waiter) -> None:
        """Queue rows. More of them than fit in a batch go into several."""
        self.rows += len(rows)
        if len(rows) <= BATCH_ROWS:
            self._arrived.append((rows, waiter))
        else:
            starts = range(0, len(rows), BATCH_ROWS)
            self._arrived += _parts(rows, waiter, [range(len(rows))[start : start + BATCH_ROWS] for start in starts])
        if self._is_open():
            self._wake.set()

    def close(self) -> None:
        """Let the lanes end once nothing waits."""
        self.closed = True
        self._wake.set()

    async def batches(self, lane: int) -> AsyncIterator[list[Submission]]:
        """Yield the batches of a lane, each once the one before is done with, until the queue is closed and empty."""
        while self.rows or not self.closed:
            if not (batch := self._take(lane)):
                self._wake.clear()
                await self._wake.wait()
                continue
            self._busy += 1
            yield batch
            self._busy -= 1
            self._shared = False
            self._wake.set()

    def _is_open(self) -> bool:
        """Whether a further lane may take a batch."""
        return not self._busy or (not self._shared and self.rows > SPREAD_ROWS)

    def _take(self, lane: int) -> list[Submission]:
        if not self._is_open():
            return []
        if len(self._lanes) > 1 and self.rows > SPREAD_ROWS:
            self._spread()
            return self._batch(self._lanes[lane])
        for spread in self._lanes:  # what is left of many rows; it arrived first
            self._arrived.extendleft(reversed(spread))
            spread.clear()
        self._shared = bool(self._arrived)
        return self._batch(self._arrived)

    def _batch(self, waiting: deque[Submission]) -> list[Submission]:
        batch: list[Submission] = []
        size = 0
        while waiting and size + len(waiting[0][0]) <= BATCH_ROWS:
            batch.append(waiting.popleft())
            size += len(batch[-1][0])
        self.rows -= size
        return batch

    def _spread(self) -> None:
        """Move what has arrived to the lanes, each row to that of its key."""
        assert self._key
        for rows, waiter in self._arrived:
            indices: list[list[int]] = [[] for _ in self._lanes]
            for index, row in enumerate(rows):
                indices[hash(self._key(row)) % len(indices)].append(index)
            lanes = [lane for lane, own in zip(self._lanes, indices, strict=True) if own]
            parts = _parts(rows, waiter, [own for own in indices if own]) if len(lanes) > 1 else [(rows, waiter)]
            for lane, part in zip(lanes, parts, strict=True):
                lane.append(part)
        self._arrived.clear()


def _parts(rows: Sequence[Row], waiter: Waiter, indices: Sequence[Sequence[int]]) -> list[Submission]:
    """Return a submission in parts, one for each of the sequences of indices."""
    whole = _Whole(waiter, len(rows))
    return [([rows[index] for index in own], _Part(whole, own)) for own in indices]


class _Whole:
    """Collects the verdicts on the parts of a submission."""

    def __init__(self, waiter: Waiter, rows: int) -> None:
        self.waiter = waiter
        self.missing = rows
        self.verdicts = [Verdict("refused")] * rows


class _Part:
    """Waits for the verdicts on a part of a submission. The last part hands all of them over, in the order of rows."""

    def __init__(self, whole: _Whole, indices: Sequence[int]) -> None:
        self._whole = whole
        self._indices = indices

    def done(self) -> bool:
        return self._whole.waiter.done()

    def set_result(self, verdicts: list[Verdict]) -> None:
        whole = self._whole
        for index, verdict in zip(self._indices, verdicts, strict=True):
            whole.verdicts[index] = verdict
        whole.missing -= len(verdicts)
        if not whole.missing:
            whole.waiter.set_result(whole.verdicts)
