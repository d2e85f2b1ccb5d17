"""What all commands share on the command line: the format of the help, flags for settings, exit codes."""

from __future__ import annotations

import argparse
from typing import Any

from statsd import settings

EXIT_CODES = """exit codes:
  0 success, or stopped by SIGTERM   1 failure   2 wrong usage   3 wrong setting
  4 database unavailable             5 database newer than the program   130 Ctrl-C"""


def add_command(commands: Any, name: str, about: str, example: str) -> argparse.ArgumentParser:
    """Return the parser of a new command, with the flags that every command has."""
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
    """Add the flags of settings; `names` are fields of `Settings`."""
    for name in names:
        field = settings.fields()[name]
        default = "" if field.default is None else f", default {field.default}"
        about = f"{field.metadata['about']} ({field.metadata['names'][0]}{default})"
        parser.add_argument(field.metadata["flag"], dest=name, metavar=name.upper().split("_")[-1], help=about)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the flag `--json`."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
