"""Reading a request: its parameters, its body, and the media types it accepts."""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import date
from difflib import get_close_matches

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from statsd.errors import BadRequest
from statsd.web.inflate import WINDOWS, TooLarge, inflate
from statsd.web.operation import declared

BATCH_BYTES = 8 << 20  # of a batch, decompressed
BODY_SECONDS = 10.0
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")  # one event per line
JSON_TYPES = ("application/json", "text/plain", "application/octet-stream", "", *LINES)  # beacons send text or no type
READS = ("GET", "HEAD")
IN_QUERY = "link"
"""The parameter with the secret of a share link; a page cannot send headers with a WebSocket or a download."""
IGNORED = re.compile(r"_|utm_.*", re.DOTALL)
"""Parameters that mean nothing: `_` passes by caches, and `utm_source` and its sisters say where a link stood."""
NAME_CHARACTERS = 64  # of an unknown name, in its fault
LIKENESS = 0.5  # from which on a name is said to be near
MOST_FAULTS = 10  # for unknown names: to look for the nearest one takes time
ALIASES = {"x-gzip": "gzip"}  # RFC 9110 §8.4.1.3

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def check_query(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request that reads with a query parameter that its route does not know."""
    if request.method in READS and request.query_string and declared(request.match_info.handler).strict:
        require_known(request)
    return await handler(request)


def require_known(request: web.Request) -> None:
    """Raise BadRequest (400) for query parameters that the operation does not declare, and for repeated ones.

    The secret of a share link is one of every operation. Names that caches and links of campaigns add are no fault.
    """
    operation, query = declared(request.match_info.handler), request.query
    known = [*operation.query, *([IN_QUERY] if operation.shared != "no" else [])]
    names = [name for name in dict.fromkeys(query) if not IGNORED.fullmatch(name)]
    unknown = [name for name in names if name not in (*known, IN_QUERY)]
    faults = [_unknown(name, known) for name in unknown[:MOST_FAULTS]]
    faults += [f"{name} must be given once" for name in names if name in known and len(query.getall(name)) > 1]
    if faults:
        missing = [name for name, parameter in operation.query.items() if parameter.required and not query.get(name)]
        raise BadRequest(400, "; ".join([*faults, *(f"{name} query parameter is required" for name in missing)]))


def _unknown(name: str, known: Collection[str]) -> str:
    near = {other.lower(): other for other in known}
    matches = get_close_matches(name.lower()[:NAME_CHARACTERS], near, 1, LIKENESS)
    if matches:
        hint = f"did you mean {near[matches[0]]}?"
    else:
        hint = f"known: {', '.join(known)}" if known else "this route has none"
    return f'unknown query parameter "{name[:NAME_CHARACTERS]}" ({hint})'


def parameters(request: web.Request) -> dict[str, str]:
    """Return the query parameters that the operation declares. An empty one is given, too."""
    return {name: request.query[name] for name in declared(request.match_info.handler).query if name in request.query}


def choice(parameters: Mapping[str, str], name: str, choices: Collection[str], default: str) -> str:
    """Return a parameter that has few values. Raises BadRequest (400) for another one."""
    value = parameters.get(name, default)
    if name in parameters and value not in choices:
        raise BadRequest(400, f"{name} must be one of {', '.join(choices)}")
    return value


def weights(request: web.Request) -> dict[str, float]:
    """Return the media ranges of the Accept header, in lower case, with their weights 0 to 1 (RFC 9110 §12.5.1)."""
    ranges = {}
    for media_range in request.headers.get("Accept", "").lower().split(","):
        media, *parameters = (part.strip() for part in media_range.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        ranges[media] = float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight, re.ASCII) else 0.0
    return ranges


def limit(parameters: Mapping[str, str], default: int, most: int) -> int:
    """Return the parameter `limit`. Raises BadRequest (400) unless it is a number from 1 to `most`."""
    text = parameters.get("limit", str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise BadRequest(400, f"limit must be a number from 1 to {most}")
    return int(text)


def day(parameters: Mapping[str, str], name: str, default: date) -> date:
    """Return a parameter that is a day. Raises BadRequest (400) unless it is YYYY-MM-DD from 1970 to 2099."""
    if name not in parameters:
        return default
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", parameters[name], re.ASCII):
            raise ValueError
        day = date.fromisoformat(parameters[name])
    except ValueError:
        raise BadRequest(400, f"{name} must be in YYYY-MM-DD format") from None
    if not 1970 <= day.year < 2100:
        raise BadRequest(400, f"{name} must be a day from 1970 to 2099")
    return day


def media_type(request: web.Request) -> str | None:
    """Return the media type of the body in lower case, without parameters; None if the request names none.

    What most clients send is not parsed: that takes a microsecond.
    """
    header = request.headers.get("Content-Type")
    return header if header in (None, "application/json") else request.content_type


def _encoding(request: web.Request) -> str:
    """Return how the body is compressed, as inflate knows it; empty: it is not. Raises BadRequest (415) for others."""
    if "Content-Encoding" not in request.headers:
        return ""
    listed = ",".join(request.headers.getall("Content-Encoding")).lower().split(",")
    encodings = [name for name in map(str.strip, listed) if name not in ("", "identity")]
    encoding = ALIASES.get(encodings[0], encodings[0]) if encodings else ""
    if len(encodings) > 1 or (encodings and encoding not in WINDOWS):
        raise BadRequest(415, "Content-Encoding: must be gzip, deflate or absent")
    return encoding


async def read_body(
    request: web.Request, limit: int = BATCH_BYTES, types: Collection[str] | None = JSON_TYPES
) -> bytes:
    """Return the decompressed body, at most `limit` bytes, of one of the media `types` (None: any).

    Raises BadRequest: 408 too slow, 413 too large, 415 another type or encoding, 400 broken.
    """
    encoding = _encoding(request)
    media = media_type(request)
    if types and media is not None and media not in types:
        raise BadRequest(415, f"Content-Type: must be application/json (got {media})")
    if (request.content_length or 0) > limit:
        raise BadRequest(413, f"the body must not be larger than {limit} bytes")
    try:
        if request.content.is_eof():  # already here, as most bodies are: no timer needed
            body = await request.read()
        else:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        return await inflate(body, encoding, limit) if encoding else body
    except TimeoutError as error:
        raise BadRequest(408, f"the body did not arrive within {BODY_SECONDS:g} s") from error
    except (web.HTTPRequestEntityTooLarge, TooLarge) as error:
        raise BadRequest(413, f"the body must not be larger than {limit} bytes") from error
    except (HttpProcessingError, web.RequestPayloadError, zlib.error) as error:
        raise BadRequest(400, "the body is broken: its length or its compression is wrong") from error
