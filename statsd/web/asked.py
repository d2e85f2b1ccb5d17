"""What a request asks: its parameters, its body within limits, the media types it accepts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from datetime import date

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from statsd.errors import (
    BadRequest,
)
from statsd.web.times import calendar_day

BATCH_BYTES = 8 << 20  # a batch, decoded
BODY_SECONDS = 10.0
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")  # one event a line
JSON_TYPES = ("application/json", "text/plain", "application/octet-stream", "", *LINES)  # beacons say text, or nothing
ENCODINGS = ("", "identity", "gzip", "deflate")


def parameters(request: web.Request, *names: str) -> dict[str, str]:
    """Return the query parameters that were given: an empty one was not, an unknown one is ignored.

    Raises BadRequest (400) for one that is repeated.
    """
    for name in names:
        if len(request.query.getall(name, [])) > 1:
            raise BadRequest(400, f"{name} must be given once")
    return {name: request.query[name] for name in names if request.query.get(name)}


def weights(request: web.Request) -> dict[str, float]:
    """Return the media ranges a client names, in lower case, and how much it wants each, from 0 (RFC 9110 §12.5.1)."""
    found = {}
    for one in request.headers.get("Accept", "").lower().split(","):
        media, *parameters = (part.strip() for part in one.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        found[media] = float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight, re.ASCII) else 0.0
    return found


def limit(asked: Mapping[str, str], default: int, most: int) -> int:
    """Return the parameter `limit`. Raises BadRequest (400) for what is no number from 1 to `most`."""
    given = asked.get("limit", str(default))
    if not re.fullmatch(r"\d{1,9}", given, re.ASCII) or not 1 <= int(given) <= most:
        raise BadRequest(400, f"limit must be a number from 1 to {most}")
    return int(given)


def day(asked: Mapping[str, str], name: str, default: date) -> date:
    """Return a parameter that is a day, YYYY-MM-DD. Raises BadRequest (400) for what is none from 1970 to 2099."""
    if name not in asked:
        return default
    try:
        return calendar_day(asked[name])
    except ValueError as wrong:
        raise BadRequest(400, f"{name} {wrong}") from None


async def read_body(
    request: web.Request, limit: int = BATCH_BYTES, types: Collection[str] | None = JSON_TYPES
) -> bytes:
    """Return the decompressed body of one of the media `types` (None: any).

    Raises BadRequest: 408 too slow, 413 too large, 415 of another type or encoding, 400 broken.
    """
    if request.headers.get("Content-Encoding", "").lower() not in ENCODINGS:
        raise BadRequest(415, "Content-Encoding: must be gzip, deflate or absent")
    if types and "Content-Type" in request.headers and request.content_type not in types:
        raise BadRequest(415, f"Content-Type: must be application/json (got {request.content_type})")
    if (request.content_length or 0) > limit:
        raise BadRequest(413, f"the body must not be larger than {limit} bytes")
    try:
        if request.content.is_eof():  # it is here already, as most are: no timer for them
            return await request.read()
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise BadRequest(408, f"the body did not arrive within {BODY_SECONDS:g} s") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise BadRequest(413, f"the body must not be larger than {limit} bytes") from error
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise BadRequest(400, "the body is broken: its length or its compression is wrong") from error
