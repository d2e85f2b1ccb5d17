"""A connection through a pooler in transaction mode (PgBouncer): each transaction may run in another session.

Nothing of a session outlives a transaction there, and whatever is left in one is somebody else's: no prepared
statements, no `set`. So every transaction sets for itself what a session of ours would keep, and a statement that is
in none gets one.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg

TAKEN = ("application_name", "timezone")  # what PgBouncer takes from a client at the start, and keeps for it


def is_refusal(error: BaseException) -> bool:
    """Whether only a pooler answers so: PostgreSQL takes each of its settings at the start of a session."""
    return isinstance(error, asyncpg.ProtocolViolationError) and "unsupported startup parameter" in str(error)


async def is_between(connection: asyncpg.Connection[asyncpg.Record], timeout: float) -> bool:
    """Whether something between answers for PostgreSQL: then the process that answers is not the one that greeted us.

    Takes one round trip, and leaves nothing behind: a statement that it prepared would stay in somebody's session.
    """
    query = f"select where pg_backend_pid() = {connection.get_server_pid()}"
    status = await connection.execute(query, timeout=timeout)
    return status == "SELECT 0"


def _settled(method: Callable[..., Awaitable[Any]]) -> Any:
    """Run a method in a transaction, of its own where there is none."""

    @functools.wraps(method)
    async def run(self: Pooled, *given: Any, **named: Any) -> Any:
        if self.is_in_transaction():
            return await method(self, *given, **named)
        async with self.transaction():
            return await method(self, *given, **named)

    return run


class Pooled(asyncpg.Connection):
    """Sets at the beginning of every transaction what a session would keep. Made by `connect`."""

    settings = ""
    """The statements that do so, each ended by a semicolon."""

    fetch = _settled(asyncpg.Connection.fetch)
    fetchrow = _settled(asyncpg.Connection.fetchrow)
    fetchval = _settled(asyncpg.Connection.fetchval)
    fetchmany = _settled(asyncpg.Connection.fetchmany)
    executemany = _settled(asyncpg.Connection.executemany)
    _execute_with = _settled(asyncpg.Connection.execute)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Run statements; without arguments they are one message, and so one transaction, `begin` included."""
        if args:
            return str(await self._execute_with(query, *args, timeout=timeout))
        text = query if self.is_in_transaction() else f"{self.settings}{query}"
        return await super().execute(text, timeout=timeout)


async def connect(dsn: str, settings: Mapping[str, str], *, timeout: float, command_timeout: float) -> Pooled:
    """Return a connection whose transactions have these settings."""
    connection = await asyncpg.connect(
        dsn,
        timeout=timeout,
        command_timeout=command_timeout,
        server_settings={name: settings[name] for name in TAKEN},
        statement_cache_size=0,
        connection_class=Pooled,
    )
    connection.settings = "".join(
        [f"set local {name} = '{value}'; " for name, value in settings.items() if name != "application_name"]
    )
    return connection
