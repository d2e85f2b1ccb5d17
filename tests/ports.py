"""Ports of this machine that nobody listens on."""

from __future__ import annotations

import os
import socket
from itertools import cycle

_FIRST, _COUNT = 20_000, 12_000
_candidates = cycle(_FIRST + (os.getpid() * 97 + n) % _COUNT for n in range(_COUNT))


def free_port() -> int:
    """Return a free port that stays free: the kernel hands out others (from 32768 on) to clients."""
    return next(port for port in _candidates if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
