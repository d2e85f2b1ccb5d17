"""Words of the command line become arguments. All that is wrong with them is said at once, with what is nearest."""

import argparse
import difflib
import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from statsd import __version__

WIDTH = 80  # columns: longer lines are hard to read, however wide the terminal is
NEGATIVE_NUMBER = re.compile(r"-\d*\.?\d+")


class Help(argparse.RawDescriptionHelpFormatter):
    """Wraps descriptions, but keeps their lines that are indented."""

    def __init__(self, prog: str, **options: Any) -> None:
        columns = min(shutil.get_terminal_size().columns, WIDTH)
        super().__init__(prog, **{"width": columns - 2, "max_help_position": 26, **options})

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = []
        for line in text.splitlines():
            is_drawn = line[:1] in ("", " ")
            lines += [line] if is_drawn else textwrap.wrap(indent + line, width, subsequent_indent=indent)
        return "\n".join(lines)


class Parser(argparse.ArgumentParser):
    """Ends with exit code 2, its usage and all that is wrong. A message names what the user wrote, and no function.

    `owners` returns the commands that have an option.
    """

    def __init__(self, owners: Callable[[str], list[str]] = lambda _: [], **options: Any) -> None:
        super().__init__(**{"formatter_class": Help, "add_help": False, **options})
        self._positionals.title = "arguments"
        self._owners = owners
        self._faults: dict[str, None] = {}  # in their order, each once: some arguments are read twice

    def finish(self) -> None:
        """Add what every command has, and complete the help: what is allowed, and the default."""
        version = f"statsd-live {__version__}"
        self.add_argument("-h", "--help", action="help", help="show this help")
        self.add_argument("-V", "--version", action="version", version=version, help="show the version")
        for action in self._actions:
            action.metavar = action.metavar or action.dest.upper()
            choices = ", ".join(map(str, action.choices or ()))
            action.help = "; ".join(filter(None, (choices, action.help)))
            has_default = isinstance(action.default, (str, int, float)) and action.default is not False
            if has_default and action.default != argparse.SUPPRESS and "(default" not in action.help:
                default = f"{action.default:g}" if isinstance(action.default, float) else action.default
                action.help += f" (default {default})"

    def read(self, words: Sequence[str], namespace: argparse.Namespace) -> argparse.Namespace:
        """Return the arguments in `words`. Options may stand before, between and after the others."""
        if faults := self._unknown_options(words):
            self.fail(faults)
        # The second way does not know `--`.
        read = self.parse_known_args if "--" in words else self.parse_known_intermixed_args
        _, rest = read(words, namespace)
        if faults := [*self._faults, *(f'unexpected argument "{word}"' for word in rest)]:
            self.fail(faults)
        return namespace

    def fail(self, faults: Iterable[str]) -> NoReturn:
        """Print the usage and the faults, and exit with 2."""
        self.exit(2, self.format_usage() + "".join(f"statsd: {fault}\n" for fault in faults))

    def error(self, message: str) -> NoReturn:
        self.fail([*self._faults, *self._reworded(message)])

    def options(self) -> list[str]:
        """Return every option, such as --port and -p."""
        return [option for action in self._actions for option in action.option_strings]

    def _unknown_options(self, words: Sequence[str]) -> list[str]:
        known, faults = self.options(), []
        for word in words[: words.index("--")] if "--" in words else words:
            option = word.split("=")[0]
            if word[:1] != "-" or word == "-" or " " in word or NEGATIVE_NUMBER.fullmatch(word):
                continue
            if option[1:2] != "-" and f"-{option}" in known:
                faults.append(f"there is no option {option}; did you mean -{option}?")
            elif not any(name.startswith(option) for name in known) and option[:2] not in known:
                owners = self._owners(option)
                near = f"; it belongs to {', '.join(owners)}" if owners else nearest(option, known)
                faults.append(f"there is no option {option}{near}")
        return faults

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            self._faults[f"{_name(action)}: {_rule(action.type, error.__context__, arg_string)}"] = None
            return arg_string

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [*map(str, action.choices)]
            rule = f'must be one of {", ".join(choices)} (got "{value}")'
            self._faults[f"{_name(action)}: {rule}{nearest(str(value), choices)}"] = None

    def _reworded(self, message: str) -> list[str]:
        """Return argparse's message in our words: what is missing and what it is, an option by its long name."""
        head, _, names = message.partition(" are required: ")
        if head != "the following arguments":
            return [re.sub(r"^argument (?:-\w/)?(\S+): ", r"\1: ", message)]
        missing = {"/".join(action.option_strings) or action.metavar: action for action in self._actions}
        needed = [missing[name] for name in names.split(", ")]
        # Only some actions of a command need what may also be left out.
        return [f"{_name(action)} is missing: {action.help}" for action in needed if action.nargs != "*"]


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a question for the most similar of `words`; empty if none is similar."""
    near = difflib.get_close_matches(word, [*words], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number in a range."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def _name(action: argparse.Action) -> str:
    """Return how an argument is called in the usage."""
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest.upper())


def _rule(kind: Any, cause: BaseException | None, text: str) -> str:
    """Return what an argument of a type must be, and what it is."""
    returned = kind if isinstance(kind, type) else inspect.signature(kind).return_annotation
    what = {int: "a whole number", float: "a number"}.get(returned, "valid")
    sentence = str(cause) if isinstance(cause, argparse.ArgumentTypeError) else f"must be {what}"
    return sentence if f'"{text}"' in sentence else f'{sentence} (got "{text}")'


def complete_files(parser: argparse.ArgumentParser, file: object, folder: object) -> None:
    """Let a shell complete the names of files and folders (shtab's attribute `complete`)."""
    for action in parser._actions:
        if action.type is Path or action.metavar in ("FILE", "DIR"):
            action.complete = folder if action.metavar == "DIR" else file  # type: ignore[attr-defined]
