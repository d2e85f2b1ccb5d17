"""`sql`: print the SQL statements of a stream, for psql and `explain`."""

import argparse

from statsd.database import sql
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "sql logins"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stream", choices=[stream.name for stream in STREAMS])


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    print(sql.text(arguments.stream), end="")
