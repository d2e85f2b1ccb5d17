"""The pool, the migrations, and what an error of PostgreSQL means."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import pooler
from statsd.errors import DatabaseAway, DatabaseError

CONNECT_SECONDS = 3.0
COMMAND_SECONDS = 10.0
READ_SECONDS = 5
PATIENCE_SECONDS = 3.0  # whoever reads is told by then that the database is away
POOL_SIZE = 10
ATTEMPTS = 5  # for a statement that met another transaction

SESSION = {
    "application_name": "statsd-live",
    "timezone": "UTC",
    "synchronous_commit": "on",  # whatever the role or the database says: acknowledged means durable
    "statement_timeout": f"{READ_SECONDS}s",
    "jit": "off",  # compiling a fold takes longer than running it
    "citus.override_table_visibility": "off",
}

POOL: web.AppKey[asyncpg.Pool[asyncpg.Record]] = web.AppKey("pool")
DSN: web.AppKey[str] = web.AppKey("dsn")

T = TypeVar("T")

log = logging.getLogger("statsd.database")

_asked: set[asyncio.Task[Any]] = set()  # the loop keeps no hold of its tasks
_pooled: set[str] = set()  # the URLs that lead through a pooler, which is found out once


def is_bad_data(error: BaseException) -> bool:
    """Whether PostgreSQL (or asyncpg before it) refused the values themselves, so that trying again is useless.

    Everything else means "state unknown": a list of connection errors misses some (reliability.md §2.3). A queue of
    notifications that is full has the code of a value that is too large, and says nothing of the values.
    """
    code = getattr(error, "sqlstate", None) or ""
    too_large = code in ("54000", "54001") and getattr(error, "server_source_filename", None) != "async.c"
    return isinstance(error, asyncpg.DataError) or code[:2] in ("22", "23") or too_large


def is_late(error: BaseException) -> bool:
    """Whether a statement took too long: because the database is away, or because it waited for a lock."""
    return isinstance(error, TimeoutError) or getattr(error, "sqlstate", None) in ("57014", "55P03")


def is_conflict(error: BaseException) -> bool:
    """Whether two transactions met and this one may simply run again (deadlock, serialization failure)."""
    return getattr(error, "sqlstate", None) in ("40001", "40P01")


async def again(run: Callable[[], Awaitable[T]], attempts: int = ATTEMPTS) -> T:
    """Return what `run` gives; where it met another transaction it may simply run again, `attempts` times in all."""
    for _ in range(attempts - 1):
        try:
            return await run()
        except asyncpg.PostgresError as error:
            if not is_conflict(error):
                raise
            log.info("trying again after %s", error)
    return await run()


async def ask(what: str, query: Coroutine[Any, Any, T], patience: float = PATIENCE_SECONDS) -> T:
    """Return what a query gives. Raises DatabaseAway as `reaching` does, and where that takes longer than `patience`.

    A query that is late is left alone: to cancel one that a frozen server has takes asyncpg as long as its answer.
    """
    task = asyncio.create_task(query)
    _asked.add(task)
    task.add_done_callback(_forget)
    with reaching(what):
        if not (await asyncio.wait((task,), timeout=patience))[0]:
            raise TimeoutError
        return task.result()


def _forget(task: asyncio.Task[Any]) -> None:
    _asked.discard(task)
    if not task.cancelled():
        task.exception()  # said already, or nobody waits for it any more


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Around a query: whatever keeps it from its rows is raised as DatabaseAway, but for a defect of the query itself.

    `what` is then out of reach, in the words of the message.
    """
    try:
        yield
    except Exception as error:
        if (getattr(error, "sqlstate", None) or "")[:2] in ("22", "42"):
            raise
        raise DatabaseAway(f"{what} cannot be reached: the database is away, try again") from error


async def _keep_session(_: Any) -> None:
    """Nothing here changes a session, so a connection goes back to the pool without a round trip to reset it."""


async def connect(dsn: str, **overrides: str) -> asyncpg.Connection[asyncpg.Record]:
    """Return a connection outside the pool. Raises DatabaseAway or DatabaseError with a sentence that says why."""
    try:
        return await _connect(dsn, **overrides)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise DatabaseError(f"PostgreSQL refused the connection: {error}") from error
    except (ValueError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"the database URL cannot be used: {error}") from error
    except Exception as error:
        raise DatabaseAway(f"PostgreSQL cannot be reached: {str(error) or type(error).__name__}") from error


async def _connect(dsn: str, **overrides: str) -> asyncpg.Connection[asyncpg.Record]:
    """Return a connection to PostgreSQL itself, or such a one as a pooler in between allows (pooler.py)."""
    settings = {**SESSION, **overrides}
    if dsn not in _pooled:
        try:
            connection = await asyncpg.connect(
                dsn, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS, server_settings=settings
            )
        except asyncpg.PostgresError as error:
            if not pooler.is_refusal(error):
                raise
        else:
            if not await _is_pooled(connection):
                return connection
        if dsn not in _pooled:
            log.info("a pooler stands before PostgreSQL: nothing is kept prepared, transactions bring their settings")
        _pooled.add(dsn)
    return await pooler.connect(dsn, settings, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS)


async def _is_pooled(connection: asyncpg.Connection[asyncpg.Record]) -> bool:
    """Whether it leads through a pooler; it is closed then, or where that cannot be found out."""
    direct = False
    try:
        direct = not await pooler.is_between(connection, CONNECT_SECONDS)
    finally:
        if not direct:
            connection.terminate()
    return not direct


async def open_pool(dsn: str) -> asyncpg.Pool[asyncpg.Record]:
    """Return a pool that connects when it is first used, so that it outlives any absence of the database."""

    async def connect_for_pool(*_: Any, **__: Any) -> asyncpg.Connection[asyncpg.Record]:
        return await _connect(dsn)

    return await asyncpg.create_pool(dsn, min_size=0, max_size=POOL_SIZE, connect=connect_for_pool, reset=_keep_session)


def compact(json: str) -> bytes:
    """Return JSON without the spaces PostgreSQL writes."""
    return msgspec.json.format(json.encode(), indent=-1)
