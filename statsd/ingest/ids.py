"""Ids of events: new ones are ordered by time, and an idempotency key always gives the same id."""

import random
from hashlib import sha1
from time import time_ns
from uuid import UUID

from asyncpg.pgproto import pgproto

KEYS = UUID("6c1f6a5e-3c56-4f0f-9d0a-3a0a3f9b7c11")  # namespace of idempotency keys

_random_bits = random.Random().getrandbits  # seeded by the system; ids must be unique, not secret
_WITHOUT_MARKS = ~((0xF << 76) | (0x3 << 62))  # of the version and the variant
_VERSION_5, _VERSION_7 = ((version << 76) | (0x2 << 62) for version in (5, 7))


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7): ordered by time, so that inserts go to the end of the index."""
    return _id((time_ns() // 1_000_000 << 80) | _random_bits(80), _VERSION_7)


def is_new(id: UUID) -> bool:
    """Whether `new_id` made an id. One made of a key has another version."""
    return id.bytes[6] >> 4 == 7


def id_of(stream: str, key: str | None) -> UUID:
    """Return the UUIDv5 (RFC 9562 §5.5) of an idempotency key, or a new id without one.

    A repeat under a key of the stream gets the id of the first event.
    """
    if not key:
        return new_id()
    # A key from a header may have surrogate escapes, which UTF-8 cannot encode.
    name = f"{stream}\n{key}".encode("utf-8", "backslashreplace")
    digest = sha1(KEYS.bytes + name, usedforsecurity=False).digest()
    return _id(int.from_bytes(digest[:16], "big"), _VERSION_5)


def _id(value: int, marks: int) -> UUID:
    """Return an id of the driver's class: it is made, written and sent in a fraction of the time of the library's."""
    return pgproto.UUID((value & _WITHOUT_MARKS | marks).to_bytes(16, "big"))
