"""What the commands share on the command line: the form of their help, flags for settings, exit codes."""

from __future__ import annotations

import argparse
from typing import Any

from statsd import settings

EXIT_CODES = """exit codes:
  0 ok, or stopped by SIGTERM   1 failed   2 usage   3 a setting is wrong
  4 database unreachable        5 the database is newer than the program   130 Ctrl-C"""


def add_command(commands: Any, name: str, about: str, example: str) -> argparse.ArgumentParser:
    """Return the parser of a new command, with the flags that all of them have."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example:\n  python -m statsd {example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=name)
    add_settings(parser, "database_url", "data_dir")
    return parser


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of settings, named by their fields."""
    for name in names:
        field = settings.fields()[name]
        about = f"{field.metadata['about']} ({field.metadata['names'][0]}, default {field.default or 'unset'})"
        parser.add_argument(field.metadata["flag"], dest=name, metavar=name.upper().split("_")[-1], help=about)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the flag that asks for the result as JSON."""
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")
