"""A connection through a pooler in transaction mode (PgBouncer): each transaction may run in another session.

State of a session does not survive a transaction there, and what one client leaves the next one gets. So there are no
prepared statements and no session `set`. Every transaction begins with `set local` for each of our session settings,
and a statement outside a transaction gets one of its own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg

from statsd.database.search_path import PUBLIC
from statsd.libpq import options

STARTUP_SETTINGS = ("application_name", "timezone", "options")
"""PgBouncer accepts the first two from a client, and keeps them for it; the third names a database at some hosts."""


async def is_between(connection: asyncpg.Connection[asyncpg.Record], timeout: float) -> bool:
    """Whether a pooler is in between: then the backend's pid differs from the one in the greeting.

    One round trip of a simple query: a prepared statement would stay in a session that other clients get.
    """
    query = f"select where pg_backend_pid() = {connection.get_server_pid()}"
    status = await connection.execute(query, timeout=timeout)
    return status == "SELECT 0"


def _in_transaction(method: Callable[..., Awaitable[Any]]) -> Any:
    """Wrap a method: it runs in the open transaction, or in one of its own."""

    @functools.wraps(method)
    async def run(self: Pooled, *arguments: Any, **options: Any) -> Any:
        async with contextlib.nullcontext() if self.is_in_transaction() else self.transaction():
            return await method(self, *arguments, **options)

    return run


class Pooled(asyncpg.Connection):
    """A connection whose transactions each begin with `settings`. Made by `connect`."""

    settings = ""
    """The statements `set local …`, each with a semicolon."""

    fetch = _in_transaction(asyncpg.Connection.fetch)
    fetchrow = _in_transaction(asyncpg.Connection.fetchrow)
    fetchval = _in_transaction(asyncpg.Connection.fetchval)
    fetchmany = _in_transaction(asyncpg.Connection.fetchmany)
    executemany = _in_transaction(asyncpg.Connection.executemany)
    _execute_with = _in_transaction(asyncpg.Connection.execute)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Run statements. Without arguments they are one message, and therefore one transaction with the settings."""
        if args:
            return str(await self._execute_with(query, *args, timeout=timeout))
        text = query if self.is_in_transaction() else f"{self.settings}{query}"
        return await super().execute(text, timeout=timeout)


async def connect(settings: Mapping[str, str], **arguments: Any) -> Pooled:
    """Return a connection whose transactions have these settings; `arguments` are those of asyncpg."""
    connection: Pooled = await asyncpg.connect(
        **arguments,
        server_settings={name: settings[name] for name in STARTUP_SETTINGS if name in settings},
        statement_cache_size=0,
        connection_class=Pooled,
    )
    if "search_path" not in settings and (path := await connection.fetchval(PUBLIC)):
        settings = {**settings, "search_path": path}
    connection.settings = "".join(
        f"set local {name} = {_literal(name, value)}; "
        for name, value in settings.items()
        if name not in ("application_name", "options")
    )
    return connection


def _literal(name: str, value: str) -> str:
    if name == "search_path":  # a list of names: as one text it would be one name
        return ", ".join(map(options.identifier, options.names(value))) or "''"
    return "'" + value.replace("'", "''") + "'"
