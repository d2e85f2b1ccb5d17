"""HTTP around the handlers: errors to bodies, CORS, security headers, bodies read within limits."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException
from multidict import CIMultiDict

from statsd.decode import calendar_day
from statsd.errors import (
    AccountRefused,
    BadRequest,
    DatabaseError,
    InvalidEvent,
    KeyReused,
    Overloaded,
    StatsError,
    TooManyAttempts,
    Unauthenticated,
)
from statsd.settings import SETTINGS, is_one_of, is_private, is_within

NEAR = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)
BATCH_BYTES = 8 << 20  # a batch, decoded
BODY_SECONDS = 10.0
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")  # one event a line
JSON_TYPES = ("application/json", "text/plain", "application/octet-stream", "", *LINES)  # beacons say text, or nothing
ENCODINGS = ("", "identity", "gzip", "deflate")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What every response carries; what a handler set itself wins, here and for Cache-Control."""

_EVERYWHERE = CIMultiDict({**HEADERS, "Cache-Control": "no-store"})

ORIGINS: web.AppKey[frozenset[str]] = web.AppKey("origins")
"""Other origins whose pages may read and connect (CORS_ORIGINS)."""

NEAR_PATHS: web.AppKey[frozenset[str]] = web.AppKey("near_paths")
OPEN_PATHS: web.AppKey[frozenset[str]] = web.AppKey("open_paths")
"""Paths that pages of any origin may use, without credentials, as routes are made with them: `/jobs/{job}`."""

SESSION_PATHS: web.AppKey[frozenset[str]] = web.AppKey("session_paths")
"""Paths that pages of FRONTEND_URL's origin may use, with credentials."""

Envelope = Callable[[InvalidEvent], dict[str, Any]]
ENVELOPES: web.AppKey[dict[str, Envelope]] = web.AppKey("envelopes")
"""What the body of a 400 looks like, by the address of a route; the common form where it is not here."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("statsd.web")


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return compact JSON: clients search bodies for texts such as `"total_views":5`."""
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(body=encoded, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def tagged_response(request: web.Request, body: Any) -> web.Response:
    """Return compact JSON with an ETag, or 304 to who has it already."""
    encoded = msgspec.json.encode(body)
    tag = f'"{hashlib.sha256(encoded).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in re.split(r",\s*", request.headers.get("If-None-Match", "")[:1000].replace("W/", "")):
        return web.Response(status=304, headers=headers)
    return json_response(encoded, headers=headers)


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


def _response(request: web.Request, error: StatsError) -> web.Response:
    """The one table from error to status."""
    match error:
        case InvalidEvent():
            envelope = request.app[ENVELOPES].get(address(request.match_info.route), _common_envelope)
            response = json_response(envelope(error), 400)
        case AccountRefused():
            response = json_response({"error": str(error)}, 400)
        case Unauthenticated():
            response = json_response({"error": str(error)}, 401, {"WWW-Authenticate": "Bearer"})
        case TooManyAttempts(retry_after=seconds):
            response = json_response({"error": str(error)}, 429, {"Retry-After": str(seconds)})
        case KeyReused():
            response = refusal(422, str(error), details=[str(error)])
        case BadRequest(status=status):
            retry = {"Retry-After": "5"} if status == 503 else None
            response = refusal(status, str(error), retry, error.details)
        case Overloaded(retry_after=seconds):
            response = refusal(503, str(error), {"Retry-After": str(seconds)})
        case DatabaseError():
            response = refusal(503, str(error), {"Retry-After": "2"})
        case _:
            response = _defect(error)
    return response


def address(route: web.AbstractRoute) -> str:
    """Return the path a route was made with, such as `/jobs/{job}`; empty for a request that met none."""
    return route.resource.canonical if route.resource else ""


def _common_envelope(error: InvalidEvent) -> dict[str, Any]:
    return {"error": "Invalid payload", "details": error.faults}


def plain_envelope(error: InvalidEvent) -> dict[str, Any]:
    """Everything that is wrong in one text, as contracts.md §3.2 has it."""
    return {"error": str(error)}


def refusal(
    status: int, message: str, headers: dict[str, str] | None = None, details: Sequence[str] = ()
) -> web.Response:
    """Return an error in the one body that all five wire contracts understand."""
    body = {"success": False, "message": message, "error": message, **({"details": details} if details else {})}
    return json_response(body, status, headers)


def _defect(error: Exception) -> web.Response:
    number = uuid4().hex[:12]
    log.error("defect %s", number, exc_info=error)
    return refusal(500, f"Internal server error ({number})")


@web.middleware
async def errors_to_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in JSON, and OPTIONS for every path there is."""
    hosts = request.app[SETTINGS].allowed_hosts
    if hosts and not is_one_of(request.host, hosts):
        return refusal(421, "nobody is served here under this name: ALLOWED_HOSTS must have it")
    try:
        return await handler(request)
    except HTTPException as error:
        return _http_response(request, error)
    except StatsError as error:
        return _response(request, error)
    except (ConnectionResetError, asyncio.CancelledError):
        raise
    except Exception as error:
        return _defect(error)


def _http_response(request: web.Request, error: HTTPException) -> web.StreamResponse:
    """What aiohttp raises by itself: redirects and 304 stay as they are."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allow = ", ".join(sorted(error.allowed_methods))
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": allow, **_preflight(request, allow)})
        return refusal(405, f"this method is not allowed here: use {allow}", {"Allow": allow})
    if error.status < 400:
        return error
    return refusal(error.status, "Endpoint not found" if error.status == 404 else error.reason)


def _preflight(request: web.Request, allow: str) -> dict[str, str]:
    if not _granted(request):
        return {}
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    return {
        "Access-Control-Allow-Methods": allow,
        "Access-Control-Allow-Headers": wanted if re.fullmatch(r"[\w, -]{0,500}", wanted, re.ASCII) else "",
        "Access-Control-Max-Age": "600",
    }


def _granted(request: web.Request) -> dict[str, str]:
    """What this origin may: read with credentials if it is named, post without them where anyone may, else nothing."""
    origin = request.headers.get("Origin", "")
    if is_named(origin, request):
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": "Retry-After",
        }
    return {"Access-Control-Allow-Origin": "*"} if origin and _is_open(request, origin) else {}


def _is_open(request: web.Request, origin: str) -> bool:
    """Whether pages of any origin may use this path, or of this one; a preflight has met no route that could say so."""
    near = request.app[NEAR_PATHS] if NEAR.fullmatch(origin) else frozenset()
    return _pattern(request.app[OPEN_PATHS] | near).fullmatch(request.path) is not None


@lru_cache(maxsize=8)
def _pattern(paths: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in paths) or r"(?!)")


def is_named(origin: str, request: web.Request) -> bool:
    """Whether pages of this origin may use this path with credentials."""
    frontend = request.app[SETTINGS].frontend_url
    of_frontend = origin.lower() == frontend and request.path in request.app[SESSION_PATHS]
    return of_frontend or origin.lower() in request.app[ORIGINS]


def is_own(origin: str, request: web.Request) -> bool:
    """Whether it is the origin of our own page, by the Host that the client asked for."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and origin.lower() == f"{parts.scheme}://{request.host}".lower()


def client_address(request: web.Request) -> str:
    """Return who asks: the peer, or whoever the nearest proxy we do not trust says it is (TRUSTED_PROXIES)."""
    trusted = request.app[SETTINGS].trusted_proxies
    named = ",".join(request.headers.getall("X-Forwarded-For", []))
    hops = [hop.strip() for hop in named.split(",")[-20:] if hop.strip()]
    address = request.remote or ""
    if hops and is_private(address) and not is_within(address, trusted):
        _warn_of_proxy(address)
    while hops and is_within(address, trusted):
        address = hops.pop()
    return address


@lru_cache(maxsize=16)
def _warn_of_proxy(address: str) -> None:
    """Once, for what is a mistake more often than an attack: behind such a proxy everybody is one address."""
    log.warning(
        "X-Forwarded-For of %s is not believed: if that is a proxy of yours, name it in TRUSTED_PROXIES", address
    )


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers every response carries, errors and files included."""
    headers = response.headers
    headers.popall("Server", None)
    headers.merge(_EVERYWHERE)
    asked = request.headers
    if "X-Request-Id" in asked and re.fullmatch(r"[\w.:-]{1,100}", asked["X-Request-Id"], re.ASCII):
        headers["X-Request-Id"] = asked["X-Request-Id"]
    if request.app[ORIGINS] or request.app[SETTINGS].frontend_url:
        headers.add("Vary", "Origin")
    if "Origin" in asked:
        headers.update(_granted(request))
