"""`generate`: store realistic synthetic events."""

import argparse
import asyncio
import json
import logging

from statsd.commands.connection import connected
from statsd.commands.progress import Progress
from statsd.ingest import generator
from statsd.ingest.generator import Generator
from statsd.ingest.writer import Writer
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "generate --rate 5"

DEFAULT_RATE = 5.0


def add(parser: argparse.ArgumentParser) -> None:
    streams = [stream.name for stream in STREAMS if not stream.part_of]
    parser.add_argument(
        "--stream", choices=streams, default=streams[0], help="stream to generate (default %(default)s)"
    )
    parser.add_argument("--rate", type=_positive, metavar="N", help=f"events per second (default {DEFAULT_RATE:g})")
    parser.add_argument(
        "--count", type=_count, metavar="N", help="stop after N events; without --rate, as fast as possible"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the random numbers: the same events every time")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    logging.getLogger("statsd.ingest").setLevel(logging.WARNING)  # the progress line shows the same
    stream = next(stream for stream in STREAMS if stream.name == arguments.stream)
    parts = [part for part in STREAMS if part.part_of == stream.name]
    async with connected(settings) as (pool, channel):
        writers = [Writer(part, pool, channel.announce) for part in (*parts, stream)]
        writing = [asyncio.create_task(writer.run()) for writer in writers]
        for writer in writers:
            await generator.store_fixtures(pool, writer.stream)
        progress = Progress(stream.name, arguments.count, arguments.quiet)
        source = Generator(writers, arguments.seed, progress.show)
        try:
            if arguments.count is not None and arguments.rate is None:
                await source.in_bulk(arguments.count)
            else:
                await source.at_rate(arguments.rate or DEFAULT_RATE, arguments.count)
        finally:
            for writer in writers:
                writer.stop()
            await asyncio.gather(*writing)
            stored = sum(writer.stored for writer in writers)
            progress.finish(stored)  # after Ctrl-C with the rows that were still queued
            if arguments.json:
                print(json.dumps({"stream": stream.name, "stored": stored}))


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100_000:
        raise argparse.ArgumentTypeError("must be above 0 and at most 100000")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
