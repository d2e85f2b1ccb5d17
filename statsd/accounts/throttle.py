"""The throttle of logins: the more attempts were wrong, the longer the next one waits. Its state is in PostgreSQL.

Attempts are counted per name and address, per address, and per name. None of these locks out the owner of an account
for long:

- At an address where the owner has logged in before, only attempts there under this name count.
- Elsewhere the counts per address and per name delay an attempt by 2 and 10 seconds at most. An attacker cannot use up
  every opening, because each of its addresses waits up to 5 minutes between two attempts on one name.
- A refused attempt does not lengthen a delay.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import Pool, again, ask
from statsd.errors import TooManyAttempts
from statsd.settings import Network
from statsd.web.addresses import client_network, is_within

QUERIES = sql.load("throttle")
WHAT = "login attempts"


class Rule(NamedTuple):
    """`free` attempts without a delay; then one of 1, 2, 4, … seconds, at most `longest`."""

    free: int
    longest: int


TOGETHER = Rule(free=5, longest=300)
ADDRESS = Rule(free=30, longest=2)  # a company may share an address: 30 a minute always pass
NAME = Rule(free=100, longest=10)  # from all addresses together: a botnet can guess 8,640 times a day
REGISTRATION = Rule(free=30, longest=2)
MOST_QUERIES = 4  # at a time: events need the pool, too


def _subject(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


class Throttle:
    """Counts attempts. Those from `exempt` networks are not counted."""

    def __init__(self, pool: Pool, exempt: Sequence[Network] = ()) -> None:
        self._pool = pool
        self._exempt = exempt
        self._slots = asyncio.Semaphore(MOST_QUERIES)

    async def enter(self, name: str, address: str) -> Sequence[bytes]:
        """Count an attempt before the password is checked. Raises TooManyAttempts and DatabaseAway.

        `name` is the key of an account (`users.key_of`). Returns the subjects that the attempt was counted under: name
        and address together, then the others; none for an exempt address.
        """
        if is_within(address, self._exempt):
            return []
        network = client_network(address)
        together = _subject("together", name, network)
        rules = {together: TOGETHER}
        if not await self._do("is_known", together):
            rules |= {_subject("address", network): ADDRESS, _subject("name", name): NAME}
        await self._enter(rules, WHAT)
        return list(rules)

    async def enter_new(self, address: str) -> None:
        """Count a registration. Raises TooManyAttempts and DatabaseAway."""
        if not is_within(address, self._exempt):
            await self._enter({_subject("registration", client_network(address)): REGISTRATION}, "registrations")

    async def _enter(self, rules: dict[bytes, Rule], what: str) -> None:
        free, longest = zip(*rules.values(), strict=True)
        attempt = partial(self._pool.fetch, QUERIES["attempt"], list(rules), free, longest)
        async with self._slots:
            counted = await ask(WHAT, again(attempt))
        refused = [record for record in counted if record["refused"]]
        if refused:
            await self.release([record["subject"] for record in counted if not record["refused"]])
            metrics.THROTTLED.labels(what.replace(" ", "_")).inc()
            raise TooManyAttempts(f"Too many {what}, try again later", max(record["seconds"] for record in refused))

    async def succeed(self, attempt: Sequence[bytes]) -> None:
        """Uncount a right attempt, and remember the name at this address."""
        if attempt:
            together, *others = attempt
            await self.release(others)
            await self._do("forget", together)
            await self._do("remember", together)

    async def remember(self, name: str, address: str) -> None:
        """Remember that the owner of the name has been at this address."""
        await self._do("remember", _subject("together", name, client_network(address)))

    async def release(self, subjects: Sequence[bytes]) -> None:
        """Uncount an attempt under some of its subjects."""
        if subjects:
            await self._do("release", subjects)

    async def _do(self, query: str, argument: Any) -> Any:
        async with self._slots:
            return await ask(WHAT, self._pool.fetchval(QUERIES[query], argument))
