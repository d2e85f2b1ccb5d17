"""What proxies say of a request: `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded` (RFC 7239).

`Forwarded` counts only where its older sister is absent. Whether a proxy is to be believed is decided in addresses.py.
"""

import re
from collections.abc import Iterator, Mapping

from multidict import CIMultiDictProxy

MOST_HOPS = 20  # from the nearest on: a client may write any number in front of them
# Most proxies write `for=203.0.113.6:5000` without the quotes that the colon calls for.
_PAIR = r"""[\w!#$%&'*+.^`|~-]+=(?:"(?:[^"\\]|\\.)*"|[^\s",;]+)"""
_ELEMENT = re.compile(rf"{_PAIR}(?:(?:[ \t]*;)+[ \t]*{_PAIR})*", re.ASCII)
_PAIRS = re.compile(_PAIR, re.ASCII)


def hops(headers: CIMultiDictProxy[str]) -> Iterator[str]:
    """Yield what each proxy says of who asked it, as it is spelt, from the nearest proxy on.

    Ends at an element of `Forwarded` that is malformed; an element without `for` is an empty text.
    """
    if "X-Forwarded-For" in headers:
        listed = _pieces(headers.getall("X-Forwarded-For"))
        yield from [hop.strip() for hop in reversed(listed) if hop.strip()]
    else:
        for element in _elements(headers.getall("Forwarded", [])):
            yield element.get("for", "")


def is_https(headers: Mapping[str, str]) -> bool:
    """Whether the first of the proxies on the way, if they are to be believed, was asked over TLS."""
    if "X-Forwarded-Proto" in headers:
        return headers["X-Forwarded-Proto"].partition(",")[0].strip().lower() == "https"
    *_, first = [{}, *_elements([headers.get("Forwarded", "")])]
    return first.get("proto", "").lower() == "https"


def _pieces(lines: list[str]) -> list[str]:
    """Return the last pieces of a list in a header, which may stand in several lines."""
    return ",".join(lines).split(",")[-MOST_HOPS:]


def _elements(lines: list[str]) -> Iterator[dict[str, str]]:
    """Yield the elements of `Forwarded`, names in lower case, from the last one on, until one is malformed.

    A comma may stand in a quoted value, and a client may have left a quote open to swallow what the proxies append. So
    an element begins after the nearest comma from which on it is well-formed.
    """
    pieces = _pieces(lines)
    while pieces:
        for start in range(len(pieces) - 1, -1, -1):
            element = ",".join(pieces[start:]).strip(" \t;")
            if not element or _ELEMENT.fullmatch(element):
                break
        else:
            return
        if element:
            yield dict(_pair(text) for text in _PAIRS.findall(element))
        del pieces[start:]


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return name.lower(), value
