"""Counts of what became of the events of a stream, logged once a second."""

import asyncio
import logging
import time
from collections import Counter

from statsd import metrics

LATEST = {"stored": "stored", "replayed": "stored", "spooled": "spooled", "failed": "failed"}
"""What a count says about the batch it is of."""

log = logging.getLogger("statsd.ingest")


class Tally:
    """Counts events by outcome, and logs one line a second while there are any; of errors one a minute."""

    SECONDS = 1.0
    ERROR_SECONDS = 60.0

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._counts: Counter[str] = Counter()
        self._unstored = 0  # since the latest line about them
        self._warned = -self.ERROR_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        self.last_error = ""  # why the latest rows were not stored
        self.latest = ""
        """What became of the latest batch: `stored`, `spooled` or `failed`; empty before the first one."""
        self.stored_at = 0.0
        """When events were last stored, in seconds since 1970; 0.0 before the first ones."""

    def add(self, **counts: int) -> None:
        """Count `stored`, `duplicate`, `refused`, `spooled`, `replayed`, `dead` or `failed` events."""
        for how, count in counts.items():
            self.latest = LATEST.get(how, self.latest)
            if count:
                metrics.EVENTS.labels(self._stream, how).inc(count)
                self._counts[how] += count
                if how in ("stored", "replayed"):
                    self.stored_at = time.time()
        if self._timer is None and self._counts:
            self._timer = asyncio.get_running_loop().call_later(self.SECONDS, self._report_due)

    def report(self) -> None:
        """Log the counts since the last line, in the words that people search their logs for."""
        self._warned = -self.ERROR_SECONDS
        self._report_due()

    def _report_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, Counter()
        self._unstored += counts["failed"] + counts["dead"]
        if self.last_error and time.monotonic() - self._warned >= self.ERROR_SECONDS:
            log.error("%s: %d events not stored: %s", self._stream, self._unstored, self.last_error)
            self._warned = time.monotonic()
            self._unstored, self.last_error = 0, ""
        if counts:
            rest = "".join(f", {count} {how}" for how, count in sorted(counts.items()) if how != "stored")
            line = "Processing event: %s %d. Event inserted successfully: %d%s"
            log.info(line, self._stream, counts.total(), counts["stored"], rest)
