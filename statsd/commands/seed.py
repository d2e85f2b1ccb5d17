"""`seed`: store sample rows, the same ones however often it runs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from statsd import HOME
from statsd.commands.arguments import add_command
from statsd.commands.connection import connected
from statsd.database import sql
from statsd.ingest import aggregate
from statsd.settings import Settings
from statsd.streams import STREAMS
from statsd.streams.usage import people


def add(commands: Any, name: str) -> None:
    parser = add_command(commands, name, "store the rows of sample_data.sql", "seed")
    parser.add_argument("--usage", action="store_true", help="ten sample users and their 100 clicks instead, once")
    parser.add_argument(
        "--transfers", action="store_true", help="instead: base items, owners and items with well-known ids"
    )


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    async with connected(settings) as (pool, channel):
        if arguments.usage:
            rows = await people.store(pool, channel)
            print(
                f"{rows} usage stored; the sample accounts, user1 to user10, log in with {people.PASSWORD}",
                file=sys.stderr,
            )
            return
        if arguments.transfers:
            await pool.execute(sql.load("transfers")["demo"])
        else:
            await pool.execute((HOME / "sample_data.sql").read_text())
        for stream in STREAMS:
            if rows := await aggregate.sweep(pool, stream.name):
                channel.announce(stream.name)
                print(f"{rows} {stream.name} stored", file=sys.stderr)
