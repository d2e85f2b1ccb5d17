"""A finding: how bad it is, what it is about, and what mends it."""

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "fault"]


class Finding(msgspec.Struct, frozen=True):
    """`warning`: works, but is weak, or may become a fault. `fault`: data is lost, wrong, waits, or is not safe."""

    level: Level
    about: str
    """The subject in a word or two, such as `disk`."""
    text: str
    mend: str = ""
    """A command or a sentence; empty if nothing is wrong."""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.about:<12} {self.text}"
        return f"{line}\n{'':<21} mend: {self.mend}" if self.mend else line


def ok(about: str, text: str) -> Finding:
    return Finding("ok", about, text)


def warning(about: str, text: str, mend: str) -> Finding:
    return Finding("warning", about, text, mend)


def fault(about: str, text: str, mend: str) -> Finding:
    return Finding("fault", about, text, mend)
