"""What a docstring says to readers of the API: a summary and a description, without what only readers of code need."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

_ADDRESS = re.compile(r"`[A-Z]+ /[^`]*`(?:[:.]|, .*?:)\s+")  # where the summary of a handler begins
_REFERENCE = re.compile(r" \(\w+\.md [^)]*\)")  # to documents that readers of the API do not have
_RAISES = re.compile(r"\s*\bRaises? .*", re.DOTALL)


def summary_and_description(handler: Callable[..., Any]) -> tuple[str, str]:
    """Return the first sentence of a handler's docstring, and all the others."""
    told = _public(_ADDRESS.sub("", inspect.getdoc(handler) or "", count=1))
    first, _, rest = re.sub(r"\.\s+(?![a-z])", "\0", told, count=1).partition("\0")  # "e.g. a" ends none
    return first.rstrip("."), rest


def first_line(text: str | None) -> str:
    """Return what a module says of itself in a line."""
    return _public((text or "").partition("\n")[0])


def sentence(text: str) -> str:
    """Return the text with a capital in front."""
    return text[:1].upper() + text[1:]


def _public(text: str) -> str:
    """The paragraphs of a docstring, each in one line."""
    paragraphs = _RAISES.sub("", _REFERENCE.sub("", text)).split("\n\n")
    return sentence("\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip())
