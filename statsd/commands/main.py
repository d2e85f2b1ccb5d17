"""The command line. Data goes to stdout, messages go to stderr."""

import argparse
import asyncio
import importlib
import keyword
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from types import ModuleType
from typing import Any

import uvloop

from statsd import __version__, settings
from statsd.commands import logs
from statsd.errors import SettingsError, StatsError

COMMANDS = {
    "serve": "accept events and show live statistics",
    "generate": "store realistic synthetic events",
    "seed": "store sample data: the logins of sample_data.sql",
    "user": "add, list or remove accounts, change a role or a password (read from a prompt or stdin)",
    "token": "add, list or revoke the API tokens of programs",
    "link": "add, list or revoke share links: each shows one view without a login",
    "features": "list the features that users clicked, or drop some with all their clicks",
    "export": "write the raw rows of a stream to a file, as NDJSON or CSV",
    "import": "store the rows of a file, each once however often it is imported",
    "aggregate": "count rows that other programs inserted",
    "prune": "delete now what is older than the retention keeps it",
    "erase": "remove one person from all that is stored",
    "dead-letters": "list, retry or drop accepted events that PostgreSQL refused",
    "doctor": "look for what is wrong, and say what mends it",
    "prove": "break a scratch server under load, and look for every event it acknowledged",
    "backup": "write the database, the spool and the secrets into one file",
    "restore": "fill an empty database and data folder from a backup",
    "upgrade-db": "move the embedded database to the PostgreSQL that this program brings",
    "psql": "open psql, connected to the database",
    "database-url": "print the URL of the database",
    "sql": "print the SQL statements of a stream, for psql and explain",
    "openapi": "print the OpenAPI 3.1 document of the HTTP API",
}
"""What each is about, by name, in the order of the help. Only the module of the command that runs is imported."""
ENDLESS = ("serve", "generate")
"""Commands that SIGTERM ends as it should; another one that it cut off has not done its work."""
EXIT_CODES = """exit codes:
  0 success, or serve or generate stopped by SIGTERM   1 failure   2 wrong usage   3 wrong setting
  4 database unavailable   5 database newer than the program   6 doctor found faults
  130 Ctrl-C   143 cut off by SIGTERM"""

log = logging.getLogger("statsd")


def main(words: list[str] | None = None) -> int:
    """Run the command in `words` (default: sys.argv) and return its exit code."""
    arguments = parse(sys.argv[1:] if words is None else words)
    try:
        loaded_settings = settings.load({name: getattr(arguments, name, None) for name in settings.fields()})
    except SettingsError as error:
        for fault in error.faults:
            print(f"statsd: {fault}", file=sys.stderr)
        return error.exit_code
    logs.configure(loaded_settings)
    for sentence in (*settings.unknown(), *settings.notes(loaded_settings)):
        log.warning("%s", sentence)
    try:
        terminated = 0 if arguments.command in ENDLESS else 143
        return _run(_module(arguments.command).run(arguments, loaded_settings), terminated)
    except StatsError as error:
        print(f"statsd: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"statsd: {error.filename}: {error.strerror}" if error.filename else f"statsd: {error}", file=sys.stderr)
        return 1


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of the command. Its options may stand before, between and after its other arguments."""
    if words[:1] and words[0] in COMMANDS:
        name = words[0]
        command = _module(name)
        about = _help(COMMANDS[name], command.EXAMPLE)
        parser = argparse.ArgumentParser(prog=f"python -m statsd {name}", **about)
        _add_arguments(parser, command)
        read = parser.parse_args if "--" in words else parser.parse_intermixed_args  # which does not know `--`
        return read(words[1:], argparse.Namespace(command=name))
    about = _help("statistics you can believe, live", "serve --generate 5")
    parser = argparse.ArgumentParser(prog="python -m statsd", **about)
    parser.add_argument("--version", action="version", version=f"statsd-live {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, sentence in COMMANDS.items():
        commands.add_parser(name, help=sentence)
    return parser.parse_args(words)


def _add_arguments(parser: argparse.ArgumentParser, command: ModuleType) -> None:
    for field in ("database_url", "data_dir", *getattr(command, "SETTINGS", ())):
        _add_setting(parser, field)
    if hasattr(command, "add"):
        command.add(parser)


def _module(command: str) -> ModuleType:
    name = command.replace("-", "_")
    return importlib.import_module(f"statsd.commands.{name}{'_' * keyword.iskeyword(name)}")


def _help(about: str, example: str) -> dict[str, Any]:
    return {
        "description": f"{about[0].upper()}{about[1:]}.",
        "epilog": f"example:\n  python -m statsd {example}\n\n{EXIT_CODES}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _add_setting(parser: argparse.ArgumentParser, name: str) -> None:
    field = settings.fields()[name]
    default = "" if field.default is None else f", default {field.default}"
    about = f"{field.metadata['about']} ({field.metadata['names'][0]}{default})"
    parser.add_argument(field.metadata["flag"], dest=name, metavar=name.upper().split("_")[-1], help=about)


def _run(command: Coroutine[Any, Any, None], terminated: int) -> int:
    """Run until the command ends. A first signal cancels it; a second one ends the process at once.

    `terminated` is the exit code after SIGTERM.
    """
    exit_codes: list[int] = []

    async def until_signal() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(command)

        def stop(exit_code: int) -> None:
            if exit_codes:
                os._exit(exit_codes[0])
            exit_codes.append(exit_code)
            task.cancel()

        loop.add_signal_handler(signal.SIGINT, stop, 130)
        loop.add_signal_handler(signal.SIGTERM, stop, terminated)
        with suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_signal())
    return exit_codes[0] if exit_codes else 0
