"""Paths of pages: one spelling for each page (RFC 3986 §6.2.2, RFC 3987 §3.1), whatever the sender writes.

Escapes have upper-case digits and stand only where they must: `%7e` is `~`, but `%2f` stays `%2F`. What is not ASCII is
percent-encoded, in Normalization Form C. Dot segments of a path that begins with a slash are removed. Bytes that are
not UTF-8 stay as they were sent.
"""

import re
from functools import lru_cache

from statsd.web.texts import NO_CONTROLS, nfc

# A stray percent sign must not become an escape: of `%%34%31` nothing is decoded that would make it `%41`.
_ESCAPES = re.compile(r"(?<!%)(?<!%[0-9A-Fa-f])(?:%[0-9A-Fa-f]{2})+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_RESERVED = re.compile(r"[\x00-\x7f\ud800-\udfff](?<![A-Za-z0-9._~-])")
_ALLOWED = re.compile(NO_CONTROLS).search
LONGEST = 3 * 2_048  # characters: nothing but escapes
REMEMBERED = 2_048


@lru_cache(REMEMBERED)  # few pages have most of the views
def page(path: str) -> str:
    """Return the one spelling of a path. Raises ValueError for a blank one, and for control characters."""
    if len(path) > LONGEST or not path.strip() or not _ALLOWED(path):
        raise ValueError("not a path")
    path = nfc(_ESCAPES.sub(_decoded, path))
    if path.startswith("/") and "/." in path:
        end = re.search(r"[?#]|\Z", path).start()  # type: ignore[union-attr] # there is always an end
        path = _without_dots(path[:end]) + path[end:]
    return _NOT_ASCII.sub(lambda text: _escaped(text[0].encode()), path)


def _decoded(escapes: re.Match[str]) -> str:
    """Return what the escapes stand for, but for reserved characters and bytes that are not UTF-8."""
    text = bytes.fromhex(escapes[0].replace("%", "")).decode(errors="surrogateescape")
    return _RESERVED.sub(lambda byte: _escaped(byte[0].encode(errors="surrogateescape")), text)


def _escaped(text: bytes) -> str:
    return "".join([f"%{byte:02X}" for byte in text])


def _without_dots(path: str) -> str:
    """Return a path without the segments `.` and `..` (RFC 3986 §5.2.4)."""
    segments = path.split("/")
    kept: list[str] = []
    for segment in segments:
        if segment == ".." and len(kept) > 1:
            kept.pop()
        elif segment not in (".", ".."):
            kept.append(segment)
    return "/".join([*kept, ""] if segments[-1] in (".", "..") else kept)
