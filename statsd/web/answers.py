"""Answers: compact JSON, ETags, and the one body of an error."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from statsd.errors import (
    InvalidEvent,
)


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


def common_envelope(error: InvalidEvent) -> dict[str, Any]:
    """List everything that is wrong."""
    return {"error": "Invalid payload", "details": error.faults}


def plain_envelope(error: InvalidEvent) -> dict[str, Any]:
    """Everything that is wrong in one text."""
    return {"error": str(error)}


def refusal(
    status: int, message: str, headers: dict[str, str] | None = None, details: Sequence[str] = ()
) -> web.Response:
    """Return an error in the one body that all five wire contracts understand."""
    body = {"success": False, "message": message, "error": message, **({"details": details} if details else {})}
    return json_response(body, status, headers)
