"""`database-url`: print the URL of the database, for psql and other programs."""

from __future__ import annotations

import argparse
from typing import Any

from statsd.commands.arguments import add_command
from statsd.database import embedded
from statsd.settings import Settings


def add(commands: Any, name: str) -> None:
    example = 'database-url    (as in: psql "$(python -m statsd database-url)")'
    add_command(commands, name, "print the URL of the database", example)


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    print(settings.database_url or embedded.dsn(settings.data_dir))
