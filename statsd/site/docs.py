"""The OpenAPI 3.1 document: made at the start of the routes, their docstrings, and what their handlers declare."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Annotated, Any, get_origin

import msgspec
from aiohttp import web

from statsd import __version__
from statsd.ingest.accept import KEY_CHARACTERS
from statsd.site.responses import COMMON, named, response, responses, sentence
from statsd.site.schemas import Schema, Schemas, portable
from statsd.web.asked import LINES
from statsd.web.decode import BATCH_EVENTS
from statsd.web.operation import JSON, UNDECLARED, Guard, Operation, Parameter, declared

ABOUT = (
    "Statistics you can believe, live. Events come in over HTTP, are durable before they are acknowledged, and are in "
    "the totals at once.\n\n"
    "Every error has a JSON body. An unknown address is 404; a method that a path does not have is 405, with `Allow`. "
    "OPTIONS is answered 204, and HEAD wherever GET is. 503 has `Retry-After`. An empty query parameter counts as "
    "absent. Request bodies may be compressed with gzip or deflate. `X-Request-Id` is echoed. All days and hours are "
    "UTC."
)
PLAIN = "A body of `text/plain`, or without a content type, is read as JSON, too: beacons send such."

KEY = Parameter(
    Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_CHARACTERS, pattern=r"\A[ -~]+\Z")],
    "names what is sent, so that a repeat counts once",
)
TAG = Parameter(str, "the ETag of an earlier answer: 304 if it still holds")

Handler = Callable[..., Any]

SITE, STREAMS = "statsd.site", "statsd.streams."

DOCUMENT: web.AppKey[bytes] = web.AppKey("document")
"""The document as JSON."""


def encoded(app: web.Application) -> bytes:
    """Return the document of all operations of an application; HEAD is where GET is, and not said again."""
    routes = [route for route in app.router.routes() if route.method != "HEAD" and _is_operation(route)]
    return _encoded(tuple((address(route), route.method, route.handler) for route in routes))


@lru_cache(maxsize=1)  # a process may make its application many times, as tests do
def _encoded(routes: tuple[tuple[str, str, Handler], ...]) -> bytes:
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    for path, method, handler in sorted(routes, key=lambda route: route[:2]):
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, handler, schemas)
    answers = {name: response(one, schemas) for name, one in COMMON.items()}
    guards = {guard.name: guard.scheme for *_, handler in routes for guard in declared(handler).guards}
    return msgspec.json.encode({
        "openapi": "3.1.0",
        "info": {
            "title": "statsd-live",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags([_package(handler) for *_, handler in routes]),
        "paths": paths,
        "components": {"schemas": schemas.components(), "responses": answers, "securitySchemes": guards},
    })  # fmt: skip


def address(route: web.AbstractRoute) -> str:
    """Return the path a route was made with, such as `/jobs/{job}`."""
    assert route.resource
    return route.resource.canonical


def _is_operation(route: web.AbstractRoute) -> bool:
    return declared(route.handler) is not UNDECLARED


# Groups are packages: their name and what they are stand in the first line of the docstring.


def _package(handler: Handler) -> str:
    return handler.__module__.rpartition(".")[0]


def _tags(packages: Sequence[str]) -> list[Schema]:
    """The streams in their order, then the other packages."""
    order = sorted(dict.fromkeys(packages), key=lambda name: "" if name.startswith(STREAMS) else name)
    return [dict(zip(("name", "description"), _title(name), strict=True)) for name in order]


def _title(package: str) -> tuple[str, str]:
    """A package's name and description; its docstring begins such as `Logins: who logged in from which device.`"""
    name, _, about = (sys.modules[package].__doc__ or "").partition("\n")[0].partition(": ")
    return name, sentence(about)


# One operation.


def _operation(path: str, method: str, handler: Handler, schemas: Schemas) -> Schema:
    operation = declared(handler)
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n")
    made: Schema = {
        "operationId": "_".join([method.lower(), *(re.findall(r"\w+", path) or ["root"])]),
        "tags": [_title(_package(handler))[0]],
        "summary": summary.rstrip("."),
        "description": "\n\n".join(" ".join(paragraph.split()) for paragraph in description.strip().split("\n\n")),
        "parameters": _parameters(operation, re.findall(r"{(\w+)}", path)),
        "requestBody": _request(operation, schemas) if operation.body else None,
        "responses": responses(operation, schemas, asks_database=_package(handler) != SITE),
        "security": _security(operation.guards),
    }
    return {name: value for name, value in made.items() if value}


def _security(guards: Sequence[Guard]) -> list[Schema]:
    """Any one of those that are always asked for; of the others all that the settings ask for, which may be none."""
    always = [(guard.name,) for guard in guards if not guard.optional]
    optional = [guard.name for guard in guards if guard.optional]
    sets = [some for size in range(len(optional), -1, -1) for some in combinations(optional, size)] if optional else []
    return [{name: [] for name in some} for some in (*always, *sets)]


def _parameters(operation: Operation, in_path: Sequence[str]) -> list[Schema]:
    tag = {"If-None-Match": TAG} if operation.tagged else {}
    places = {
        "path": {name: operation.path.get(name, Parameter(str, "")) for name in in_path},
        "query": operation.query,
        "header": {**operation.headers, **dict.fromkeys(operation.keys, KEY), **tag},
    }
    return [_parameter(place, name, one) for place, named in places.items() for name, one in named.items()]


def _parameter(place: str, name: str, one: Parameter) -> Schema:
    made = {
        "name": name,
        "in": place,
        "description": sentence(one.about),
        "required": one.required or place == "path",
        "schema": portable(msgspec.json.schema(one.kind)) | ({} if one.default is None else {"default": one.default}),
        "example": one.example,
    }
    return {name: value for name, value in made.items() if value}


def _request(operation: Operation, schemas: Schemas) -> Schema:
    """The body as JSON, and as lines of JSON; other types that are read as JSON are no content types of their own."""
    event: Any = operation.body
    bounds = {"minItems": 0 if operation.empty else 1, "maxItems": BATCH_EVENTS}
    schema, examples = schemas.of(event), {"one": operation.example}
    content: Schema = {}
    if operation.batch:
        schema = {"anyOf": [schema, schemas.batch(list[event], **bounds)]}
        examples["many"] = [operation.example]
        line = msgspec.json.encode(operation.example).decode() + "\n"
        lines = {"type": "string", "description": f"One {event.__name__} a line, as JSON."}
        content[LINES[0]] = {"schema": lines, "examples": named({"many": line * 2})}
    for media, kind in operation.media.items():
        batched = get_origin(kind) is list
        content[media] = {"schema": schemas.batch(kind, **bounds) if batched else schemas.of(kind)}
    content = {JSON: {"schema": schema, "examples": named(examples)}, **content}
    made = {"required": True, "description": PLAIN if operation.plain else None, "content": content}
    return {name: value for name, value in made.items() if value}
