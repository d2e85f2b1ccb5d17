"""Counts requests by route, method and status, their latency, and why they were refused.

A route is named by its pattern, such as `/jobs/{job}`, and requests without a route share one name: clients cannot make
new names. The lean front (`ingest/lean.py`) counts what it answers itself.
"""

import time
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from statsd import metrics
from statsd.errors import StatsError

NO_ROUTE = "none"
OTHER = "other"
REASONS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method",
    409: "conflict",
    413: "too_large",
    415: "media_type",
    421: "unknown_host",
    422: "key_reused",
    429: "throttled",
    503: "overloaded",
}
"""Why a request was refused, by status, if its error does not say; others are `invalid`."""

REASON: web.RequestKey[str] = web.RequestKey("reason", str)
"""The `reason` of the error that refused a request, which may be empty."""
ERROR: web.RequestKey[StatsError] = web.RequestKey("error", StatsError)
"""The error that refused a request, or some events of a batch whose answer is a success."""
_BEGAN: web.RequestKey[float] = web.RequestKey("began", float)


@web.middleware
async def timed(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Note when the request began."""
    request[_BEGAN] = time.perf_counter()
    return await handler(request)


async def count(request: web.Request, response: web.StreamResponse) -> None:
    """Count an answer when it begins: a stream may last for days."""
    now = time.perf_counter()
    seconds = now - request.get(_BEGAN, now)  # what is refused before the middlewares took no time, never less
    resource = request.match_info.route.resource
    method = request.method if request.method in hdrs.METH_ALL else OTHER
    metrics.REQUESTS.of(resource.canonical if resource else NO_ROUTE, method).observe(response.status, seconds)
    if REASON in request or 400 <= response.status < 500:  # not the 503 of a probe such as /readyz
        metrics.REFUSALS.labels(request.get(REASON) or REASONS.get(response.status, "invalid")).inc()
