"""The OpenAPI 3.1 document, made on the first request: routes, docstrings and declarations of the handlers."""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import msgspec
from aiohttp import web

from statsd import __version__
from statsd.ingest.accept import KEY_CHARACTERS
from statsd.site.responses import COMMON, filled, named, response, responses, sentence
from statsd.site.schemas import Schema, Schemas, portable
from statsd.site.security import ALTERNATIVES, may_refuse, security
from statsd.web.asked import LINES
from statsd.web.decode import BATCH_EVENTS
from statsd.web.operation import JSON, UNDECLARED, Operation, Parameter, declared, package, view_of

ABOUT = (
    "Statistics you can believe, live. Events come in over HTTP, are durable before they are acknowledged, and are in "
    "the totals at once.\n\n"
    "Every error has a JSON body. An unknown path is 404. A method that a path does not support is 405, with `Allow`. "
    "OPTIONS returns 204, or 200 to a sender of webhooks that asks for a grant. HEAD works wherever GET does. 503 has "
    "`Retry-After`. A GET with a query parameter that is not described here is 400 and says the nearest name; only `_` "
    "and `utm_…` are ignored. Bodies may be compressed with gzip or deflate. `X-Request-Id` is echoed. Days and hours "
    "are UTC, unless an operation takes a time zone."
)
PLAIN = "A body of `text/plain` or without a content type is also read as JSON, because beacons send such bodies."

KEY = Parameter(
    Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_CHARACTERS, pattern=r"\A[ -~]+\Z")],
    "the sender's name for the event: a repeat under the same key counts once",
)
TAG = Parameter(str, "the ETag of an earlier answer; if the answer is the same, 304 comes without a body")

Handler = Callable[..., Any]

SITE, STREAMS = "statsd.site", "statsd.streams."

DOCUMENT: web.AppKey[Callable[[], bytes]] = web.AppKey("document")
"""Returns the document as JSON."""


def on_demand(app: web.Application) -> Callable[[], bytes]:
    """Return what goes under DOCUMENT. Its first call makes the document: that takes as long as PostgreSQL to start."""
    return cache(partial(_encoded, app))


def _encoded(app: web.Application) -> bytes:
    """Return the document of all operations of an application. HEAD is left out, because it follows from GET."""
    routes = [
        (address(route), route.method, route.handler)
        for route in app.router.routes()
        if route.method != "HEAD" and declared(route.handler) is not UNDECLARED and declared(route.handler).documented
    ]
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    for path, method, handler in sorted(routes, key=lambda route: route[:2]):
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, handler, schemas)
    answers = {name: response(declaration, schemas) for name, declaration in COMMON.items()}
    guards = [*ALTERNATIVES, *(guard for *_, handler in routes for guard in declared(handler).guards)]
    schemes = {guard.name: guard.scheme for guard in guards}
    return msgspec.json.encode({
        "openapi": "3.1.0",
        "info": {
            "title": "statsd-live",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags([package(handler) for *_, handler in routes]),
        "paths": paths,
        "components": {"schemas": schemas.components(), "responses": answers, "securitySchemes": schemes},
    })  # fmt: skip


def address(route: web.AbstractRoute) -> str:
    """Return the path of a route, such as `/jobs/{job}`."""
    assert route.resource
    return route.resource.canonical


# Operations are grouped by package. The first line of its docstring, such as `Logins: who logged in from where`, names
# and describes the group.


def _tags(packages: Sequence[str]) -> list[Schema]:
    """Return the tags: the streams in their order, then the other packages."""
    order = sorted(dict.fromkeys(packages), key=lambda name: "" if name.startswith(STREAMS) else name)
    return [_tag(name) for name in order]


def _tag(package: str) -> Schema:
    name, _, about = (sys.modules[package].__doc__ or "").partition("\n")[0].partition(": ")
    return {"name": name, "description": sentence(about)}


def _operation(path: str, method: str, handler: Handler, schemas: Schemas) -> Schema:
    operation = declared(handler)
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n")
    return filled({
        "operationId": "_".join([method.lower(), *(re.findall(r"\w+", path) or ["root"])]),
        "tags": [_tag(package(handler))["name"]],
        "summary": summary.rstrip("."),
        "description": "\n\n".join(" ".join(paragraph.split()) for paragraph in description.strip().split("\n\n")),
        "parameters": _parameters(operation, re.findall(r"{(\w+)}", path)),
        "requestBody": _request(operation, schemas) if operation.body else None,
        "responses": responses(
            operation,
            schemas,
            asks_database=package(handler) != SITE,
            may_refuse=may_refuse(operation, view_of(handler)),
            reads=method == "GET",
        ),
        "security": security(operation, view_of(handler)),
    })  # fmt: skip


def _parameters(operation: Operation, in_path: Sequence[str]) -> list[Schema]:
    tag = {"If-None-Match": TAG} if operation.tagged else {}
    by_location = {
        "path": {name: operation.path.get(name, Parameter(str, "")) for name in in_path},
        "query": operation.query,
        "header": {**operation.headers, **dict.fromkeys(operation.keys, KEY), **tag},
    }
    return [
        filled({
            "name": name,
            "in": location,
            "description": sentence(parameter.about),
            "required": parameter.required or location == "path",
            "schema": portable(msgspec.json.schema(parameter.kind))
            | ({} if parameter.default is None else {"default": parameter.default}),
            "example": parameter.example,
        })
        for location, parameters in by_location.items()
        for name, parameter in parameters.items()
    ]  # fmt: skip


def _request(operation: Operation, schemas: Schemas) -> Schema:
    """Return the body as JSON, as lines of JSON for batches, and in the further content types of the operation."""
    event: Any = operation.body
    kinds = get_args(event) if isinstance(event, UnionType) else (event,)
    bounds = {"minItems": 1, "maxItems": BATCH_EVENTS}
    forms = [schemas.of(kind) for kind in kinds]
    schema, examples = forms[0] if len(forms) == 1 else {"anyOf": forms}, {"one": operation.example}
    content: Schema = {}
    if operation.batch:
        schema = {"anyOf": [*forms, schemas.batch(list[event], **bounds)]}
        examples["many"] = [operation.example]
        line = msgspec.json.encode(operation.example).decode() + "\n"
        lines = {"type": "string", "description": f"One {kinds[0].__name__} per line, as JSON."}
        content[LINES[0]] = {"schema": lines, "examples": named({"many": line * 2})}
    for media, kind in operation.media.items():
        batched = get_origin(kind) is list
        content[media] = {"schema": schemas.batch(kind, maxItems=BATCH_EVENTS) if batched else schemas.of(kind)}
    content = {JSON: {"schema": schema, "examples": named(examples)}, **content}
    return filled({"required": True, "description": PLAIN if operation.plain else None, "content": content})
