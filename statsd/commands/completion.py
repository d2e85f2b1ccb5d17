"""`completion`: print what a shell needs to complete commands, options, choices and files."""

import argparse

from statsd.commands import main
from statsd.commands.parser import Parser, complete_files
from statsd.errors import StatsError
from statsd.settings import Settings

SHELLS = ("bash", "zsh", "tcsh")
NAME = "statsd-live"
"""What is completed: a shell completes the words after one name, so never those after `python -m statsd`."""
EXAMPLE = f'completion bash\n  eval "$({NAME} completion bash)"    (a line for ~/.bashrc)'


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    try:
        import shtab  # noqa: PLC0415 - nothing else needs it, and few have it
    except ModuleNotFoundError:
        raise StatsError("completion needs the package shtab: pip install shtab") from None
    print(shtab.complete(everything(shtab.FILE, shtab.DIRECTORY), arguments.shell))


def everything(file: object, folder: object) -> Parser:
    """Return a parser that has every command below it; `file` and `folder` say how a shell completes names of them."""
    root = Parser(prog=NAME)
    commands = root.add_subparsers(parser_class=Parser)
    for name, about in main.COMMANDS.items():
        parser = commands.add_parser(name, help=about)
        main.add_arguments(parser, name)
        complete_files(parser, file, folder)
    root.finish()
    return root
