"""`seed`: store sample logins, sample accounts with their clicks, or items and owners with fixed ids; each once."""

import argparse
import logging
import sys
from contextlib import closing
from typing import Any

from statsd import HOME
from statsd.accounts.passwords import Passwords
from statsd.commands.connection import connected
from statsd.database import sql
from statsd.database.pool import Pool
from statsd.ingest import aggregate
from statsd.settings import Settings
from statsd.streams import STREAMS
from statsd.streams.usage.sample import FEATURES, PEOPLE

EXAMPLE = "seed"

PASSWORD = "password123"  # noqa: S105 - public: `serve` warns of accounts that have it

log = logging.getLogger("statsd")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--usage", action="store_true", help="ten sample users with 100 clicks instead")
    parser.add_argument("--transfers", action="store_true", help="base items, owners and items with fixed ids instead")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    seeded = "usage" if arguments.usage else "transfers" if arguments.transfers else "logins"
    async with connected(settings) as (pool, channel):
        await store(pool, seeded)
        swept = {stream.name: await aggregate.sweep(pool, stream.name) for stream in STREAMS}
        stored = {name: rows for name, rows in swept.items() if rows}
        for name in stored:
            channel.announce(name)
    for name, rows in (stored or {seeded: 0}).items():
        print(f"{rows} {name} stored{'' if rows else ', the samples were there already'}", file=sys.stderr)
    if arguments.usage:
        print(f"the sample accounts, user1 to user10, log in with {PASSWORD}", file=sys.stderr)


async def store(pool: Pool, stream: str) -> None:
    """Store the missing samples of a stream; the next sweep counts them."""
    query = (HOME / "sample_data.sql").read_text() if stream == "logins" else sql.load(stream)["seed"]
    values: tuple[Any, ...] = ()
    if stream == "usage":
        with closing(Passwords()) as passwords:
            values = (await passwords.hash(PASSWORD), *zip(*PEOPLE, strict=True), FEATURES)
    for taken in await pool.fetch(query, *values):
        log.warning("%s is somebody's own account: it is not changed and gets no sample clicks", taken["name"])
