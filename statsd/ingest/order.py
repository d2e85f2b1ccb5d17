"""Order through an outage: which keys wait in the spool, and times that only increase.

While a row waits there, later rows with its key go behind it: what was acknowledged last counts.
"""

from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from statsd.stream import Row, Stream

COUNTERS = 1 << 20  # 4 MiB while rows with a key wait, however many they are
MOST_BACK = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


class Keys:
    """Counts waiting records by their key. Keys with the same hash share a counter.

    So a row may be taken for one whose key waits. It then goes behind the others, which is safe.
    """

    def __init__(self) -> None:
        self.records = 0
        self._counts = array("I")

    def __contains__(self, key: str) -> bool:
        counts = self._counts
        return bool(counts) and counts[hash(key) % COUNTERS] > 0

    def add(self, key: str) -> int:
        """Count a record, and return the number of its counter."""
        if not self._counts:
            self._counts = array("I", bytes(4 * COUNTERS))
        counter = hash(key) % COUNTERS
        self._counts[counter] += 1
        self.records += 1
        return counter

    def remove(self, counters: Sequence[int]) -> None:
        """Count records no longer, by the numbers of their counters."""
        for counter in counters:
            self._counts[counter] -= 1
        self.records -= len(counters)
        if not self.records:
            self._counts = array("I")


def key_of(stream: Stream) -> Callable[[Row], str] | None:
    """Return what gives the key of a stream's rows; None for a stream without an order."""
    if not stream.ordered_by:
        return None
    index = [*stream.columns].index(stream.ordered_by)
    return lambda row: str(row[index])


def key_of_record(streams: Sequence[Stream]) -> Callable[[bytes], str | None]:
    """Return what gives the key of a record in the spool; None for one of a stream without an order."""
    ordered = {
        f'["{stream.name}"'.encode(): 1 + [*stream.columns].index(stream.ordered_by)
        for stream in streams
        if stream.ordered_by
    }

    def key(payload: bytes) -> str | None:
        index = ordered.get(payload.partition(b",")[0])
        if index is None:
            return None
        try:
            return str(msgspec.json.decode(payload)[index])
        except (msgspec.DecodeError, IndexError):
            return None  # another version of the program wrote it

    return key


class Clock:
    """The system's time, but later at each call. It follows a clock that is set back by more than a second."""

    def __init__(self) -> None:
        self._next = datetime.min.replace(tzinfo=UTC)

    def now(self, rows: int = 1) -> datetime:
        """Return the first of so many times, which are a microsecond apart."""
        now = datetime.now(UTC)
        if now < self._next <= now + MOST_BACK:
            now = self._next
        self._next = now + rows * MICROSECOND
        return now


CLOCK = Clock()
