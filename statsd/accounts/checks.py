"""Which tokens still count, and whose they are: the tokens of one moment are checked in one query.

While one query is under way the next tokens gather, without a timer. A token is never judged by a query that began
before its request arrived, so a revoked one is worthless at once.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from aiohttp import web

from statsd.accounts.tokens import INVALID, Claims
from statsd.accounts.users import QUERIES, User
from statsd.database.pool import AWAY_SECONDS, SECONDS_PER_ROW, Pool, ask, in_time, reaching
from statsd.errors import DatabaseAway, Overloaded, Unauthenticated

REMEMBERED = 10_000  # users last seen, for while the database is away
MOST_LATE = 2  # queries past their patience; each occupies a connection

Outcome = User | Exception
"""The user of a token that counts; Unauthenticated for one that does not; DatabaseAway if that is unknown."""


class Waiter(Protocol):
    """Waits for an outcome as a future does."""

    def done(self) -> bool: ...

    def set_result(self, outcome: Outcome, /) -> None: ...


class Checks:
    """Finds the users of tokens. `run` is its task."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[Claims, list[Waiter]] = {}
        self._wake = asyncio.Event()
        self._closing = False
        self._queries: set[asyncio.Task[Any]] = set()  # between two batches: those that are late
        self._seen: OrderedDict[Claims, User] = OrderedDict()

    def offer(self, claims: Claims, waiter: Waiter) -> bool:
        """Let a waiter have the user of a token; while the database is away, as this server last saw the user.

        Return False when the server is stopping.
        """
        if self._closing:
            return False
        self._waiting.setdefault(claims, []).append(waiter)
        self._wake.set()
        return True

    async def user_seen(self, claims: Claims) -> User:
        """Return what a waiter would get. Raises Unauthenticated, DatabaseAway and Overloaded."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if not self.offer(claims, future):
            raise Overloaded("the server is stopping: nothing was stored, send it again", retry_after=5)
        return _user(await future)

    async def user_of(self, claims: Claims) -> User:
        """Return the user of a token, or raise Unauthenticated. Waits longer for the database; then DatabaseAway."""
        (outcome,) = self._remember([claims], await ask("accounts", self._users([claims])))
        return _user(outcome)

    async def revoke(self, claims: Claims) -> None:
        """Revoke a token before it expires. Raises DatabaseAway."""
        expires = datetime.fromtimestamp(claims.exp, UTC)
        try:
            await ask("accounts", self._pool.execute(QUERIES["revoke"], claims.jti, expires))
        finally:
            self._seen.pop(claims, None)  # not before: a check meanwhile sees the user again

    async def run(self) -> None:
        """Check batch after batch until `stop` was called and nobody waits."""
        while self._waiting or not self._closing:
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()
                continue
            batch, self._waiting = self._waiting, {}
            outcomes = await self._outcomes(list(batch))
            for waiters, outcome in zip(batch.values(), outcomes, strict=True):
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(outcome)

    def stop(self) -> None:
        """Refuse further tokens; `run` ends once nobody waits."""
        self._closing = True
        self._wake.set()

    async def _outcomes(self, batch: Sequence[Claims]) -> list[Outcome]:
        try:
            with reaching("accounts"):
                if len(self._queries) >= MOST_LATE:
                    raise TimeoutError("earlier queries are late")
                patience = AWAY_SECONDS + SECONDS_PER_ROW * len(batch)
                users = await in_time(self._users(batch), patience, self._queries)
        except DatabaseAway as away:
            return [self._seen.get(claims, away) for claims in batch]
        except Exception as error:
            return [error] * len(batch)
        return self._remember(batch, users)

    async def _users(self, batch: Sequence[Claims]) -> list[User | None]:
        """Return the user of each token, or None if it does not count."""
        columns = zip(*[(claims.user_id, claims.version, claims.jti) for claims in batch], strict=True)
        users: list[User | None] = [None] * len(batch)
        for number, *values in await self._pool.fetch(QUERIES["of_tokens"], *columns):
            users[number - 1] = User(*values)
        return users

    def _remember(self, batch: Sequence[Claims], users: Sequence[User | None]) -> list[Outcome]:
        for claims, user in zip(batch, users, strict=True):
            self._seen.pop(claims, None)
            if user:
                self._seen[claims] = user
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return [user or Unauthenticated(INVALID) for user in users]


def _user(outcome: Outcome) -> User:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


CHECKS: web.AppKey[Checks] = web.AppKey("checks")
