"""Addresses and states of databases."""

from __future__ import annotations

import re
from typing import Any


def renamed(dsn: str, name: str) -> str:
    """The same server, another database."""
    return re.sub(r"/statsd(?=\?|$)", f"/{name}", dsn)


async def make_read_only(pool: Any) -> None:
    """Make the pool's database read-only for sessions that begin now, and end those of the program.

    The pool's own sessions can still write.
    """
    name = await pool.fetchval("select current_database()")
    async with pool.acquire() as admin:
        await admin.execute(f"alter database {name} set default_transaction_read_only = on")
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = $1 and pid <> pg_backend_pid() and application_name = 'statsd-live'",
            name,
        )
