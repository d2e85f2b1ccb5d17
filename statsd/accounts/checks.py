"""Which tokens still count, and whose they are: the tokens of one moment are checked in one query.

`Checks` does that for the sessions of users, `keys.KeyChecks` for API tokens and share links.

While one query is under way the next tokens gather, without a timer. A token is never judged by a query that began
before its request arrived, so a revoked one is worthless at once.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from aiohttp import web

from statsd.accounts.tokens import INVALID, Claims
from statsd.accounts.users import QUERIES, User
from statsd.database.pool import AWAY_SECONDS, SECONDS_PER_ROW, Pool, ask, in_time, reaching
from statsd.errors import DatabaseAway, Overloaded, Unauthenticated

REMEMBERED = 10_000  # users last seen, for while the database is away
MOST_LATE = 2  # queries past their patience; each occupies a connection

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
Outcome = User | Exception
"""The user of a token that counts; Unauthenticated for one that does not; DatabaseAway if that is unknown."""


class Waiter(Protocol[T_contra]):
    """Waits for an outcome as a future does."""

    def done(self) -> bool: ...

    def set_result(self, outcome: T_contra | Exception, /) -> None: ...


class BatchedChecks(ABC, Generic[K, T]):
    """Finds what tokens stand for. `run` is its task."""

    def __init__(self, pool: Pool, is_away: Callable[[], bool] = lambda: False) -> None:
        self._pool = pool
        self._is_away = is_away
        self._waiting: dict[K, list[Waiter[T]]] = {}
        self._wake = asyncio.Event()
        self._closing = False
        self._queries: set[asyncio.Task[Any]] = set()  # between two batches: those that are late
        self._seen: OrderedDict[K, T] = OrderedDict()

    @abstractmethod
    async def _find(self, batch: Sequence[K]) -> Sequence[T | None]:
        """Return what each token stands for, or None if it does not count."""

    def offer(self, token: K, waiter: Waiter[T]) -> bool:
        """Let a waiter have what a token stands for; while the database is away, as this server last saw it.

        Return False when the server is stopping.
        """
        if self._closing:
            return False
        if self._is_away() and token in self._seen:
            asyncio.get_running_loop().call_soon(_tell, waiter, self._seen[token])  # not before `offer` returns
            return True
        self._waiting.setdefault(token, []).append(waiter)
        self._wake.set()
        return True

    async def seen(self, token: K) -> T:
        """Return what a waiter would get. Raises Unauthenticated, DatabaseAway and Overloaded."""
        future: asyncio.Future[T | Exception] = asyncio.get_running_loop().create_future()
        if not self.offer(token, future):
            raise Overloaded("the server is stopping: nothing was stored, send it again", retry_after=5)
        return _raised(await future)

    async def refresh(self) -> None:
        """Look again at every token seen, because some may have been revoked; not while the database is away."""
        tokens = list(self._seen)
        with suppress(DatabaseAway):
            self._remember(tokens, await ask("accounts", self._find(tokens)) if tokens else ())

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
                    _tell(waiter, outcome)

    def stop(self) -> None:
        """Refuse further tokens; `run` ends once nobody waits."""
        self._closing = True
        self._wake.set()

    async def _outcomes(self, batch: Sequence[K]) -> list[T | Exception]:
        try:
            with reaching("accounts"):
                if len(self._queries) >= MOST_LATE:
                    raise TimeoutError("earlier queries are late")
                patience = AWAY_SECONDS + SECONDS_PER_ROW * len(batch)
                found = await in_time(self._find(batch), patience, self._queries)
        except DatabaseAway as away:
            return [self._seen.get(token, away) for token in batch]
        except Exception as error:
            return [error] * len(batch)
        return self._remember(batch, found)

    def _remember(self, batch: Sequence[K], found: Sequence[T | None]) -> list[T | Exception]:
        for token, value in zip(batch, found, strict=True):
            self._seen.pop(token, None)
            if value:
                self._seen[token] = value
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return [value or Unauthenticated(INVALID) for value in found]


def _raised(outcome: T | Exception) -> T:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _tell(waiter: Waiter[T], outcome: T | Exception) -> None:
    if not waiter.done():
        waiter.set_result(outcome)


class Checks(BatchedChecks[Claims, User]):
    """Finds the users of session tokens."""

    async def revoke(self, claims: Claims) -> None:
        """Revoke a token before it expires. Raises DatabaseAway."""
        expires = datetime.fromtimestamp(claims.exp, UTC)
        try:
            await ask("accounts", self._pool.execute(QUERIES["revoke"], claims.jti, expires))
        finally:
            self._seen.pop(claims, None)  # not before: a check meanwhile sees the user again

    async def _find(self, batch: Sequence[Claims]) -> list[User | None]:
        columns = zip(*[(claims.user_id, claims.version, claims.jti) for claims in batch], strict=True)
        users: list[User | None] = [None] * len(batch)
        for number, *values in await self._pool.fetch(QUERIES["of_tokens"], *columns):
            users[number - 1] = User(*values)
        return users


CHECKS: web.AppKey[Checks] = web.AppKey("checks")
