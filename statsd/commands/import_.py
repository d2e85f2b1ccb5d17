"""`import`: store the rows of a file, each once however often it is imported."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from statsd.commands.blocking import blocking
from statsd.commands.connection import connected, require_writable
from statsd.commands.progress import Progress
from statsd.errors import StatsError, UsageError
from statsd.exchange import foreign, forms, reading
from statsd.exchange.importing import Import
from statsd.exchange.reading import Line, Lines
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "import logins logins.ndjson.gz"
MOST_FAULTS = 100  # that are printed


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stream", choices=[stream.name for stream in STREAMS if not stream.part_of])
    parser.add_argument("file", help="NDJSON or CSV, also compressed with gzip; -: stdin")
    parser.add_argument("--format", choices=forms.FORMS, help="default: the one that the first character shows")
    parser.add_argument("--no-guard", action="store_true", help="CSV that was exported with --no-guard")
    parser.add_argument("--strict", action="store_true", help="stop at the first invalid line")
    parser.add_argument("--rejects", metavar="FILE", help="write the lines that were not stored to this file")
    parser.add_argument("--source", choices=foreign.SOURCES, help="for pageviews: the program that the file is from")
    parser.add_argument("--site", metavar="NAME", help="with --source: the site_id that its page views get")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.source and (arguments.stream != "pageviews" or not arguments.site):
        raise UsageError("--source is for import pageviews and needs --site, the name of the site")
    if arguments.site and not arguments.source:
        raise UsageError("--site is for --source: the rows of other files have their own site_id")
    path = None if arguments.file == "-" else Path(arguments.file)
    progress = Progress(arguments.stream, None, arguments.quiet)
    async with connected(settings) as (pool, channel):
        await require_writable(pool)
        with ExitStack() as stack:
            with blocking:  # the first bytes say what the file is
                lines = stack.enter_context(_lines(arguments, path))
            refuse = stack.enter_context(_refusing(arguments, lines))
            work = Import(pool, forms.raws_of(arguments.stream), settings, channel.announce, refuse)
            try:
                await work.run(blocking.each(lines.records), progress.show)
            finally:
                outcome = work.outcome
                progress.finish(outcome.records)
                _report(arguments, lines, outcome.stored, outcome.known, outcome.refused)
    if outcome.refused:
        raise StatsError(f"lines that were not stored: {outcome.refused:,}")


@contextmanager
def _lines(arguments: argparse.Namespace, path: Path | None) -> Iterator[Lines]:
    if arguments.source:
        with foreign.opened(arguments.source, path, arguments.site) as lines:
            yield lines
    else:
        with reading.opened(path) as file:
            yield reading.lines_of(
                file, arguments.format, forms.raws_of(arguments.stream), guard=not arguments.no_guard
            )


@contextmanager
def _refusing(arguments: argparse.Namespace, lines: Lines) -> Iterator[Callable[[Line, str], None]]:
    """Yield what reports a line, and writes it to the file of the rejects. Raises StatsError at it if it is strict."""
    printed = 0
    with Path(arguments.rejects).open("wb") if arguments.rejects else nullcontext() as rejects:

        def refuse(line: Line, reason: str) -> None:
            nonlocal printed
            if rejects and not rejects.tell():
                rejects.write(lines.head)
            if rejects:
                rejects.write(line.text if line.text.endswith(b"\n") else line.text + b"\n")
            if arguments.strict:
                raise StatsError(f"line {line.number}: {reason}")
            if printed < MOST_FAULTS:
                print(f"line {line.number}: {reason}", file=sys.stderr)
            printed += 1

        yield refuse
    if printed > MOST_FAULTS:
        print(f"… and {printed - MOST_FAULTS:,} more lines", file=sys.stderr)


def _report(arguments: argparse.Namespace, lines: Lines, stored: int, known: int, refused: int) -> None:
    print(f"{stored:,} stored, {known:,} known already, {refused:,} refused", file=sys.stderr)
    for what, number in lines.left_out.items():
        print(f"left out: {number:,} {what}", file=sys.stderr)
    if arguments.json:
        result = {"stream": arguments.stream, "stored": stored, "known": known, "refused": refused}
        print(json.dumps(result))
