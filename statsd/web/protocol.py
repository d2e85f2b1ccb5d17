"""A connection whose every answer is one of ours: JSON, with the headers of all answers, and without `Server`.

aiohttp answers some requests before a handler is asked: those that its parser refuses, and an `Expect` that nobody
knows. It also answers for an error outside of the handlers.
"""

import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError, LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_urldispatcher import MatchInfoError

from statsd.web.answers import refusal
from statsd.web.errors import defect, sentence

FAULT_CHARACTERS = 200

log = logging.getLogger("statsd.web")


class Protocol(RequestHandler):
    """aiohttp's protocol of a connection to an application."""

    __slots__ = ("_app",)

    def __init__(self, app: web.Application, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._app = app

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the answer for an error outside of the handlers. The connection ends with it.

        Raises ConnectionError if the answer of a handler has begun.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = _refused(exc, message) if status < 500 else defect(exc)
        response.force_close()
        self._claim(request)
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; in place of aiohttp's own for an error, such as 417, one of ours."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = refusal(resp.status, sentence(resp))
        return await super().finish_response(request, resp, start_time)

    def _claim(self, request: web.BaseRequest) -> None:
        """Make a request without a route one of the application, so that its answer gets headers and is counted."""
        if isinstance(request, web.Request) and request._match_info is None:
            match = MatchInfoError(web.HTTPBadRequest())
            match.add_app(self._app)
            match.freeze()
            request._match_info = match


def _refused(error: BaseException | None, message: str | None) -> web.Response:
    """Return the answer to what the parser refuses. What was sent is not repeated: it may hold a secret."""
    match error:
        case LineTooLong(args=(_, limit, _)):
            fault = f"its address and each of its headers must not be longer than {limit} bytes"
        case InvalidURLError():
            fault = "its address is not a URL"
        case _:
            fault = " ".join((message or "").partition("\n\n")[0].split()).rstrip(":")[:FAULT_CHARACTERS]
    log.debug("refused what is not a valid HTTP request: %s", fault)
    return refusal(400, f"this is not a valid HTTP request: {fault or 'it cannot be read'}")


class Server(web.Server):
    """aiohttp's server of an application, with the connections of this module."""

    def __init__(self, app: web.Application, server: web.Server) -> None:
        super().__init__(server.request_handler, request_factory=server.request_factory, **server._kwargs)
        self._app = app

    def __call__(self) -> Protocol:
        return Protocol(self._app, self, loop=self._loop, **self._kwargs)
