"""`generate`: realistic synthetic events, into the database or over HTTP."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from statsd.commands.connection import connected, require_writable, unserved
from statsd.commands.progress import Progress
from statsd.commands.sender import Sender
from statsd.errors import StatsError, UsageError
from statsd.ingest import generator
from statsd.ingest.generator import DAYS, Generator, Store, WriterStore
from statsd.ingest.writer import Writer
from statsd.settings import Settings
from statsd.stream import Stream
from statsd.streams import ALL, STREAMS, named

EXAMPLE = "generate --url http://127.0.0.1:8080 --stream all"
SETTINGS = ("token",)

DEFAULT_RATE = 5.0
MOST_DAYS = 3_650


def add(parser: argparse.ArgumentParser) -> None:
    names = [stream.name for stream in STREAMS if not stream.part_of]
    parser.add_argument(
        "--url", type=_url, help="send them to the server there, from any folder; without it they go into the database"
    )
    parser.add_argument(
        "--stream", choices=[*names, ALL], default=names[0], help="stream to generate (default %(default)s)"
    )
    parser.add_argument(
        "--rate", type=_positive, metavar="N", help=f"events per second, dated now (default {DEFAULT_RATE:g})"
    )
    parser.add_argument(
        "--count", type=_count, metavar="N", help="stop after N events; without --rate, as fast as possible"
    )
    parser.add_argument(
        "--days", type=_days, metavar="N", help=f"spread --count events over the last N days (default {DAYS})"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the random numbers: the same events every time")
    parser.add_argument("--quiet", action="store_true", help="no progress and no remarks on stderr")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    logging.getLogger("statsd.ingest").setLevel(logging.WARNING)  # the progress line shows the same
    _check(arguments)
    streams = named(arguments.stream)
    opened = _over_http(arguments, settings, streams) if arguments.url else _into_database(arguments, settings, streams)
    store: Store | None = None
    try:
        async with opened as (store, remark):
            if remark and not _is_bulk(arguments):
                print(remark, file=sys.stderr)
            progress = Progress(_what(arguments), arguments.count, arguments.quiet)
            source = Generator(streams, store, arguments.seed, progress.show)
            if _is_bulk(arguments):
                await source.in_bulk(arguments.count, DAYS if arguments.days is None else arguments.days)
            else:
                await source.at_rate(arguments.rate or DEFAULT_RATE, arguments.count)
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        if store is not None:
            progress.finish(store.stored)  # after Ctrl-C with the rows that were still queued
            if arguments.json:
                print(json.dumps({"stream": arguments.stream, "stored": store.stored}))
            if remark and _is_bulk(arguments):
                print(remark, file=sys.stderr)


@asynccontextmanager
async def _into_database(
    arguments: argparse.Namespace, settings: Settings, streams: Sequence[Stream]
) -> AsyncIterator[tuple[Store, str]]:
    """Yield the store, and what to tell the user about it."""
    async with connected(settings) as (pool, channel):
        await require_writable(pool)
        writers = {stream.name: Writer(stream, pool, channel.announce) for stream in streams}
        writing = [asyncio.create_task(writer.run()) for writer in writers.values()]
        for stream in streams:
            await generator.store_fixtures(pool, stream)
        try:
            yield WriterStore(writers), "" if arguments.quiet else await unserved(pool, settings)
        finally:
            for writer in writers.values():
                writer.stop()
            await asyncio.gather(*writing)


@asynccontextmanager
async def _over_http(
    arguments: argparse.Namespace, settings: Settings, streams: Sequence[Stream]
) -> AsyncIterator[tuple[Store, str]]:
    dated_now = [stream.name for stream in streams if not stream.wire.keeps_time]
    if dated_now and _is_bulk(arguments) and not arguments.quiet:
        print(f"over HTTP, events of {', '.join(dated_now)} count when the server receives them: now", file=sys.stderr)
    async with Sender(arguments.url, settings.token) as sender:
        await sender.prepare(streams)
        yield sender, ""
    if sender.refused:
        raise StatsError(f"{arguments.url} refused {sender.refused} of the events: its settings allow other ones only")


def _is_bulk(arguments: argparse.Namespace) -> bool:
    return arguments.count is not None and arguments.rate is None


def _what(arguments: argparse.Namespace) -> str:
    """Return what is counted."""
    return "events" if arguments.stream == ALL else str(arguments.stream)


def _check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    if arguments.days is not None and not _is_bulk(arguments):
        raise UsageError("--days needs --count without --rate: at a rate, events are dated now")
    if arguments.url and (arguments.database_url or arguments.data_dir):
        raise UsageError("--url sends events to a server: leave out --database-url and --data-dir")
    if arguments.token and not arguments.url:
        raise UsageError("--token is for --url")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group: of tasks that fail together, one says why."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or half an IPv6 address
        is_url = False
    if not is_url or parts.username is not None or parts.query or parts.fragment or " " in text:
        raise argparse.ArgumentTypeError(
            f'must be the address of a server, such as http://127.0.0.1:8080 (got "{text}")'
        )
    return text


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100_000:
        raise argparse.ArgumentTypeError("must be above 0 and at most 100000")
    return number


def _days(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_DAYS}")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
