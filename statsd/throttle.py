"""The throttle of logins: the next attempt waits the longer, the more were wrong before. Its state is in PostgreSQL.

It counts by name and address together, by address, and by name, and none of it can keep an owner out for long: delays
end after minutes, a refused attempt does not lengthen them, and whoever has logged in from an address before is held up
there only by what was tried there under the own name.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from statsd import sql
from statsd.database import is_conflict, reaching
from statsd.errors import TooManyAttempts
from statsd.settings import Network, is_within

QUERIES = sql.load("throttle")


@dataclass(frozen=True, slots=True)
class Rule:
    """So many attempts are free; then each waits a second, two, four, and `longest` seconds at most."""

    free: int
    longest: int


TOGETHER = Rule(free=5, longest=300)
ADDRESS = Rule(free=30, longest=300)
NAME = Rule(free=100, longest=60)  # from all over the world: nobody mistypes that often, a botnet guesses no further


def _subject(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _place(address: str) -> str:
    """An IPv4 address, or the /64 that belongs to whoever has one IPv6 address of it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


class Throttle:
    """Counts attempts; those from `exempt` networks never wait."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], exempt: Sequence[Network] = ()) -> None:
        self._pool = pool
        self._exempt = exempt

    async def enter(self, name: str, address: str) -> Attempt | None:
        """Count an attempt, before it is known whether it is right. Raises TooManyAttempts.

        `name` in the form in which names are compared.
        """
        if is_within(address, self._exempt):
            return None
        place = _place(address)
        together = _subject("together", name, place)
        rules = {together: TOGETHER}
        with reaching("login attempts"):
            if not await self._pool.fetchval(QUERIES["is_known"], together):
                rules |= {_subject("address", place): ADDRESS, _subject("name", name): NAME}
            counted = await self._count(rules)
            refused = [record for record in counted if record["refused"]]
            if refused:
                await self._release([record["subject"] for record in counted if not record["refused"]])
        if refused:
            raise TooManyAttempts("Too many login attempts, try again later", max(one["seconds"] for one in refused))
        return Attempt(together, tuple(rules.keys() - {together}))

    async def succeed(self, attempt: Attempt | None) -> None:
        """Take an attempt that was right out of the count, and know the name at this address from now on."""
        if attempt is None:
            return
        with reaching("login attempts"):
            await self._release(attempt.others)
            await self._pool.execute(QUERIES["forget"], attempt.together)
            await self._pool.execute(QUERIES["remember"], attempt.together)

    async def _count(self, rules: dict[bytes, Rule]) -> list[Any]:
        given = (list(rules), [rule.free for rule in rules.values()], [rule.longest for rule in rules.values()])
        try:
            return await self._pool.fetch(QUERIES["attempt"], *given)
        except asyncpg.PostgresError as error:
            if not is_conflict(error):
                raise
            return await self._pool.fetch(QUERIES["attempt"], *given)

    async def _release(self, subjects: Sequence[bytes]) -> None:
        if subjects:
            await self._pool.execute(QUERIES["release"], subjects)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attempt was counted under: name and address together, and the others."""

    together: bytes
    others: tuple[bytes, ...]
