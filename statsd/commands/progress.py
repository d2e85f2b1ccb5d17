"""Progress of long work on stderr: one line, redrawn on a terminal; elsewhere a new line every 5 s."""

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
        self._pause = REDRAW_SECONDS if self._terminal else LINE_SECONDS
        self._started = self._window_start = time.monotonic()
        self._window_total = 0
        self._drawn = 0.0

    def show(self, total: int) -> None:
        """Draw the line, unless it was drawn a moment ago."""
        now = time.monotonic()
        if now - self._drawn < self._pause:
            return
        rate = (total - self._window_total) / max(now - self._window_start, 0.001)
        if now - self._window_start > 2:  # the rate of the last seconds, not of the whole run
            self._window_start, self._window_total = now, total
        self._drawn = now
        bar = ""
        if self._goal is not None:
            full = round(BAR * total / self._goal)
            bar = f"[{'#' * full}{'.' * (BAR - full)}] {total / self._goal:4.0%}  "
        self._print(f"{bar}{total:,} {self._stream}  {rate:,.1f}/s", "" if self._terminal else "\n")

    def finish(self, total: int) -> None:
        """End the line with the total, the time and the mean rate."""
        seconds = max(time.monotonic() - self._started, 0.001)
        self._print(f"{total:,} {self._stream} in {seconds:.1f} s ({total / seconds:,.1f}/s)", "\n")

    def _print(self, line: str, end: str) -> None:
        if not self._quiet:
            print(f"\r\033[K{line}" if self._terminal else line, end=end, file=sys.stderr, flush=True)
