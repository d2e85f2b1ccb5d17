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
    __version__,
    accounts,
    aggregate,
    app,
    arguments,
    database,
    deadletters,
    generator,
    logs,
    openapi,
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

log = logging.getLogger("statsd")

Command = Callable[[argparse.Namespace, Settings], Coroutine[Any, Any, None]]


def main(words: list[str] | None = None) -> int:
    """Run one command, said in words, and return its exit code."""
    given = arguments.parser().parse_args(words)
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
        return _run(COMMANDS[given.command](given, told))
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
            "anyone who reaches port %d of %s may store events: keep it behind a firewall or a proxy",
            told.port,
            told.host,
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
    if given.url and given.count is not None and given.rate is None:
        raise StatsError("--url: goes with --rate, not with as many as possible at once")
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, _announcing(dsn, pool) as channel:
        parts = [one for one in STREAMS if one.part_of == stream.name]
        writers = [(one, Writer(one, pool, channel.announce)) for one in (*parts, stream)]
        writing = [asyncio.create_task(writer.run()) for _, writer in writers]
        for one, _ in writers:
            await generator.store_fixtures(pool, one)
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
    rate, rng = given.rate or arguments.DEFAULT_RATE, random.Random(given.seed)

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
    seeded = "usage" if given.usage else "transfers" if given.transfers else "logins"
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, _announcing(dsn, pool) as channel:
        await samples.store(pool, seeded)
        for stream in STREAMS:
            rows = await aggregate.sweep(pool, stream.name)
            if rows:
                channel.announce(stream.name)
            about = ""
            if stream.name == seeded == "usage":
                about = f"; the sample accounts, user1 to user10, log in with {samples.PASSWORD}"
            if rows or about:
                print(f"{rows} {stream.name} stored{about}", file=sys.stderr)


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
    queries = deadletters.QUERIES
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, _announcing(dsn, pool) as channel:
        letters = [one for one in await pool.fetch(queries["list"]) if given.action == "list" or _chosen(one, given.id)]
        if given.action == "drop":
            await pool.execute(queries["drop"], [one["id"] for one in letters])
        if given.action == "retry":
            deliver = {stream.name: Writer(stream, pool, channel.announce).replay for stream in STREAMS}
            letters = await deadletters.retry(pool, letters, STREAMS, deliver)
    for one in letters:
        print(json.dumps(dict(one), default=str))


def _chosen(letter: asyncpg.Record, ids: list[str]) -> bool:
    return "all" in ids or str(letter["id"]) in ids


async def user(given: argparse.Namespace, told: Settings) -> None:
    missing = [flag for flag, value in (("--age", given.age), ("--gender", given.gender)) if value is None]
    if given.action == "add" and missing:
        raise StatsError(f"user add needs {' and '.join(missing)}")
    async with app.open_database(told) as dsn, await database.open_pool(dsn) as pool, accounts.opened(pool) as known:
        match given.action:
            case "add":
                words = {"username": given.name, "age": given.age, "gender": given.gender}
                asked = {**words, "password": _new_password()}
                made = await known.add(accounts.registration(asked))
                print(f"user {made.id} added", file=sys.stderr)
            case "passwd":
                await known.demand(given.name)
                await known.change_password(given.name, _new_password())
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


async def print_sql(given: argparse.Namespace, told: Settings) -> None:
    sys.stdout.write(sql.text(given.stream))


async def print_openapi(given: argparse.Namespace, told: Settings) -> None:
    sys.stdout.write(openapi.text(app.make_app(Settings())))  # whatever this machine's settings are


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "generate": generate,
    "seed": seed,
    "user": user,
    "aggregate": aggregate_now,
    "dead-letters": dead_letters,
    "database-url": database_url,
    "sql": print_sql,
    "openapi": print_openapi,
}
"""By the names that arguments.py gives them."""
