"""Counts of what became of the events of a stream, logged once a second."""

import asyncio
import logging
from collections import Counter

from statsd import metrics

log = logging.getLogger("statsd.ingest")


class Tally:
    """Counts events by outcome, and logs one line a second while there are any."""

    SECONDS = 1.0

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self.last_error = ""  # why the latest rows were not stored

    def add(self, **counts: int) -> None:
        """Count `stored`, `duplicate`, `refused`, `spooled`, `replayed`, `dead` or `failed` events."""
        for how, count in counts.items():
            if count:
                metrics.EVENTS.labels(self._stream, how).inc(count)
                self._counts[how] += count
        if self._timer is None and self._counts:
            self._timer = asyncio.get_running_loop().call_later(self.SECONDS, self.report)

    def report(self) -> None:
        """Log the counts since the last line, in the words that people search their logs for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, Counter()
        if self.last_error:
            log.error("%s: %d events not stored: %s", self._stream, counts["failed"] + counts["dead"], self.last_error)
            self.last_error = ""
        if counts:
            rest = "".join(f", {count} {how}" for how, count in sorted(counts.items()) if how != "stored")
            line = "Processing event: %s %d. Event inserted successfully: %d%s"
            log.info(line, self._stream, counts.total(), counts["stored"], rest)
