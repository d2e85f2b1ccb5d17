"""Arguments that several commands have: flags for settings, and `--json`."""

import argparse

from statsd import settings


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
