"""Logging to stderr, one line per message, as text or JSON. Never log bodies, tokens, passwords or user ids."""

import json
import logging
import sys
import time
from logging import LogRecord

from statsd.settings import Settings

_COLOURS = {logging.WARNING: "\033[33m", logging.ERROR: "\033[31m", logging.CRITICAL: "\033[31m"}


class _Text(logging.Formatter):
    def __init__(self, colour: bool) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._colour = colour

    def format(self, record: LogRecord) -> str:
        line = super().format(record)
        if not record.exc_info:  # a client's text in a message must not start a new line or colour it
            line = line.replace("\r", "\\r").replace("\n", "\\n").replace("\033", "\\x1b")
        colour = _COLOURS.get(record.levelno) if self._colour else None
        return f"{colour}{line}\033[0m" if colour else line


class _Json(logging.Formatter):
    def format(self, record: LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _is_ours(record: LogRecord) -> bool:
    """Keep out aiohttp's tracebacks for malformed requests and broken gzip: any client could flood the log."""
    if not record.exc_info:
        return True
    # Here, so that commands which need no HTTP start without aiohttp.
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415
    from aiohttp.web import RequestPayloadError  # noqa: PLC0415

    error = record.exc_info[1]
    return not isinstance(error, (HttpProcessingError, RequestPayloadError))


def configure(settings: Settings) -> None:
    """Log to stderr in the configured format and from the configured level."""
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    colour = sys.stderr.isatty() and not settings.no_color
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text(colour))
    handler.addFilter(_is_ours)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, logging.root.level))
