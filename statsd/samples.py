"""What `seed` stores: sample logins, well-known items and owners, or sample accounts with their clicks.

`serve` never stores them, and warns of sample accounts where others can reach it: everybody knows their password.
"""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

import asyncpg

from statsd import HOME, sql
from statsd.passwords import Passwords
from statsd.streams import usage

log = logging.getLogger("statsd.samples")

PASSWORD = "password123"  # noqa: S105 - known to everybody on purpose


async def store(pool: asyncpg.Pool[asyncpg.Record], stream: str) -> None:
    """Store those samples of a stream that are not there yet; the next sweep counts them."""
    query = (HOME / "sample_data.sql").read_text() if stream == "logins" else sql.load(stream)["seed"]
    arguments = await _accounts() if stream == "usage" else ()
    for taken in await pool.fetch(query, *arguments):
        log.warning("%s is somebody's own account: it stays as it is, and gets no sample clicks", taken["name"])


async def _accounts() -> tuple[Any, ...]:
    with closing(Passwords()) as passwords:
        hashed = await passwords.hash(PASSWORD)
    names, ages, genders = zip(*usage.PEOPLE, strict=True)
    return hashed, names, ages, genders, usage.SAMPLES
