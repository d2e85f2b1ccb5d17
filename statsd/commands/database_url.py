"""`database-url`: print the URL of the database, for psql and other programs."""

import argparse

from statsd import program
from statsd.database import embedded
from statsd.libpq.forms import for_programs
from statsd.settings import Settings

EXAMPLE = f'database-url\n  psql "$({program()} database-url)"'


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    print(for_programs(settings.database_url or settings.in_schema(embedded.dsn(settings.data_dir))))
