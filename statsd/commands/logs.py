"""Logging to stderr, one line per message, as text or JSON. Never log bodies, tokens, passwords or user ids.

No client can flood the log. A line has a bounded length and no control characters. Of warnings and errors that are
alike, five a minute are written; then one line says how many more there were. What is wrong with a request is one line
without a traceback.
"""

import copy
import json
import logging
import sys
import threading
import time
from dataclasses import dataclass
from logging import LogRecord
from typing import Any, TextIO

from statsd.settings import Settings

MOST_CHARACTERS = 500  # of a message, and of a line of a traceback
MOST_TRACEBACK_LINES = 100
MOST_ALIKE = 5  # a minute
MOST_KINDS = 1_000  # a minute; so many only if a library puts the client's text into its template
MINUTE = 60.0

_COLOURS = {logging.WARNING: "\033[33m", logging.ERROR: "\033[31m", logging.CRITICAL: "\033[31m"}


def _bounded(text: str) -> str:
    """Return a text in one line: no client's text may start a new line, colour it, or fill the disk."""
    text = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    if text.isprintable():
        return text
    return "".join([character if character.isprintable() else repr(character)[1:-1] for character in text])


class _Text(logging.Formatter):
    def __init__(self, colour: bool) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._colour = colour

    def format(self, record: LogRecord) -> str:
        line = self.formatMessage(record)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        colour = _COLOURS.get(record.levelno) if self._colour else None
        return f"{colour}{line}\033[0m" if colour else line

    def formatMessage(self, record: LogRecord) -> str:  # noqa: N802 - the name of the standard library
        record.message = _bounded(record.getMessage())
        record.asctime = self.formatTime(record, self.datefmt)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return a traceback whose lines are indented: an error's text cannot look like another log line."""
        lines = super().formatException(ei).splitlines()[-MOST_TRACEBACK_LINES:]
        return "\n".join([f"  {_bounded(line)}" for line in lines])


class _Json(logging.Formatter):
    def format(self, record: LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _bounded(record.getMessage()),
        }
        if record.exc_info:
            lines = self.formatException(record.exc_info).splitlines()[-MOST_TRACEBACK_LINES:]
            line["traceback"] = "\n".join(map(_bounded, lines))
        return json.dumps(line)


@dataclass(slots=True)
class _Alike:
    """How many records of a kind there were, and the name, the level and the message of the last one left out."""

    number: int = 0
    last: tuple[str, int, str] = ("", 0, "")


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes five warnings or errors of a kind a minute, and the number of the others when the minute is over."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._kinds: dict[object, _Alike] = {}  # of this minute

    def emit(self, record: LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            record = _in_a_line(record)
            if not self._kinds:
                timer = threading.Timer(MINUTE, self.sum_up)
                timer.daemon = True  # no command waits for it
                timer.start()
            kind = _kind(record) if len(self._kinds) < MOST_KINDS else None
            alike = self._kinds.setdefault(kind, _Alike())
            alike.number += 1
            if alike.number > MOST_ALIKE:
                alike.last = (record.name, record.levelno, record.getMessage())
                return
        super().emit(record)

    def sum_up(self) -> None:
        """Write how many records were left out, and begin a new minute."""
        with self.lock or threading.Lock():
            kinds, self._kinds = self._kinds, {}
            for alike in kinds.values():
                if alike.number > MOST_ALIKE:
                    name, level, message = alike.last
                    sum = f"… and {alike.number - MOST_ALIKE} more in the last minute: {_bounded(message)}"
                    super().emit(LogRecord(name, level, "", 0, sum, (), None))

    def close(self) -> None:
        self.sum_up()
        super().close()


def _kind(record: LogRecord) -> object:
    """Return what alike records have in common: the place in the program that logs, and the place of the error."""
    place = None
    traceback = record.exc_info[2] if record.exc_info else None
    while traceback:
        place = (traceback.tb_frame.f_code, traceback.tb_lineno)
        traceback = traceback.tb_next
    return (record.name, str(record.msg)[:MOST_CHARACTERS], place)


def _in_a_line(record: LogRecord) -> LogRecord:
    """Return the record; if it is about a broken request or connection, without its traceback, as a warning."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or not _is_of_the_client(error):
        return record
    line = copy.copy(record)
    line.msg, line.args = f"{record.msg}: %s: %s", (*(record.args or ()), type(error).__name__, error)
    line.exc_info = line.exc_text = None
    line.levelno, line.levelname = logging.WARNING, "WARNING"
    return line


def _is_of_the_client(error: BaseException) -> bool:
    # Here, so that commands which need no HTTP start without aiohttp.
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415
    from aiohttp.web import RequestPayloadError  # noqa: PLC0415

    return isinstance(error, (HttpProcessingError, RequestPayloadError, ConnectionResetError))


def configure(settings: Settings) -> None:
    """Log to stderr in the configured format and from the configured level."""
    logging.Formatter.converter = time.gmtime
    handler = _Stderr()
    colour = sys.stderr.isatty() and not settings.no_color
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text(colour))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, logging.root.level))
    # It warns of every WebSocket that names a subprotocol, and writes the names: one of them may be a token.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
