"""How many connections may wait to be accepted: a storm of clients connects before the event loop accepts any."""

import logging
from pathlib import Path

BACKLOG = 4096
LIMIT = Path("/proc/sys/net/core/somaxconn")

log = logging.getLogger("statsd.app")


def backlog() -> int:
    """Return the backlog to listen with. Logs a line if the system's limit is smaller: then more clients are reset."""
    try:
        limit = int(LIMIT.read_text())
    except (OSError, ValueError):
        return BACKLOG  # not Linux
    if limit < BACKLOG:
        log.warning("only %d connections can wait to be accepted: set net.core.somaxconn to %d", limit, BACKLOG)
    return BACKLOG
