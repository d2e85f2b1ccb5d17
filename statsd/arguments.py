"""The words of the command line: which commands there are, what they take, and the help."""

from __future__ import annotations

import argparse
from typing import Any

from statsd import __version__, settings
from statsd.accounts import GENDERS
from statsd.streams import STREAMS

EXIT_CODES = """exit codes:
  0 ok, or stopped by SIGTERM   1 failed   2 usage   3 a setting is wrong
  4 database unreachable        5 the database is newer than the program   130 Ctrl-C"""
DEFAULT_RATE = 5.0


def parser() -> argparse.ArgumentParser:
    """Return the parser; `command` names what is to be run."""
    made = argparse.ArgumentParser(
        prog="python -m statsd",
        description="Statistics you can believe, live.",
        epilog=f"example:\n  python -m statsd serve --generate 5\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"statsd-live {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_serve, _add_generate, _add_seed, _add_user, _add_aggregate, _add_dead_letters, _add_prints):
        add(commands)
    return made


def _add_serve(commands: Any) -> None:
    one = _command(commands, "serve", "take events in and show them", "serve --port 8080 --generate 5")
    _add_flags(one, "host", "port", "generate_rate")


def _add_generate(commands: Any) -> None:
    one = _command(commands, "generate", "store realistic synthetic events", "generate --rate 5")
    streams = [stream.name for stream in STREAMS if not stream.part_of]
    one.add_argument("--stream", choices=streams, default=streams[0], help="default %(default)s")
    one.add_argument("--rate", type=_positive, metavar="N", help=f"events per second (default {DEFAULT_RATE:g})")
    one.add_argument(
        "--count", type=_count, metavar="N", help="stop after N events; without --rate as fast as possible"
    )
    one.add_argument(
        "--url",
        metavar="URL",
        help="of a server that is sent the wrong ones, now and then (webhooks); good events go to the database",
    )
    one.add_argument("--seed", type=int, metavar="N", help="the same events every time")
    one.add_argument("--quiet", action="store_true", help="no progress on stderr")
    _add_json(one)


def _add_seed(commands: Any) -> None:
    one = _command(commands, "seed", "store the rows of sample_data.sql", "seed")
    one.add_argument("--usage", action="store_true", help="ten sample users and their 100 clicks instead, once")
    one.add_argument(
        "--transfers", action="store_true", help="instead: base items, owners and items with well-known ids"
    )


def _add_user(commands: Any) -> None:
    about = "people who may log in; the password comes from a prompt or stdin"
    one = _command(commands, "user", about, "user add anna --age 34 --gender Female")
    one.add_argument("action", choices=["add", "passwd", "remove"], help="passwd logs the user out everywhere")
    one.add_argument("name", help="the user's name")
    one.add_argument("--age", metavar="N", help="0 to 150, for add")
    one.add_argument("--gender", choices=GENDERS, help="for add")


def _add_aggregate(commands: Any) -> None:
    one = _command(commands, "aggregate", "fold rows that other programs inserted", "aggregate --rebuild")
    one.add_argument("--rebuild", action="store_true", help="make all totals anew from the raw rows")
    _add_json(one)


def _add_dead_letters(commands: Any) -> None:
    about = "what PostgreSQL refused though it was accepted"
    one = _command(commands, "dead-letters", about, "dead-letters retry all")
    one.add_argument("action", choices=["list", "retry", "drop"], help="list prints one JSON object a line")
    one.add_argument("id", nargs="*", help="which, by id, or: all")


def _add_prints(commands: Any) -> None:
    as_in = 'database-url    (as in: psql "$(python -m statsd database-url)")'
    _command(commands, "database-url", "print the URL of the database", as_in)
    about = "print the SQL of a stream, statement by statement, ready for explain"
    one = _command(commands, "sql", about, "sql logins")
    one.add_argument("stream", choices=[stream.name for stream in STREAMS], help="whose")
    about = "print what can be asked over HTTP, as OpenAPI 3.1"
    _command(commands, "openapi", about, "openapi > static/openapi.json")


def _command(commands: Any, name: str, about: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example:\n  python -m statsd {example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=name)
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
