"""`serve`: accept events and show live statistics."""

import argparse
import logging
import sys

from statsd import __version__, app
from statsd.settings import Settings
from statsd.web.addresses import is_loopback

ABOUT = "accept events and show live statistics"
EXAMPLE = "serve --port 8080 --generate 5"
SETTINGS = ("host", "port", "generate_rate")

log = logging.getLogger("statsd")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    if not is_loopback(settings.host):
        risk = "every client that reaches port %d of %s can store events: keep it behind a firewall or a proxy"
        log.warning(risk, settings.port, settings.host)

    def ready(address: str) -> None:
        database = "DATABASE_URL" if settings.database_url else f"embedded PostgreSQL in {settings.data_dir}"
        print(f"statsd-live {__version__} is at {address} ({database}); Ctrl-C stops it", file=sys.stderr, flush=True)

    await app.serve(settings, ready)
