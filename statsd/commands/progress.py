"""Progress of long work on stderr: one line, redrawn on a terminal; elsewhere a new line every 5 s."""

import shutil
import sys
import time

REDRAW_SECONDS = 0.2
LINE_SECONDS = 5.0
BAR = 30
SHORTEST_BAR = 5
COLUMNS = 80  # no line is longer, on any terminal
STEADY_SECONDS = 1.0  # before that, nobody can tell how long it will take


class Progress:
    """Shows the total and the rate per second of a stream's events; with a `goal` also a bar and the time left."""

    def __init__(self, stream: str, goal: int | None, quiet: bool) -> None:
        self._stream = stream
        self._goal = goal
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._pause = REDRAW_SECONDS if self._terminal else LINE_SECONDS
        self._started = self._window_start = time.monotonic()
        self._window_total = 0
        self._drawn = self._started if not self._terminal else 0.0

    def show(self, total: int) -> None:
        """Draw the line, unless it was drawn a moment ago."""
        now = time.monotonic()
        if now - self._drawn < self._pause:
            return
        rate = (total - self._window_total) / max(now - self._window_start, 0.001)
        if now - self._window_start > 2:  # the rate of the last seconds, not of the whole run
            self._window_start, self._window_total = now, total
        self._drawn = now
        line = f"{total:,} {self._stream}  {rate:,.1f}/s"
        if self._goal is not None:
            line += self._time_left(self._goal, total, now - self._started)
            line = self._bar(min(1.0, total / self._goal), len(line)) + line
        self._print(line[: self._columns()], "" if self._terminal else "\n")

    def finish(self, total: int) -> None:
        """End the line with the total, the time and the mean rate."""
        seconds = max(time.monotonic() - self._started, 0.001)
        self._print(f"{total:,} {self._stream} in {seconds:.1f} s ({total / seconds:,.1f}/s)", "\n")

    def _bar(self, share: float, taken: int) -> str:
        """Return the share that is done, with a bar where the line has room for one."""
        length = min(BAR, self._columns() - taken - len("[]  99%  "))
        full = round(length * share)
        bar = f"[{'#' * full}{'.' * (length - full)}] " if length >= SHORTEST_BAR else ""
        return f"{bar}{share:4.0%}  "

    def _time_left(self, goal: int, total: int, seconds: float) -> str:
        if seconds < STEADY_SECONDS or not 0 < total < goal:
            return ""
        left = round((goal - total) * seconds / total)
        minutes, rest = divmod(left, 60)
        hours, minutes = divmod(minutes, 60)
        return f"  ETA {hours}:{minutes:02}:{rest:02}" if hours else f"  ETA {minutes}:{rest:02}"

    def _columns(self) -> int:
        return min(COLUMNS, shutil.get_terminal_size().columns - 1) if self._terminal else COLUMNS

    def _print(self, line: str, end: str) -> None:
        if not self._quiet:
            print(f"\r\033[K{line}" if self._terminal else line, end=end, file=sys.stderr, flush=True)
