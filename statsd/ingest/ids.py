"""Ids of events: new ones ordered by time, and the one id that an idempotency key means."""

from __future__ import annotations

import random
import time
from uuid import UUID, uuid5

KEYS = UUID("6c1f6a5e-3c56-4f0f-9d0a-3a0a3f9b7c11")  # namespace of idempotency keys


_random = random.Random()  # seeded by the system; ids need to differ, not to be secret


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7): ordered by time, so that inserts stay at the right edge of the index."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | _random.getrandbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | (0x7 << 76) | (0x2 << 62))


def id_of_key(stream: str, key: str) -> UUID:
    """Return the one id that an idempotency key means in a stream: a repeat lands on the same row.

    A key out of a header may hold what is no UTF-8.
    """
    return uuid5(KEYS, f"{stream}\n{key}".encode("utf-8", "backslashreplace").decode())
