"""The commands. Data goes to stdout, talk to stderr; the exit code says how it ended."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import logging
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

try:
    import uvloop
except ImportError:  # it does not exist for Windows
    uvloop = None  # type: ignore[assignment]

from statsd import (
    HOME,
    __version__,
    accounts,
    aggregate,
    app,
    database,
    generator,
    logs,
    openapi,
    outage,
    postgres,
    samples,
    settings,
    sql,
)
from statsd.channel import Channel
from statsd.errors import SettingsError, StatsError
from statsd.ingest import Writer
from statsd.progress import Progress
from statsd.settings import Settings
from statsd.stream import Stream
from statsd.streams import STREAMS

EXIT_CODES = """exit codes:
  0 ok, or stopped by SIGTERM   1 failed   2 usage   3 a setting is wrong
  4 database unreachable        5 the database is newer than the program   130 Ctrl-C"""
DEFAULT_RATE = 5.0

log = logging.getLogger("statsd")

Command = Callable[[argparse.Namespace, Settings], Coroutine[Any, Any, None]]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = _parser().parse_args(arguments)
    try:
        told = settings.load({name: getattr(given, name, None) for name in settings.fields()})
    except SettingsError as error:
        for fault in error.faults:
            print(f"statsd: {fault}", file=sys.stderr)
        return error.exit_code
    logs.configure(told)
    for sentence in settings.unknown():
        log.warning("%s", sentence)
    try:
        return _run(given.command(given, told))
    except StatsError as error:
        print(f"statsd: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"statsd: {error}", file=sys.stderr)
        return 1


def _run(command: Coroutine[Any, Any, None]) -> int:
    """Run until the command ends or a signal asks it to; a second signal ends the process at once."""
    asked: list[signal.Signals] = []

    async def until_signal() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(command)

        def stop(number: signal.Signals) -> None:
            if asked:
                os._exit(_code(asked[0]))
            asked.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        with suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(until_signal())
    return _code(asked[0]) if asked else 0


def _code(number: signal.Signals) -> int:
    return 130 if number is signal.SIGINT else 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    return uvloop.new_event_loop if uvloop else None


async def serve(given: argparse.Namespace, told: Settings) -> None:
    if not settings.is_loopback(told.host):
        log.warning(
            "anyone who reaches %s:%d may store events: keep it behind a firewall or a proxy", told.host, told.port
        )

    def ready(address: str) -> None:
        where = "DATABASE_URL" if told.database_url else f"embedded PostgreSQL in {told.data_dir}"
        print(f"statsd-live {__version__} is at {address} ({where}); Ctrl-C stops it", file=sys.stderr, flush=True)

    await app.serve(told, ready)


async def generate(given: argparse.Namespace, told: Settings) -> None:
    logging.getLogger("statsd.ingest").setLevel(logging.WARNING)  # the progress says the same
    stream = next(one for one in STREAMS if one.name == given.stream)
    if given.url and not stream.wrong:
        raise StatsError(f"--url: only {', '.join(one.name for one in STREAMS if one.wrong)} can be sent wrong")
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, _announcing(dsn, pool) as channel:
        parts = [one for one in STREAMS if one.part_of == stream.name]
        writers = [(one, Writer(one, pool, channel.announce)) for one in (*parts, stream)]
        writing = [asyncio.create_task(writer.run()) for _, writer in writers]
        for one, _ in writers:
            await generator.set_scenery(pool, one)
        source = generator.Generator(*writers[-1], given.seed, writers[:-1])
        progress = Progress(stream.name, given.count, given.quiet)
        try:
            if given.count is not None and given.rate is None:
                await source.in_bulk(given.count, progress.show)
            else:
                await _at_rate(given, stream, source, progress)
        finally:
            for _, writer in writers:
                writer.stop()
            await asyncio.gather(*writing)
            stored = sum(writer.stored for _, writer in writers)
            progress.finish(stored)  # after Ctrl-C also what was on its way
            if given.json:
                print(json.dumps({"stream": stream.name, "stored": stored}))


async def _at_rate(given: argparse.Namespace, stream: Stream, source: generator.Generator, progress: Progress) -> None:
    rate, rng = given.rate or DEFAULT_RATE, random.Random(given.seed)

    async def draw() -> None:
        while True:
            await asyncio.sleep(0.2)
            progress.show(source.total)

    async def spoil() -> None:
        while True:
            await asyncio.sleep(rng.expovariate(rate * generator.WRONG_SHARE))
            with suppress(StatsError):  # the server may be away for a while
                await generator.send_wrong(given.url, stream, rng)

    if given.url:
        await generator.send_wrong(given.url, stream, rng)
    beside = [asyncio.create_task(work()) for work in ((draw, spoil) if given.url else (draw,))]
    try:
        await source.at_rate(rate, given.count)
    finally:
        for task in beside:
            task.cancel()


@asynccontextmanager
async def _announcing(dsn: str, pool: Any) -> AsyncIterator[Channel]:
    """A channel that speaks and does not listen, for a command that stores beside running servers."""
    channel = Channel(dsn, pool)
    speaking = asyncio.create_task(channel.run())
    try:
        yield channel
    finally:
        speaking.cancel()
        await channel.flush()


async def seed(given: argparse.Namespace, told: Settings) -> None:
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, _announcing(dsn, pool) as channel:
        if given.usage:
            rows = await samples.store(pool, channel)
            print(f"{rows} usage stored; user1 to user10 log in with {samples.PASSWORD}", file=sys.stderr)
            return
        if given.transfers:
            await pool.execute(sql.load("transfers")["demo"])
        else:
            await pool.execute((HOME / "sample_data.sql").read_text())
        for stream in STREAMS:
            if rows := await aggregate.sweep(pool, stream.name):
                channel.announce(stream.name)
                print(f"{rows} {stream.name} stored", file=sys.stderr)


async def aggregate_now(given: argparse.Namespace, told: Settings) -> None:
    counts = {}
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, _announcing(dsn, pool) as channel:
        for stream in STREAMS:
            fold = aggregate.rebuild if given.rebuild else aggregate.sweep
            counts[stream.name] = await fold(pool, stream.name)
            channel.announce(stream.name)
    if given.json:
        print(json.dumps(counts))
    else:
        for name, rows in counts.items():
            print(f"{name}: {rows} rows folded", file=sys.stderr)


async def dead_letters(given: argparse.Namespace, told: Settings) -> None:
    queries = sql.load("dead_letters")
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, _announcing(dsn, pool) as channel:
        letters = [one for one in await pool.fetch(queries["list"]) if given.action == "list" or _chosen(one, given.id)]
        done = letters if given.action == "drop" else []
        if given.action == "retry":
            for stream in STREAMS:
                mine = [one for one in letters if one["stream"] == stream.name]
                rows = [outage.row_of(stream, one["id"], one["payload"]) for one in mine]
                await Writer(stream, pool, channel.announce).replay(rows)
            attempts = {one["id"]: one["attempts"] for one in await pool.fetch(queries["list"])}
            done = [one for one in letters if attempts.get(one["id"]) == one["attempts"]]  # not refused again
        await pool.execute(queries["drop"], [one["id"] for one in done])
    for one in letters if given.action == "list" else done:
        print(json.dumps(dict(one), default=str))


def _chosen(letter: asyncpg.Record, ids: list[str]) -> bool:
    return "all" in ids or str(letter["id"]) in ids


async def user(given: argparse.Namespace, told: Settings) -> None:
    password = _new_password() if given.action != "remove" else ""
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, accounts.opened(pool) as known:
        match given.action:
            case "add":
                asked = {"username": given.name, "password": password, "age": given.age, "gender": given.gender}
                made = await known.register(accounts.registration(asked))
                print(f"user {made.id} added", file=sys.stderr)
            case "passwd":
                await known.change_password(given.name, password)
                print("password changed; who was logged in must log in again", file=sys.stderr)
            case _:
                await known.remove(given.name)
                print("user removed; the clicks stay in the statistics", file=sys.stderr)


def _new_password() -> str:
    """From a prompt, or the first line of stdin: what is an argument, everybody on the machine can read."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise StatsError("the two passwords differ: nothing was changed")
    return password


async def database_url(given: argparse.Namespace, told: Settings) -> None:
    print(told.database_url or postgres.dsn(told.data_dir))


async def print_openapi(given: argparse.Namespace, told: Settings) -> None:
    sys.stdout.write(openapi.text(app.make_app(Settings())))  # whatever this machine's settings are


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m statsd",
        description="Statistics you can believe, live.",
        epilog=f"example:\n  python -m statsd serve --generate 5\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"statsd-live {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = _command(commands, "serve", serve, "take events in and show them", "serve --port 8080 --generate 5")
    _add_flags(one, "host", "port", "generate_rate")

    one = _command(commands, "generate", generate, "store realistic synthetic events", "generate --rate 5")
    one.add_argument(
        "--stream",
        choices=[s.name for s in STREAMS if not s.part_of],
        default=STREAMS[0].name,
        help="default %(default)s",
    )
    one.add_argument("--rate", type=_positive, metavar="N", help=f"events per second (default {DEFAULT_RATE:g})")
    one.add_argument(
        "--count", type=_count, metavar="N", help="stop after N events; without --rate as fast as possible"
    )
    one.add_argument("--url", metavar="URL", help="of a server that is sent a wrong event now and then (webhooks)")
    one.add_argument("--seed", type=int, metavar="N", help="the same events every time")
    one.add_argument("--quiet", action="store_true", help="no progress on stderr")
    _add_json(one)

    one = _command(commands, "seed", seed, "store the rows of sample_data.sql", "seed")
    one.add_argument("--usage", action="store_true", help="ten sample users and their 100 clicks instead, once")
    one.add_argument(
        "--transfers", action="store_true", help="instead: base items, owners and items with well-known ids"
    )

    about = "people who may log in; the password comes from a prompt or stdin"
    one = _command(commands, "user", user, about, "user add anna --age 34 --gender Female")
    one.add_argument("action", choices=["add", "passwd", "remove"], help="passwd logs the user out everywhere")
    one.add_argument("name", help="the user's name")
    one.add_argument("--age", metavar="N", help="0 to 150, for add")
    one.add_argument("--gender", choices=accounts.GENDERS, help="for add")

    one = _command(
        commands, "aggregate", aggregate_now, "fold rows that other programs inserted", "aggregate --rebuild"
    )
    one.add_argument("--rebuild", action="store_true", help="make all totals anew from the raw rows")
    _add_json(one)

    about = "what PostgreSQL refused though it was accepted"
    one = _command(commands, "dead-letters", dead_letters, about, "dead-letters retry all")
    one.add_argument("action", choices=["list", "retry", "drop"], help="list prints one JSON object a line")
    one.add_argument("id", nargs="*", help="which, by id, or: all")

    _command(
        commands, "database-url", database_url, "print the URL of the database",
        'database-url    (as in: psql "$(python -m statsd database-url)")',
    )  # fmt: skip

    about = "print what can be asked over HTTP, as OpenAPI 3.1"
    _command(commands, "openapi", print_openapi, about, "openapi > static/openapi.json")
    return parser


def _command(commands: Any, name: str, run: Command, about: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example:\n  python -m statsd {example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    _add_flags(parser, "database_url", "data_dir")
    return parser


def _add_flags(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        field = settings.fields()[name]
        about = f"{field.metadata['about']} ({field.metadata['names'][0]}, default {field.default or 'unset'})"
        parser.add_argument(field.metadata["flag"], dest=name, metavar=name.upper().split("_")[-1], help=about)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")


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
