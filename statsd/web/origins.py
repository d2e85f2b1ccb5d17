"""Which pages of other origins may use a route (CORS), and the security headers of every response.

A route says it above its handler: `@Operation(origins="any")`. Where no route has met the request (a preflight, a
method that the path does not have), the path's own routes decide.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from statsd.settings import SETTINGS
from statsd.web.operation import Operation, declared

NEAR = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What every response carries; what a handler set itself wins, here and for Cache-Control."""

_EVERYWHERE = CIMultiDict({**HEADERS, "Cache-Control": "no-store"})

_OPERATION: web.RequestKey[Operation] = web.RequestKey("operation", Operation)


async def preflight(request: web.Request, methods: set[str]) -> dict[str, str]:
    """Return the CORS headers of an answer to OPTIONS on a path that has these methods."""
    wanted_method = request.headers.get("Access-Control-Request-Method", "")
    await find_operation(request, wanted_method if wanted_method in methods else min(methods))
    if not _granted(request):
        return {}
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    return {
        "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
        "Access-Control-Allow-Headers": wanted if re.fullmatch(r"[\w, -]{0,500}", wanted, re.ASCII) else "",
        "Access-Control-Max-Age": "600",
    }


async def find_operation(request: web.Request, method: str) -> None:
    """Let what the path's route for `method` declares hold for a request that has met no route."""
    match = await request.app.router.resolve(request.clone(method=method))
    request[_OPERATION] = declared(match.handler)


def _operation(request: web.Request) -> Operation:
    return request.get(_OPERATION) or declared(request.match_info.handler)


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
    """Whether pages of any origin may use this route without credentials, or pages of this one."""
    origins = _operation(request).origins
    return origins == "any" or (origins == "near" and NEAR.fullmatch(origin) is not None)


def is_named(origin: str, request: web.Request) -> bool:
    """Whether pages of this origin may use this route with credentials."""
    settings = request.app[SETTINGS]
    of_frontend = origin.lower() == settings.frontend_url and _operation(request).origins == "session"
    return of_frontend or origin.lower() in settings.cors_origins


def is_own(origin: str, request: web.Request) -> bool:
    """Whether it is the origin of our own page, by the Host that the client asked for."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and origin.lower() == f"{parts.scheme}://{request.host}".lower()


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers every response carries, errors and files included."""
    headers = response.headers
    headers.popall("Server", None)
    headers.merge(_EVERYWHERE)
    asked = request.headers
    if "X-Request-Id" in asked and re.fullmatch(r"[\w.:-]{1,100}", asked["X-Request-Id"], re.ASCII):
        headers["X-Request-Id"] = asked["X-Request-Id"]
    if request.app[SETTINGS].cors_origins or request.app[SETTINGS].frontend_url:
        headers.add("Vary", "Origin")
    if "Origin" in asked:
        headers.update(_granted(request))
