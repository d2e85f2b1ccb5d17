"""The command line. Data goes to stdout, messages go to stderr."""

import argparse
import asyncio
import importlib
import keyword
import logging
import os
import shlex
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from types import ModuleType
from typing import Any

import uvloop

from statsd import program, settings
from statsd.commands import logs
from statsd.commands.blocking import blocking
from statsd.commands.parser import Parser, nearest
from statsd.errors import SettingsError, StatsError, UsageError

SECTIONS = {
    "show and store": {
        "serve": "accept events and show live statistics",
        "generate": "store realistic synthetic events",
        "seed": "store sample data: the logins of sample_data.sql",
    },
    "people and rights": {
        "user": "add, invite, list, change or remove accounts",
        "token": "add, list or revoke the API tokens of programs",
        "link": "add, list or revoke share links: each shows one view",
    },
    "the data": {
        "features": "list the features that users clicked, or drop some",
        "export": "write the raw rows of a stream to a file, as NDJSON or CSV",
        "import": "store the rows of a file, each once however often",
        "aggregate": "count rows that other programs inserted",
        "prune": "delete now what is older than the retention keeps it",
        "erase": "remove one person from all that is stored",
        "dead-letters": "list, retry or drop events that PostgreSQL refused",
    },
    "looking after it": {
        "doctor": "look for what is wrong, and say what mends it",
        "prove": "break a scratch server, and look for every event it acknowledged",
        "backup": "write the database, the spool and the secrets into one file",
        "restore": "fill an empty database and data folder from a backup",
        "upgrade-db": "move the embedded database to a newer PostgreSQL",
    },
    "for other programs": {
        "psql": "open psql, connected to the database",
        "database-url": "print the URL of the database",
        "sql": "print the SQL statements of a stream, for psql and explain",
        "openapi": "print the OpenAPI 3.1 document of the HTTP API",
        "completion": "print the completion of a shell: commands, options, files",
    },
}
"""What each command is about, in the order of the help. Only the module of the command that runs is imported."""
COMMANDS = {name: about for section in SECTIONS.values() for name, about in section.items()}
ENDLESS = ("serve", "generate")
"""Commands that SIGTERM ends as it should; another one that it cut off has not done its work."""
EXIT_CODES = """exit codes:
  0 success, or serve or generate stopped by SIGTERM
  1 failure                      2 wrong usage
  3 wrong setting                4 database unavailable
  5 database newer than program  6 doctor found faults
  130 Ctrl-C    141 reader of the output gone    143 cut off by SIGTERM"""

log = logging.getLogger("statsd")


def main(words: list[str] | None = None) -> int:
    """Run the command in `words` (default: sys.argv) and return its exit code."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed, as by `>&-`: the next file or socket must not be taken for it
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    try:
        code = _main(sys.argv[1:] if words is None else words)
        sys.stdout.flush()  # here, where an error can still be told
        return code
    except BrokenPipeError:  # as in `export logins | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        return 141
    except OSError as error:
        print(f"statsd: {error.filename}: {error.strerror}" if error.filename else f"statsd: {error}", file=sys.stderr)
        return 1


def _main(words: list[str]) -> int:
    try:
        arguments = parse(words)
    except SystemExit as end:
        return int(end.code or 0)
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
        return _run(module_of(arguments.command).run(arguments, loaded_settings), terminated)
    except StatsError as error:
        usage = command_parser(arguments.command).format_usage() if isinstance(error, UsageError) else ""
        print(f"{usage}statsd: {error}", file=sys.stderr)
        return error.exit_code


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of the command in `words`, or exit: with the help, or with 2 and what is wrong.

    Without any word the help is what is wanted, so it goes to stdout with exit code 0.
    """
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if words and words[0] in COMMANDS:
        return command_parser(words[0]).read(words[1:], argparse.Namespace(command=words[0]))
    parser = _overview()
    if words and words[0][0:1] != "-":
        parser.fail([f"there is no command {words[0]}{nearest(words[0], [*COMMANDS, *parser.options()])}"])
    named = next((word for word in words if word in COMMANDS), None)
    if named and words[0] not in parser.options():
        rest = [word for word in words if word != named]
        parser.fail([f"options stand after the command: {program()} {shlex.join([named, *rest])}"])
    parser.read(words or ["--help"], argparse.Namespace())
    parser.fail(["the command is missing"])


def command_parser(name: str) -> Parser:
    """Return the parser of a command."""
    parser = Parser(_owners, **_texts(name))
    add_arguments(parser, name)
    return parser


def add_arguments(parser: Parser, name: str) -> None:
    """Add the options and arguments of a command: its own, and the flags of settings."""
    command = module_of(name)
    if hasattr(command, "add"):
        command.add(parser)
    flags = parser.add_argument_group(
        "settings", "Each is also the environment variable in its brackets; the option wins."
    )
    for field in ("database_url", "data_dir", *getattr(command, "SETTINGS", ())):
        _add_setting(flags, field)
    parser.finish()


def module_of(command: str) -> ModuleType:
    """Import the module of a command."""
    name = command.replace("-", "_")
    return importlib.import_module(f"statsd.commands.{name}{'_' * keyword.iskeyword(name)}")


def _owners(option: str) -> list[str]:
    return [name for name in COMMANDS if option in command_parser(name).options()]


def _overview() -> Parser:
    """Return the parser of the words without a command: its help lists the commands."""
    parser = Parser(
        _owners, prog=program(), usage="%(prog)s COMMAND [options] [arguments]",
        description="Statistics you can believe, live.",
        epilog=f"example:\n  {program()} serve --generate 5\n\n"
        f"{program()} COMMAND --help shows the options of a command.\n\n{EXIT_CODES}",
    )  # fmt: skip
    for title, commands in SECTIONS.items():
        parser.add_argument_group(title, "\n".join(f"  {name:<13} {about}" for name, about in commands.items()))
    parser.finish()
    return parser


def _texts(name: str) -> dict[str, str]:
    about = COMMANDS[name]
    return {
        "prog": f"{program()} {name}",
        "description": f"{about[0].upper()}{about[1:]}.",
        "epilog": f"example:\n  {program()} {module_of(name).EXAMPLE}\n\n{EXIT_CODES}",
    }


def _add_setting(group: argparse._ArgumentGroup, name: str) -> None:
    field = settings.fields()[name]
    value = f"{field.default:g}" if isinstance(field.default, float) else field.default
    default = "" if value in (None, "", False) else f", default {value}"
    about = f"{field.metadata['about']} ({field.metadata['names'][0]}{default})"
    flags = [flag for flag in (field.metadata["short"], field.metadata["flag"]) if flag]
    if isinstance(field.default, bool):
        group.add_argument(*flags, dest=name, action="store_const", const="true", help=about)
    else:
        group.add_argument(*flags, dest=name, metavar=name.upper().split("_")[-1], help=about)


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
            if not blocking.ended:
                task.cancel()

        loop.add_signal_handler(signal.SIGINT, stop, 130)
        loop.add_signal_handler(signal.SIGTERM, stop, terminated)
        blocking.hear(signal.SIGINT, signal.SIGTERM)
        with suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_signal())
    return exit_codes[0] if exit_codes else 0
