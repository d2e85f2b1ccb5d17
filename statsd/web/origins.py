"""Which pages of other origins may use a route (CORS), and the security headers of every response.

A route declares its origins above its handler: `@Operation(origins="any")`. If no route matches the request (a
preflight, or a method the path does not have), another route of the path decides.
"""

import re
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from statsd.web import SETTINGS
from statsd.web.addresses import is_loopback, is_secure
from statsd.web.operation import Operation, declared

NEAR = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""The headers of every response. A value that the handler set wins, also for Cache-Control."""

HSTS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
"""For responses over TLS (RFC 6797): for a year, browsers use nothing else."""

_DEFAULT_HEADERS = CIMultiDict({**HEADERS, "Cache-Control": "no-store"})
_REQUEST_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_OPERATION: web.RequestKey[Operation] = web.RequestKey("operation", Operation)


GRANT = {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}
"""The answer to a sender that asks with OPTIONS whether it may deliver (CloudEvents HTTP WebHook 1.0.2 §4): anybody may
try, at any rate. It opens nothing: each delivery needs the key, signature or token that the settings require.
"""


async def preflight(request: web.Request, methods: set[str]) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of the answer to OPTIONS on a path with these methods.

    200 answers a sender that asks whether it may deliver; 204 anybody else, as the preflights of browsers.
    """
    method = request.headers.get("Access-Control-Request-Method", "")
    await find_operation(request, method if method in methods else min(methods))
    is_granted = _operation(request).grants and bool(request.headers.get("WebHook-Request-Origin"))
    headers = {
        "Allow": ", ".join(sorted(methods)),
        **(GRANT if is_granted else {}),
        **_preflight_headers(request, methods),
    }
    return 200 if is_granted else 204, headers


def _preflight_headers(request: web.Request, methods: set[str]) -> dict[str, str]:
    """Return the CORS headers of a preflight."""
    if not _cors_headers(request):
        return {}
    names = request.headers.get("Access-Control-Request-Headers", "")
    return {
        "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
        "Access-Control-Allow-Headers": names if re.fullmatch(r"[\w, -]{0,500}", names, re.ASCII) else "",
        "Access-Control-Max-Age": "600",
    }


async def find_operation(request: web.Request, method: str) -> None:
    """Apply the declaration of the path's route for `method` to a request that matches no route."""
    match = await request.app.router.resolve(request.clone(method=method))
    request[_OPERATION] = declared(match.handler)


def _operation(request: web.Request) -> Operation:
    return request.get(_OPERATION) or declared(request.match_info.handler)


def _cors_headers(request: web.Request) -> dict[str, str]:
    """Return the CORS headers for the request's origin: with credentials if it is configured, else without, or none."""
    origin = request.headers.get("Origin", "")
    if is_named(origin, request):
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": "Retry-After",
        }
    return {"Access-Control-Allow-Origin": "*"} if origin and _is_open(request, origin) else {}


def _is_open(request: web.Request, origin: str) -> bool:
    """Whether pages of this origin may use the route without credentials; where reading is locked, only ways in."""
    operation = _operation(request)
    if request.app[SETTINGS].require_login and operation.access != "ingest":
        return False
    origins = operation.origins
    return origins == "any" or (origins == "near" and NEAR.fullmatch(origin) is not None)


def is_named(origin: str, request: web.Request) -> bool:
    """Whether pages of this origin may use the route with credentials (CORS_ORIGINS, FRONTEND_URL)."""
    settings = request.app[SETTINGS]
    is_frontend = origin.lower() == settings.frontend_url and _operation(request).origins == "session"
    return is_frontend or origin.lower() in settings.cors_origins


def is_own(origin: str, request: web.Request) -> bool:
    """Whether the origin is that of our own page: STATS_PUBLIC_URL, or the host in the request's Host header.

    If the connection is known to be TLS, `http` counts only for names of this machine, which nobody else can serve.
    """
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    is_right = parts.scheme == "https" or not is_secure(request) or is_loopback(parts.hostname or "")
    own = (request.app[SETTINGS].public_url, f"{parts.scheme}://{request.host}".lower())
    return parts.scheme in ("http", "https") and is_right and origin.lower() in own


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the default headers, the request's X-Request-Id, and CORS headers to any response, errors included."""
    headers = response.headers
    headers.popall("Server", None)
    headers.merge(_DEFAULT_HEADERS)
    if (request_id := request.headers.get("X-Request-Id")) and _REQUEST_ID.fullmatch(request_id):
        headers["X-Request-Id"] = request_id
    settings = request.app[SETTINGS]
    if settings.cors_origins or settings.frontend_url:
        headers.add("Vary", "Origin")
    if is_secure(request):
        headers.update(HSTS)
    if "Origin" in request.headers:
        headers.update(_cors_headers(request))
