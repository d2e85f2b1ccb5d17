"""From errors to responses: the one table from error class to status and body."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import uuid4

from aiohttp import web
from aiohttp.web_exceptions import HTTPException

from statsd import errors
from statsd.web import SETTINGS
from statsd.web.addresses import is_served
from statsd.web.answers import PlainError, Refusal, Reply, json_response, refusal
from statsd.web.meter import ERROR, REASON
from statsd.web.operation import Operation, declared
from statsd.web.origins import find_operation, preflight

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("statsd.web")


def _response(request: web.Request, error: errors.StatsError) -> web.Response:
    """Return the response for an error: the one table of statuses."""
    operation = declared(request.match_info.handler)
    match error:
        case errors.InvalidEvent():
            response = json_response(operation.envelope.of(error), 400)
        case errors.AccountRefused():
            response = json_response(PlainError(str(error)), 400)
        case errors.Unauthenticated():
            response = _denial(operation, 401, str(error), {"WWW-Authenticate": "Bearer"})
        case errors.Forbidden():
            response = _denial(operation, 403, str(error))
        case errors.TooManyAttempts(retry_after=seconds):
            response = json_response(PlainError(str(error)), 429, {"Retry-After": str(seconds)})
        case errors.KeyReused():
            response = refusal(422, str(error), details=[str(error)])
        case errors.BadRequest(status=status):
            retry = {"Retry-After": "5"} if status == 503 else None
            response = refusal(status, str(error), retry, [str(error)] if operation.detailed else ())
        case errors.Overloaded() | errors.DatabaseError():
            response = json_response(*unavailable(error))
        case _:
            response = defect(error)
    return response


def _denial(operation: Operation, status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    if operation.envelope is PlainError:
        return json_response(PlainError(message), status, headers)
    return refusal(status, message, headers, [message] if operation.detailed else ())


def unavailable(error: errors.Overloaded | errors.DatabaseError) -> Reply:
    """Return the answer for an event that could not be kept now, on any way in."""
    seconds = error.retry_after if isinstance(error, errors.Overloaded) else 2
    return Refusal(False, str(error), str(error)), 503, {"Retry-After": str(seconds)}


def defect(error: BaseException | None) -> web.Response:
    """Return the answer for an error that nobody expected: its number is in the log."""
    number = uuid4().hex[:12]
    log.error("defect %s", number, exc_info=error)
    return refusal(500, f"Internal server error ({number})")


@web.middleware
async def errors_to_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in JSON, and OPTIONS on every path."""
    if not is_served(request.headers.get("Host"), request.app[SETTINGS]):
        return refusal(421, "unknown host: add it to ALLOWED_HOSTS, or set STATS_PUBLIC_URL")
    try:
        return await handler(request)
    except HTTPException as error:
        return await _http_response(request, error)
    except errors.StatsError as error:
        request[REASON], request[ERROR] = error.reason, error
        return _response(request, error)
    except asyncio.CancelledError:
        raise
    except ConnectionResetError:  # the client left: aiohttp would log a traceback
        return web.Response(status=400)
    except Exception as error:
        return defect(error)


async def _http_response(request: web.Request, error: HTTPException) -> web.StreamResponse:
    """Return the response for an error of aiohttp's own; redirects and 304 stay as they are."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        if request.method == "OPTIONS":
            status, headers = await preflight(request, error.allowed_methods)
            return web.Response(status=status, headers=headers)
        allow = ", ".join(sorted(error.allowed_methods))
        await find_operation(request, min(error.allowed_methods))
        return refusal(405, f"this method is not allowed here: use {allow}", {"Allow": allow})
    if error.status < 400:
        return error
    return refusal(error.status, "Endpoint not found" if error.status == 404 else sentence(error))


def sentence(error: HTTPException) -> str:
    """Return what an error of aiohttp's own says, or else the name of its status."""
    text = " ".join((error.text or "").split())
    return error.reason if text in ("", f"{error.status}: {error.reason}") else text
