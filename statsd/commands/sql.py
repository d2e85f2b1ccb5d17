"""`sql`: print the SQL statements of a stream, for psql and `explain`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from statsd.commands.arguments import add_command
from statsd.database import sql
from statsd.settings import Settings
from statsd.streams import STREAMS


def add(commands: Any, name: str) -> None:
    about = "print the SQL statements of a stream, for psql and explain"
    parser = add_command(commands, name, about, "sql logins")
    parser.add_argument("stream", choices=[stream.name for stream in STREAMS], help="name of the stream")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    sys.stdout.write(sql.text(arguments.stream))
