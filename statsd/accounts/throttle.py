"""The throttle of logins: the next attempt waits the longer, the more were wrong before. Its state is in PostgreSQL.

It counts by name and address together, by address, and by name, and none of it can keep an owner out for long. Whoever
has logged in from an address before is held up there only by what was tried there under the own name. What others do
elsewhere, or under other names, opens again every few seconds: more often than those can be there, each of whom waits
minutes between two attempts. And a refused attempt lengthens nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg

from statsd.database import sql
from statsd.database.pool import again, ask
from statsd.errors import TooManyAttempts
from statsd.settings import Network
from statsd.web.addresses import client_network, is_within

QUERIES = sql.load("throttle")
WHAT = "login attempts"


@dataclass(frozen=True, slots=True)
class Rule:
    """So many attempts are free; then each waits a second, two, four, and `longest` seconds at most."""

    free: int
    longest: int


TOGETHER = Rule(free=5, longest=300)
ADDRESS = Rule(free=30, longest=2)  # half a company may share it: thirty a minute are let through at any time
NAME = Rule(free=100, longest=10)  # from all over the world: a botnet guesses 8,640 a day, and no more
REGISTRATION = Rule(free=30, longest=2)
AT_ONCE = 4  # the pool is there for events, too


def _subject(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


class Throttle:
    """Counts attempts; those from `exempt` networks never wait."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], exempt: Sequence[Network] = ()) -> None:
        self._pool = pool
        self._exempt = exempt
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def enter(self, name: str, address: str) -> Attempt | None:
        """Count an attempt, before it is known whether it is right. Raises TooManyAttempts.

        `name` in the form in which names are compared.
        """
        if is_within(address, self._exempt):
            return None
        place = client_network(address)
        together = _subject("together", name, place)
        rules = {together: TOGETHER}
        if not await self._do("is_known", together):
            rules |= {_subject("address", place): ADDRESS, _subject("name", name): NAME}
        await self._enter(rules, WHAT)
        return Attempt(together, tuple(rules.keys() - {together}))

    async def enter_new(self, address: str) -> None:
        """Count a registration. Raises TooManyAttempts."""
        if not is_within(address, self._exempt):
            await self._enter({_subject("registration", client_network(address)): REGISTRATION}, "registrations")

    async def _enter(self, rules: dict[bytes, Rule], what: str) -> None:
        counted = await self._count(rules)
        refused = [record for record in counted if record["refused"]]
        if refused:
            await self._release([record["subject"] for record in counted if not record["refused"]])
            raise TooManyAttempts(f"Too many {what}, try again later", max(one["seconds"] for one in refused))

    async def withdraw(self, attempt: Attempt | None) -> None:
        """Take an attempt out of the count that was not made after all."""
        if attempt is not None:
            await self._release([attempt.together, *attempt.others])

    async def succeed(self, attempt: Attempt | None) -> None:
        """Take an attempt that was right out of the count, and know the name at this address from now on."""
        if attempt is not None:
            await self._release(attempt.others)
            await self._do("forget", attempt.together)
            await self._do("remember", attempt.together)

    async def remember(self, name: str, address: str) -> None:
        """Know the name at this address from now on."""
        together = _subject("together", name, client_network(address))
        await self._do("remember", together)

    async def _count(self, rules: dict[bytes, Rule]) -> list[asyncpg.Record]:
        limits = [(rule.free, rule.longest) for rule in rules.values()]
        free, longest = map(list, zip(*limits, strict=True))
        attempt = partial(self._pool.fetch, QUERIES["attempt"], list(rules), free, longest)
        async with self._turns:
            return await ask(WHAT, again(attempt))

    async def _release(self, subjects: Sequence[bytes]) -> None:
        if subjects:
            await self._do("release", subjects)

    async def _do(self, query: str, given: Any) -> Any:
        async with self._turns:
            return await ask(WHAT, self._pool.fetchval(QUERIES[query], given))


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attempt was counted under: name and address together, and the others."""

    together: bytes
    others: tuple[bytes, ...]
