"""Ids of events: new ones are ordered by time, and an idempotency key always gives the same id."""

import random
import time
from uuid import UUID, uuid5

KEYS = UUID("6c1f6a5e-3c56-4f0f-9d0a-3a0a3f9b7c11")  # namespace of idempotency keys

_random = random.Random()  # seeded by the system; ids must be unique, not secret


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7): ordered by time, so that inserts go to the end of the index."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | _random.getrandbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | (0x7 << 76) | (0x2 << 62))


def id_of(stream: str, key: str | None) -> UUID:
    """Return the UUIDv5 (RFC 9562 §5.5) of an idempotency key, or a new id without one.

    A repeat under a key of the stream gets the id of the first event.
    """
    if not key:
        return new_id()
    # A key from a header may have surrogate escapes, which UTF-8 cannot encode.
    return uuid5(KEYS, f"{stream}\n{key}".encode("utf-8", "backslashreplace").decode())
