"""`psql`: open the bundled psql, connected to the database."""

import argparse
import asyncio
import signal

from statsd import program
from statsd.database import embedded, programs
from statsd.errors import StatsError
from statsd.settings import Settings

EXAMPLE = f"psql\n  {program()} psql -- --csv -f report.sql"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="-- ARG", help="arguments of psql")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """Run psql until it ends; an embedded server that does not run is started for as long."""
    if not settings.database_url:
        embedded.require_cluster(settings.data_dir)
    async with embedded.open_server(settings) as dsn:
        url, environment = programs.connection(dsn)
        # Ctrl-C is for psql, which shares our terminal and cancels its query.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
        process = await asyncio.create_subprocess_exec(
            programs.newest("psql", url=dsn), f"--dbname={url}", *arguments.words, env=environment
        )
        try:
            exit_code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    if exit_code:
        raise PsqlFailed(exit_code)


class PsqlFailed(StatsError):
    """psql ended with an error, which it printed itself."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"psql ended with exit code {exit_code}")
        self.exit_code = exit_code
