"""Counts of what became of the events of a stream: errors are logged soon, sums of all streams every ten seconds."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection

from statsd import metrics

SUM_SECONDS = 10.0
LATEST = {"stored": "stored", "replayed": "stored", "spooled": "spooled", "failed": "failed"}
"""What a count says about the batch it is of."""

log = logging.getLogger("statsd.ingest")


class Tally:
    """Counts events by outcome. Of those that were not stored it logs a line a minute, the first within a second."""

    SECONDS = 1.0
    ERROR_SECONDS = 60.0

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self._counts: Counter[str] = Counter()  # since the latest sum
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
                metrics.EVENTS.labels(self.stream, how).inc(count)
                self._counts[how] += count
                if how in ("stored", "replayed"):
                    self.stored_at = time.time()
                if how in ("failed", "dead"):
                    self._unstored += count
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.SECONDS, self._report_due)

    def report(self) -> None:
        """Log what could not be stored since the last line."""
        self._warned = -self.ERROR_SECONDS
        self._report_due()

    def _report_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.last_error and time.monotonic() - self._warned >= self.ERROR_SECONDS:
            log.error("%s: %d events not stored: %s", self.stream, self._unstored, self.last_error)
            self._warned = time.monotonic()
            self._unstored, self.last_error = 0, ""

    def take(self) -> Counter[str]:
        """Return the counts since the last call."""
        counts, self._counts = self._counts, Counter()
        return counts


def log_sum(tallies: Collection[Tally], seconds: float) -> None:
    """Log in one line what came in during the last `seconds`, in the words that people search their logs for."""
    counts = {tally.stream: taken for tally in tallies if (taken := tally.take())}
    if not counts:
        return
    accepted = {stream: count["stored"] + count["spooled"] for stream, count in counts.items()}
    rates = ", ".join(f"{stream} {_rounded(number / seconds)}/s" for stream, number in accepted.items() if number)
    came = f"{sum(accepted.values()):,} in {seconds:.0f} s" + (f" ({rates})" if rates else "")
    stored = sum(count["stored"] + count["replayed"] for count in counts.values())
    line = f"Processing event: {came}. Event inserted successfully: {stored:,}"
    for stream, count in counts.items():
        if others := ", ".join(f"{number:,} {how}" for how, number in sorted(count.items()) if how != "stored"):
            line += f"; {stream}: {others}"
    log.info("%s", line)


def _rounded(rate: float) -> str:
    """Return a rate with one decimal, where it is so small that this tells something."""
    return f"{rate:,.1f}" if rate < 10 else f"{rate:,.0f}"


async def log_sums(tallies: Collection[Tally]) -> None:
    """Log a sum every ten seconds; at the end, when it is cancelled, one of the rest."""
    began = time.monotonic()
    try:
        while True:
            await asyncio.sleep(SUM_SECONDS)
            log_sum(tallies, SUM_SECONDS)
            began = time.monotonic()
    finally:
        log_sum(tallies, max(1.0, time.monotonic() - began))
