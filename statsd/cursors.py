"""Opaque cursors: where the next page of a list goes on, in a text that only we read."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from statsd.errors import BadRequest


def encode(place: Any) -> str:
    """Return the cursor of a place, which is anything that JSON can hold."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def decode(cursor: str, kind: Any) -> Any:
    """Return the place of a cursor, of the type `kind`. Raises BadRequest (400) for what is none of ours."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode() + b"==="), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise BadRequest(400, "cursor must be the nextCursor of an answer to the same question") from None
