"""The OpenAPI 3.1 document: made of the routes, the structs of events, and what handlers declare of themselves."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Any

import msgspec
from aiohttp import web

from statsd import __version__
from statsd.ingest.accept import KEY_CHARACTERS
from statsd.site import responses
from statsd.site.docstrings import first_line, sentence, summary_and_description
from statsd.site.shapes import Schema
from statsd.web.asked import JSON_TYPES, LINES
from statsd.web.decode import BATCH_EVENTS
from statsd.web.operation import JSON, Guard, Operation, Parameter, declared

ABOUT = (
    "Statistics you can believe, live. Events come in over HTTP, are durable before they are acknowledged, and are in "
    "the totals at once.\n\n"
    "Every error has a JSON body. Where there is nothing the answer is 404, to a method that a path does not have 405 "
    "with `Allow`; OPTIONS is answered 204, and HEAD wherever GET is. 503 comes with `Retry-After`. Request bodies may "
    "be compressed with gzip or deflate. `X-Request-Id` is echoed. All days and hours are UTC."
)

OF_STREAMS = "statsd.streams."

KEY = Parameter(
    Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_CHARACTERS)],
    "names what is sent, so that a repeat counts once",
)
TAG = Parameter(str, "the ETag of an earlier answer: 304 if it still holds")


def text(app: web.Application) -> str:
    """Return the document as it stands in static/openapi.json."""
    return msgspec.json.format(msgspec.json.encode(document(app)), indent=2).decode() + "\n"


def document(app: web.Application) -> Schema:
    """Return the document of all routes of an application; HEAD is where GET is, and not said again."""
    routes = [route for route in app.router.routes() if route.method != "HEAD"]
    paths: dict[str, Schema] = {}
    for route in sorted(routes, key=lambda route: (address(route), route.method)):
        paths.setdefault(address(route), {})[route.method.lower()] = _operation(app, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "statsd-live",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags([_home(route) for route in routes]),
        "paths": paths,
        "components": _components([declared(route.handler) for route in routes]),
    }


def _tags(homes: Sequence[str]) -> list[Schema]:
    """The modules that routes are of, streams first, and what each says of itself."""
    names = dict.fromkeys(sorted(homes, key=lambda home: not home.startswith(OF_STREAMS)))
    return [{"name": _tag(name), "description": first_line(sys.modules[name].__doc__)} for name in names]


def _tag(home: str) -> str:
    return home.rpartition(".")[2]


def _home(route: web.AbstractRoute) -> str:
    """The module a route is of: of a stream its package, whatever module of it has the handler."""
    module = route.handler.__module__
    return module.rpartition(".")[0] if module.startswith(OF_STREAMS) else module


def address(route: web.AbstractRoute) -> str:
    """Return the path a route was made with, such as `/jobs/{job}`."""
    assert route.resource
    return route.resource.canonical


def _components(operations: Sequence[Operation]) -> Schema:
    structs = dict.fromkeys(told.body for told in operations if told.body)
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    guards = {guard.name: dict(guard.scheme) for told in operations for guard in told.guards}
    made = {
        "schemas": dict(sorted({**_portable(schemas), "Error": responses.ERROR_SCHEMA}.items())),
        "responses": responses.components(),
        "securitySchemes": dict(sorted(guards.items())),
    }
    return {name: value for name, value in made.items() if value}


def _portable(made: Any) -> Any:
    """A schema whose patterns every dialect understands: \\A and \\Z are Python's."""
    if isinstance(made, dict):
        return {name: _portable(value) if name != "pattern" else _ecma(value) for name, value in made.items()}
    return [_portable(one) for one in made] if isinstance(made, list) else made


def _ecma(pattern: str) -> str:
    return pattern.replace(r"\A", "^").replace(r"\Z", "$")


# One operation.


def _operation(app: web.Application, route: web.AbstractRoute) -> Schema:
    told, path = declared(route.handler), address(route)
    summary, description = summary_and_description(route.handler)
    made: Schema = {
        "operationId": "_".join([route.method.lower(), *(re.findall(r"\w+", path) or ["root"])]),
        "tags": [_tag(_home(route))],
        "summary": summary,
        "description": description,
        "parameters": _parameters(told, re.findall(r"{(\w+)}", path)),
        "requestBody": _request(told) if told.body else None,
        "responses": responses.responses(told, told.envelope, reads=_home(route).startswith(OF_STREAMS)),
        "security": _security(told.guards),
    }
    return {name: value for name, value in made.items() if value}


def _security(guards: Sequence[Guard]) -> list[Schema]:
    """Any one of those that are always asked for; of the others all that the settings ask for, which may be none."""
    always = [(guard.name,) for guard in guards if not guard.optional]
    asked = [guard.name for guard in guards if guard.optional]
    sets = [some for size in range(len(asked), -1, -1) for some in combinations(asked, size)] if asked else []
    return [{name: [] for name in some} for some in (*always, *sets)]


def _parameters(told: Operation, in_path: Sequence[str]) -> list[Schema]:
    headers = {**told.headers, **dict.fromkeys(told.keys, KEY), **({"If-None-Match": TAG} if told.tagged else {})}
    path = {name: told.path.get(name, Parameter(str, "")) for name in in_path}
    places = {"path": path, "query": told.query, "header": headers}
    return [_parameter(place, name, one) for place, given in places.items() for name, one in given.items()]


def _parameter(place: str, name: str, one: Parameter) -> Schema:
    made = {
        "name": name,
        "in": place,
        "description": sentence(one.about),
        "required": one.required or place == "path",
        "schema": _portable(msgspec.json.schema(one.kind)) | ({} if one.default is None else {"default": one.default}),
        "example": one.example,
    }
    return {name: value for name, value in made.items() if value}


def _request(told: Operation) -> Schema:
    """Every content type that is understood: a beacon says text, and a request that says nothing is bytes."""
    assert told.body
    one = {"$ref": f"#/components/schemas/{told.body.__name__}"}
    whole = {"anyOf": [one, {"type": "array", "items": one, "maxItems": BATCH_EVENTS}]} if told.batch else one
    wrapped = {"type": "string", "contentMediaType": JSON, "contentSchema": whole}
    named = {"one": told.example} | ({"many": [told.example]} if told.batch else {})
    content: Schema = {JSON: {"schema": whole, "examples": responses.examples(named)}}
    if told.plain:
        content |= {media: {"schema": wrapped} for media in JSON_TYPES if media not in ("", JSON, *LINES)}
    if told.batch:
        line = msgspec.json.encode(told.example).decode() + "\n"
        lines = {
            "schema": {"type": "string", "description": "One a line."},
            "examples": responses.examples({"many": line * 2}),
        }
        content |= dict.fromkeys(LINES, lines)
    content |= {media: {"schema": {"description": sentence(about)}} for media, about in told.media.items()}
    return {"required": True, "content": content}
