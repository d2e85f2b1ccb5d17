"""Answers: structs as compact JSON, and one error body that all contracts understand."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, Self, TypeVar

import asyncpg
import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from statsd.errors import InvalidEvent
from statsd.web.times import DATE_TIME, iso

Body = msgspec.Struct | Sequence[msgspec.Struct] | bytes
"""Bytes are JSON already: encoded by SQL, or cached."""
Reply = tuple[Body, int, dict[str, str]]
"""The arguments of `json_response`."""
Instant = Annotated[str, msgspec.Meta(extra_json_schema=DATE_TIME)]
"""An instant as `iso` writes it."""
Failure = Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})]
"""The field `success` of an error."""

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class Success(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An answer: `data` is what was asked for, or a receipt."""

    success: bool = True
    message: str | UnsetType = UNSET
    data: T


class Refusal(msgspec.Struct, frozen=True):
    """An error; the message says what is wrong and what would be right."""

    success: Failure
    message: str
    error: str
    details: Sequence[str] | UnsetType = UNSET


class Rejected(msgspec.Struct, frozen=True):
    """An event of a batch that was refused; `index` counts from 0."""

    index: int
    details: Sequence[str]


class InvalidPayload(msgspec.Struct, frozen=True):
    """An event with all its faults, or a batch in which no event was valid."""

    error: str
    details: Sequence[str] | UnsetType = UNSET
    rejected: Sequence[Rejected] | UnsetType = UNSET

    @classmethod
    def of(cls, error: InvalidEvent) -> Self:
        return cls("Invalid payload", error.faults)


class PlainError(msgspec.Struct, frozen=True):
    """An error in one text."""

    error: str

    @classmethod
    def of(cls, error: InvalidEvent) -> Self:
        return cls(str(error))


def struct_of(kind: type[S], record: asyncpg.Record | Mapping[str, Any]) -> S:
    """Return a record as a struct: instants become text, columns without a field are left out."""
    values = [record.get(name, UNSET) for name in kind.__struct_fields__]
    return kind(*[iso(value) if type(value) is datetime else value for value in values])


def json_response(body: Body, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return compact JSON: some clients search the body for a text such as `"total_views":5`."""
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(body=encoded, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def tagged_response(request: web.Request, body: Body) -> web.Response:
    """Return compact JSON with an ETag; 304 if the client has that version."""
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    tag = f'"{hashlib.sha256(encoded).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if _has(request, tag):
        return web.Response(status=304, headers=headers)
    return json_response(encoded, headers=headers)


def _has(request: web.Request, tag: str) -> bool:
    """Whether the client has this version, or any version would do it (RFC 9110 §13.1.2)."""
    tags = ",".join(request.headers.getall("If-None-Match", []))[:1000].replace("W/", "")
    return tags.strip() == "*" or tag in re.split(r"\s*,\s*", tags.strip())


def refusal(
    status: int, message: str, headers: dict[str, str] | None = None, details: Sequence[str] = ()
) -> web.Response:
    """Return an error in the body that all contracts understand."""
    return json_response(Refusal(False, message, message, details or UNSET), status, headers)
