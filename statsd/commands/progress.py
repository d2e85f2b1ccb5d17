"""One line on stderr that says how far long work is: redrawn on a terminal, else a new one every few seconds."""

from __future__ import annotations

import sys
import time

REDRAW_SECONDS = 0.2
LINE_SECONDS = 5.0
BAR = 30


class Progress:
    """Counts events; draws their rate and total, and a bar where `goal` says how many there will be."""

    def __init__(self, what: str, goal: int | None, quiet: bool) -> None:
        self._what = what
        self._goal = goal
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._started = self._window_start = time.monotonic()
        self._window_total = 0
        self._drawn = 0.0

    def show(self, total: int) -> None:
        """Draw, unless the last drawing is too young."""
        now = time.monotonic()
        if self._quiet or now - self._drawn < (REDRAW_SECONDS if self._terminal else LINE_SECONDS):
            return
        rate = (total - self._window_total) / max(now - self._window_start, 0.001)
        if now - self._window_start > 2:  # the rate is that of the last seconds, not of the whole run
            self._window_start, self._window_total = now, total
        self._drawn = now
        line = f"{self._bar(total)}{total:,} {self._what}  {rate:,.1f}/s"
        print(
            f"\r\033[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def finish(self, total: int) -> None:
        """End the line and say what was done in all."""
        seconds = time.monotonic() - self._started
        if not self._quiet:
            clear = "\r\033[K" if self._terminal else ""
            rate = total / max(seconds, 0.001)
            print(f"{clear}{total:,} {self._what} in {seconds:.1f} s ({rate:,.1f}/s)", file=sys.stderr, flush=True)

    def _bar(self, total: int) -> str:
        if self._goal is None:
            return ""
        share = total / self._goal if self._goal else 1.0
        full = round(BAR * share)
        return f"[{'#' * full}{'.' * (BAR - full)}] {share:4.0%}  "
