"""Progress of long work on stderr: one line, redrawn on a terminal; elsewhere a new line every 5 s."""

from __future__ import annotations

import sys
import time

REDRAW_SECONDS = 0.2
LINE_SECONDS = 5.0
BAR = 30


class Progress:
    """Shows the total and the rate per second of a stream's events; with a `goal` also a bar."""

    def __init__(self, stream: str, goal: int | None, quiet: bool) -> None:
        self._stream = stream
        self._goal = goal
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._started = self._window_start = time.monotonic()
        self._window_total = 0
        self._drawn = 0.0

    def show(self, total: int) -> None:
        """Draw the line, unless it was drawn a moment ago."""
        now = time.monotonic()
        if self._quiet or now - self._drawn < (REDRAW_SECONDS if self._terminal else LINE_SECONDS):
            return
        rate = (total - self._window_total) / max(now - self._window_start, 0.001)
        if now - self._window_start > 2:  # the rate of the last seconds, not of the whole run
            self._window_start, self._window_total = now, total
        self._drawn = now
        line = f"{self._bar(total)}{total:,} {self._stream}  {rate:,.1f}/s"
        print(
            f"\r\033[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def finish(self, total: int) -> None:
        """End the line with the total, the time and the mean rate."""
        seconds = time.monotonic() - self._started
        if not self._quiet:
            clear = "\r\033[K" if self._terminal else ""
            rate = total / max(seconds, 0.001)
            print(f"{clear}{total:,} {self._stream} in {seconds:.1f} s ({rate:,.1f}/s)", file=sys.stderr, flush=True)

    def _bar(self, total: int) -> str:
        if self._goal is None:
            return ""
        share = total / self._goal if self._goal else 1.0
        full = round(BAR * share)
        return f"[{'#' * full}{'.' * (BAR - full)}] {share:4.0%}  "
