"""`export`: write the raw rows of a stream to a file or stdout."""

import argparse
import gzip
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from statsd.commands.progress import Progress
from statsd.database import durable
from statsd.database.embedded import open_server
from statsd.database.migrations import migrate
from statsd.exchange import exporting, forms
from statsd.settings import Settings
from statsd.streams import STREAMS
from statsd.web.times import FIRST_INSTANT, INSTANT_RULE, instant

EXAMPLE = "export logins logins.ndjson.gz --from 2026-01-01"
END = datetime(2100, 1, 1, tzinfo=UTC)
COMPRESSION = 3  # level 9 takes four times as long for a tenth of the size


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stream", choices=[stream.name for stream in STREAMS if not stream.part_of])
    parser.add_argument("file", nargs="?", default="-", help="written once it is whole; .gz compresses it; -: stdout")
    parser.add_argument("--format", choices=forms.FORMS, help="default: csv for a name with .csv, else ndjson")
    parser.add_argument(
        "--from", type=_instant, dest="start", default=FIRST_INSTANT, metavar="T", help="rows of this time or later"
    )
    parser.add_argument("--to", type=_instant, dest="end", default=END, metavar="T", help="rows of before this time")
    parser.add_argument("--no-guard", action="store_true", help="CSV without apostrophes before texts like =1 or +358")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    path = None if arguments.file == "-" else Path(arguments.file)
    form = arguments.format or ("csv" if path and ".csv" in path.suffixes[-2:] else "ndjson")
    progress = Progress(arguments.stream, None, arguments.quiet)
    span, guard = (arguments.start, arguments.end), not arguments.no_guard
    count = 0
    async with open_server(settings) as dsn:
        await migrate(dsn)
        with _output(path) as write:
            rows = exporting.export(dsn, arguments.stream, form, span, write, guard=guard)
            async with aclosing(rows):
                async for count in rows:
                    progress.show(count)
    progress.finish(count)


@contextmanager
def _output(path: Path | None) -> Iterator[Callable[[bytes], Any]]:
    """Yield what writes to stdout, or to a file that appears once the block ends without an error."""
    if path is None:
        yield _to_stdout
        return
    with durable.writing(path, overwrite=True) as file:
        if path.suffix != ".gz":
            yield file.write
            return
        with gzip.GzipFile(path.stem, "wb", COMPRESSION, file, mtime=0) as packed:
            yield packed.write


def _to_stdout(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def _instant(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {INSTANT_RULE}") from None
