"""`seed`: store sample logins, sample accounts with their clicks, or items and owners with fixed ids; each once."""

import argparse
import logging
import sys
from collections.abc import Mapping
from contextlib import closing

from statsd import HOME
from statsd.accounts.passwords import Passwords
from statsd.commands.connection import connected, unserved
from statsd.database import sql
from statsd.database.pool import Pool
from statsd.ingest import aggregate
from statsd.settings import Settings
from statsd.streams import named
from statsd.streams.usage.sample import FEATURES, PEOPLE

EXAMPLE = "seed"

PASSWORD = "password123"  # noqa: S105 - public: `serve` warns of accounts that have it

log = logging.getLogger("statsd")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--usage", action="store_true", help="ten sample users with 100 clicks instead")
    parser.add_argument("--transfers", action="store_true", help="base items, owners and items with fixed ids instead")
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but warnings")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    seeded = "usage" if arguments.usage else "transfers" if arguments.transfers else "logins"
    async with connected(settings) as (pool, channel):
        stored = await store(pool, seeded)
        for stream in named(seeded):
            if await aggregate.sweep(pool, stream.name):
                channel.announce(stream.name)
        remark = await unserved(pool, settings)
    if arguments.quiet:
        return
    known = "" if any(stored.values()) else ", the samples were there already"
    print(", ".join(f"{rows} {name}" for name, rows in stored.items()), f"stored{known}", file=sys.stderr)
    if arguments.usage:
        print(f"the sample accounts, user1 to user10, log in with {PASSWORD}", file=sys.stderr)
    if remark:
        print(remark, file=sys.stderr)


async def store(pool: Pool, stream: str) -> Mapping[str, int]:
    """Store the missing samples of a stream; the next sweep counts them. Return how many rows of each kind are new."""
    if stream == "logins":
        status = await pool.execute((HOME / "sample_data.sql").read_text())
        return {stream: int(status.split()[-1])}
    query = sql.load(stream)["seed"]
    if stream == "transfers":
        return dict((await pool.fetch(query))[0])
    with closing(Passwords()) as passwords:
        hashed = await passwords.hash(PASSWORD)
    row = dict((await pool.fetch(query, hashed, *zip(*PEOPLE, strict=True), FEATURES))[0])
    for name in row.pop("taken"):
        log.warning("%s is somebody's own account: it is not changed and gets no sample clicks", name)
    return row
