"""The refusals of this contract: every one has `details`."""

from __future__ import annotations

from functools import wraps

from aiohttp import web

from statsd.errors import BadRequest
from statsd.web.errors import Handler


def detailed(handler: Handler) -> Handler:
    """Give every refusal of a handler `details`: its own, or its sentence."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequest as error:
            raise BadRequest(error.status, str(error), error.details or [str(error)]) from error

    return answer
