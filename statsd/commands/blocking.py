"""Reading that blocks the event loop, from a terminal or a pipe: a signal ends it all the same."""

import asyncio
import signal
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

Item = TypeVar("Item")


class Blocking:
    """A block that a signal ends with CancelledError, at once. The loop hears of the signal later; see `ended`."""

    def __init__(self) -> None:
        self.ended = False
        """Whether a signal ended a block: then the loop need not cancel anything."""
        self._inside = False

    def __enter__(self) -> None:
        self._inside = True

    def __exit__(self, *error: object) -> None:
        self._inside = False

    def hear(self, *signals: signal.Signals) -> None:
        """Take the signals, beside the loop: its handlers run when it does."""
        for number in signals:
            signal.signal(number, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._inside:
            self._inside, self.ended = False, True
            raise asyncio.CancelledError

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, each read inside the block."""
        iterator, nothing = iter(items), object()
        while True:
            with self:
                item = next(iterator, nothing)
            if item is nothing:
                return
            yield item  # type: ignore[misc]


blocking = Blocking()
