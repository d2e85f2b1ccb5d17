"""Connections to PostgreSQL: the pool, how long a query may take, and what its errors mean."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import pooler
from statsd.database.search_path import USE_PUBLIC
from statsd.errors import DatabaseAway, DatabaseError
from statsd.libpq.plan import plan

CONNECT_SECONDS = 3.0
COMMAND_SECONDS = 10.0  # the client ends a statement after this time
PATIENCE_SECONDS = 3.0  # a reader waits this long before the answer is "database away"
AWAY_SECONDS = 0.75  # the same for an event: then it goes to the spool
SECONDS_PER_ROW = 0.0002  # more for each row of a batch: thousands of rows on a slow disk are no outage
POOL_SIZE = 10
LANE_CONNECTIONS = 2  # more for each lane after the first: two streams have lanes
ATTEMPTS = 5  # for a transaction that conflicts with another

SESSION = {
    "application_name": "statsd-live",
    "timezone": "UTC",
    "synchronous_commit": "on",  # overrides the role and the database: acknowledged means durable
    "statement_timeout": "5s",  # PostgreSQL ends a statement before COMMAND_SECONDS, unless it hangs
    "jit": "off",  # compiling a fold takes longer than running it
    "citus.override_table_visibility": "off",
}

CAUSES = {
    "08": "cannot be reached",
    "25006": "is read-only",
    "28": "refuses the login",
    "42501": "refuses a permission",
    "53100": "has a full disk",
    "53200": "is out of memory",
    "53300": "has no connection left",
    "57": "is starting or stopping",
    "58": "has a failing disk",
}
"""Words for SQLSTATEs, and for classes of them."""

T = TypeVar("T")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
POOL: web.AppKey[Pool] = web.AppKey("pool")
DSN: web.AppKey[str] = web.AppKey("dsn")

log = logging.getLogger("statsd.database")

_queries: set[asyncio.Task[Any]] = set()
_pooled: set[str] = set()  # URLs known to lead through a pooler


def is_bad_data(error: BaseException) -> bool:
    """Whether PostgreSQL, or asyncpg before it, refused the values themselves: then a retry is useless.

    After any other error it is unknown whether the statement committed. Values are listed here, not connection errors:
    a list of those is never complete. A full NOTIFY queue has the SQLSTATE of a value that is too large; its source
    file tells them apart.
    """
    code = getattr(error, "sqlstate", None) or ""
    too_large = code in ("54000", "54001") and getattr(error, "server_source_filename", None) != "async.c"
    return isinstance(error, asyncpg.DataError) or code[:2] in ("22", "23") or too_large


def is_late(error: BaseException) -> bool:
    """Whether a statement took too long: the database is away, or another transaction holds a lock."""
    return isinstance(error, TimeoutError) or getattr(error, "sqlstate", None) in ("57014", "55P03")


def cause(error: BaseException) -> str:
    """Return in a few words why the database did not store rows; they tell a client nothing about the server's inside.

    The words follow "the database".
    """
    code = getattr(error, "sqlstate", None) or ""
    if is_late(error):
        return "does not answer in time"
    if words := CAUSES.get(code) or CAUSES.get(code[:2]):
        return words
    if isinstance(error, DatabaseError | OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return "cannot be reached"
    return f"failed ({code or type(error).__name__})"


async def again(run: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `run`, which runs again if its transaction lost a conflict, at most five times in all."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await run()
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
            log.info("retry after a conflict: %s", error)
    return await run()


async def ask(what: str, query: Coroutine[Any, Any, T], patience: float = PATIENCE_SECONDS) -> T:
    """Return the result of a query. Raises DatabaseAway as `reaching` does, and after `patience` seconds."""
    with reaching(what):
        return await in_time(query, patience, _queries)


async def in_time(query: Coroutine[Any, Any, T], patience: float, running: set[asyncio.Task[Any]]) -> T:
    """Return the result of a query, which is in `running` until it ends. Raises TimeoutError after `patience` seconds.

    A late query is not cancelled: with a frozen server, asyncpg's cancel takes as long as the query.
    """

    def forget(task: asyncio.Task[Any]) -> None:
        running.discard(task)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: it was raised already, or its caller has gone

    task = asyncio.create_task(query)
    running.add(task)  # the event loop holds only weak references to tasks
    task.add_done_callback(forget)
    if not (await asyncio.wait((task,), timeout=patience))[0]:
        raise TimeoutError(f"no answer within {patience:g} s")
    return task.result()


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Raise every error of the block as DatabaseAway, except an error in the query itself or its values.

    `what` is the subject of the message: "`what` cannot be reached".
    """
    try:
        yield
    except Exception as error:
        if (getattr(error, "sqlstate", None) or "")[:2] in ("22", "42"):
            raise
        raise DatabaseAway(f"{what} cannot be reached: the database is away, try again") from error


async def _keep_session(_: Any) -> None:
    """Replace asyncpg's reset, which costs a round trip: no query here changes a session."""


async def connect(dsn: str, **overrides: str) -> Connection:
    """Return a connection outside the pool; `overrides` are session settings. Raises DatabaseAway or DatabaseError."""
    try:
        return await _connect(dsn, **overrides)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise DatabaseError(f"PostgreSQL refused the connection: {error}") from error
    except (ValueError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"the database URL cannot be used: {error}") from error
    except Exception as error:
        is_refusal = isinstance(error, asyncpg.SyntaxOrAccessError | asyncpg.DataError)  # of what the URL asks for
        what = "refused the connection" if is_refusal else "cannot be reached"
        raise DatabaseAway(f"PostgreSQL {what}: {_reason(error, dsn)}") from error


def _reason(error: Exception, dsn: str) -> str:
    """Return why there is no connection, with the place where PostgreSQL was looked for."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error) or type(error).__name__
    hosts, port = plan(dsn).arguments["host"] or ["this machine"], plan(dsn).arguments["port"]
    return f"{error.strerror} ({', '.join(hosts)}{f', port {port}' if isinstance(port, int) else ''})"


async def _connect(dsn: str, **overrides: str) -> Connection:
    """Return a direct connection to PostgreSQL, or a `Pooled` one if a pooler is in between."""
    planned = plan(dsn)
    if planned.faults:
        raise ValueError("; ".join(planned.faults))
    settings = {**planned.settings, **SESSION, **overrides}
    times: dict[str, Any] = {"timeout": planned.connect_seconds or CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
    if dsn not in _pooled:
        try:
            connection: Connection = await asyncpg.connect(**planned.arguments, **times, server_settings=settings)
        except asyncpg.ProtocolViolationError as error:
            if "unsupported startup parameter" not in str(error):  # PostgreSQL itself accepts all our settings
                raise
        else:
            if not await _is_pooled(connection, "search_path" in settings):
                return connection
        if dsn not in _pooled:
            log.info("PostgreSQL is behind a pooler: no prepared statements, and every transaction makes its settings")
        _pooled.add(dsn)
    return await pooler.connect(settings, **planned.arguments, **times)


async def _is_pooled(connection: Connection, has_search_path: bool) -> bool:
    """Whether the connection leads through a pooler. It is closed if it does, or if the check fails.

    A direct connection has its search path afterwards.
    """
    direct = False
    try:
        if not await pooler.is_between(connection, CONNECT_SECONDS):
            if not has_search_path:
                await connection.execute(USE_PUBLIC, timeout=CONNECT_SECONDS)
            direct = True
    finally:
        if not direct:
            connection.terminate()
    return not direct


async def open_pool(dsn: str, lanes: int = 1) -> Pool:
    """Return a pool that connects on first use: it can be opened, and lives on, while the database is away."""
    size = POOL_SIZE + LANE_CONNECTIONS * (lanes - 1)
    return await asyncpg.create_pool(
        dsn, min_size=0, max_size=size, connect=lambda *_, **__: _connect(dsn), reset=_keep_session
    )


def compact(json: str) -> bytes:
    """Return PostgreSQL's JSON without its spaces."""
    return msgspec.json.format(json.encode(), indent=-1)
