"""`serve`: accept events and show live statistics."""

import argparse
import asyncio
import gc
import importlib
import logging
import sys

from statsd import __version__
from statsd.database.embedded import open_server
from statsd.settings import Settings

EXAMPLE = "serve --port 8080 --generate 5"
SETTINGS = ("host", "port", "generate_rate")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """Serve. The application is imported while PostgreSQL starts; either takes a good part of the start."""

    def ready(address: str) -> None:
        database = "DATABASE_URL" if settings.database_url else f"embedded PostgreSQL in {settings.data_dir}"
        line = f"statsd-live {__version__} is at {address} ({database}); Ctrl-C stops it"
        if settings.log_format == "json":
            logging.root.handle(logging.LogRecord("statsd", logging.INFO, "", 0, line, (), None))  # at any level
        else:
            print(line, file=sys.stderr, flush=True)

    gc.disable()  # until the server is ready: what is imported stays, and to search it for garbage takes 40 ms
    importing = asyncio.create_task(asyncio.to_thread(importlib.import_module, "statsd.app"))
    async with open_server(settings) as dsn:
        app = await importing
        await app.serve(settings, dsn, ready)
