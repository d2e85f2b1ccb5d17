"""The command line. Data goes to stdout, messages go to stderr; `arguments.EXIT_CODES` lists the exit codes."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import uvloop

from statsd import __version__, settings
from statsd.commands import aggregate, database_url, dead_letters, generate, logs, openapi, seed, serve, sql, user
from statsd.commands.arguments import EXIT_CODES
from statsd.errors import SettingsError, StatsError

COMMANDS = {
    "serve": serve,
    "generate": generate,
    "seed": seed,
    "user": user,
    "aggregate": aggregate,
    "dead-letters": dead_letters,
    "database-url": database_url,
    "sql": sql,
    "openapi": openapi,
}
"""By name, in the order of the help. Each has `add`, which adds its arguments, and `run`."""

log = logging.getLogger("statsd")


def main(words: list[str] | None = None) -> int:
    """Run the command in `words` (default: sys.argv) and return its exit code."""
    arguments = _parser().parse_args(words)
    try:
        loaded_settings = settings.load({name: getattr(arguments, name, None) for name in settings.fields()})
    except SettingsError as error:
        for fault in error.faults:
            print(f"statsd: {fault}", file=sys.stderr)
        return error.exit_code
    logs.configure(loaded_settings)
    for sentence in settings.unknown():
        log.warning("%s", sentence)
    try:
        return _run(COMMANDS[arguments.command].run(arguments, loaded_settings))
    except StatsError as error:
        print(f"statsd: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"statsd: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m statsd",
        description="Statistics you can believe, live.",
        epilog=f"example:\n  python -m statsd serve --generate 5\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"statsd-live {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add(commands, name)
    return parser


def _run(command: Coroutine[Any, Any, None]) -> int:
    """Run until the command ends. A first signal cancels it; a second one ends the process at once."""
    received: list[signal.Signals] = []

    async def until_signal() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(command)

        def stop(number: signal.Signals) -> None:
            if received:
                os._exit(_exit_code(received[0]))
            received.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        with suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_signal())
    return _exit_code(received[0]) if received else 0


def _exit_code(number: signal.Signals) -> int:
    return 130 if number is signal.SIGINT else 0
