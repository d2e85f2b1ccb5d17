"""`serve`: accept events and show live statistics."""

import argparse
import asyncio
import errno
import gc
import http.client
import importlib
import logging
import socket
import sys

from statsd import __version__
from statsd.database.embedded import open_server
from statsd.errors import CannotListen
from statsd.settings import Settings

EXAMPLE = "serve --port 8080 --generate 5"
SETTINGS = ("host", "port", "demo", "generate_rate")
ASK_SECONDS = 1.0  # whoever listens on our port


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """Serve. The application is imported while PostgreSQL starts; either takes a good part of the start."""

    def ready(address: str) -> None:
        database = "DATABASE_URL" if settings.database_url else f"embedded PostgreSQL in {settings.data_dir}"
        line = f"statsd-live {__version__} is at {address} ({database}); Ctrl-C stops it"
        if settings.log_format == "json":
            logging.root.handle(logging.LogRecord("statsd", logging.INFO, "", 0, line, (), None))  # at any level
        else:
            print(line, file=sys.stderr, flush=True)

    check_port(settings.host, settings.port)
    gc.disable()  # until the server is ready: what is imported stays, and to search it for garbage takes 40 ms
    importing = asyncio.create_task(asyncio.to_thread(importlib.import_module, "statsd.app"))
    async with open_server(settings) as dsn:
        app = await importing
        await app.serve(settings, dsn, ready)


def check_port(host: str, port: int) -> None:
    """Raise CannotListen if the server could not listen: known before PostgreSQL starts and anything is made."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        raise CannotListen(host, port, error, _listener(host, port) if is_taken else "") from error


def _listener(host: str, port: int) -> str:
    """Return what listens on a port."""
    connection = http.client.HTTPConnection(host, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/livez")
        is_ours = connection.getresponse().read(100) == b'{"status":"alive"}'
    except (OSError, http.client.HTTPException):
        is_ours = False
    finally:
        connection.close()
    return "a statsd-live server" if is_ours else "another program"
