"""openapi.json: what routes, structs and declarations give, and true of the running server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from folders import ROOT
from jsonschema import Draft202012Validator
from program import Program

from statsd import app
from statsd.accounts import signin
from statsd.database import sql
from statsd.settings import Settings
from statsd.site import docs
from statsd.site.docstrings import summary_and_description
from statsd.site.shapes import schema
from statsd.streams.transfers import read
from statsd.web.operation import Guard, Operation, Parameter, answer, declared

FILE = ROOT / "static" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
OPERATIONS = [(path, method, told) for path, methods in DOCUMENT["paths"].items() for method, told in methods.items()]


OTHERS = {"/items": {"base_item_id": read.LEGO}, "/items/{item}/ownership": {"to": read.GRACE}}
"""Another body than the example's, where no text in it can be made longer."""


@pytest.fixture
async def client(client: Any, pool: Any) -> Any:
    """The server, asked by the person of the documented login, with the documented rows."""
    await pool.execute(sql.load("transfers")["seed"])
    known = signin.NEW | signin.KNOWN
    response = await client.post("/register", json=known)
    client.session.headers["Authorization"] = f"Bearer {(await response.json())['token']}"
    client.session.cookie_jar.clear()
    return client


def everything(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything(inner)


def resolved(found: dict[str, Any]) -> dict[str, Any]:
    """What a reference refers to, or the thing itself."""
    if "$ref" not in found:
        return found
    place: Any = DOCUMENT
    for name in found["$ref"].removeprefix("#/").split("/"):
        place = place[name]
    return place


def struct_of(told: dict[str, Any]) -> dict[str, Any]:
    """The schema of one event in the body."""
    kind = told["requestBody"]["content"]["application/json"]["schema"]
    return resolved(kind.get("anyOf", [kind])[0])


def assert_fits(value: Any, kind: dict[str, Any], about: str) -> None:
    faults = list(Draft202012Validator({**kind, "components": DOCUMENT["components"]}).iter_errors(value))
    assert not faults, f"{about}: {faults[0].message} at {faults[0].json_path}"


async def assert_documented(response: Any, told: dict[str, Any]) -> None:
    """The status is one that the operation names, and the body fits the schema of that status."""
    about = f"{response.method} {response.url.path_qs}: {response.status}"
    assert str(response.status) in told["responses"], f"{about} {await response.text()}"
    content = resolved(told["responses"][str(response.status)]).get("content", {})
    if not content:
        return
    assert content.keys() & {response.content_type, "*/*"}, f"{about} {response.content_type}"
    if response.content_type == "application/json":
        assert_fits(await response.json(), content["application/json"]["schema"], about)


def url(path: str, told: dict[str, Any], **changes: Any) -> tuple[str, dict[str, str]]:
    """The address of an operation and its query, with everything that must be given and what is to be changed."""
    values = {}
    for one in told.get("parameters", []):
        given = changes.get(one["name"], one.get("example") if one.get("required") else None)
        if given is not None:
            values[one["name"], one["in"]] = str(given)
    query = {name: value for (name, place), value in values.items() if place == "query"}
    in_path = {name: value for (name, place), value in values.items() if place == "path"}
    return path.format(**in_path), query


# The file.


def test_file_is_what_routes_structs_and_declarations_give() -> None:
    """When this fails: python -m statsd openapi > static/openapi.json."""
    assert FILE.read_text() == docs.text(app.make_app(Settings()))


async def test_command_prints_the_file_whatever_the_settings_are(run: Any) -> None:
    program: Program = run("openapi", WEBHOOK_API_KEY="secret", CORS_ORIGINS="https://example.org")
    printed, _ = await asyncio.to_thread(program.process.communicate)
    assert program.process.returncode == 0, program.stderr
    assert printed.decode() == FILE.read_text()


def test_every_route_has_an_operation_and_every_operation_a_route() -> None:
    routes = {
        (resource.canonical, route.method.lower())
        for resource in app.make_app(Settings()).router.resources()
        for route in resource
        if route.method != "HEAD"
    }
    assert {(path, method) for path, method, _ in OPERATIONS} == routes


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_tag_that_is_described() -> None:
    names = [told["operationId"] for *_, told in OPERATIONS]
    assert len(names) == len(set(names))
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {tag for *_, told in OPERATIONS for tag in told["tags"]}
    for path, method, told in OPERATIONS:
        assert told["summary"], f"{method} {path}"
        assert not told["summary"].startswith("`GET"), path
    assert all(tag["description"] for tag in DOCUMENT["tags"])


def test_every_parameter_of_a_path_is_declared_and_no_other() -> None:
    for path, method, told in OPERATIONS:
        in_path = {one["name"] for one in told.get("parameters", []) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), f"{method} {path}"


def test_every_reference_resolves() -> None:
    references = [found for found in everything(DOCUMENT) if "$ref" in found]
    assert references
    for found in references:
        assert resolved(found), found


def test_every_schema_is_a_json_schema_in_every_dialect() -> None:
    kinds = [*DOCUMENT["components"]["schemas"].values()]
    kinds += [found["schema"] for found in everything(DOCUMENT["paths"]) if "schema" in found]
    for kind in kinds:
        Draft202012Validator.check_schema(kind)
    assert not re.search(r"\\\\[AZ]", FILE.read_text()), "only Python has \\A and \\Z in patterns"


def test_every_example_fits_its_schema() -> None:
    for found in everything(DOCUMENT):
        for name, example in found.get("examples", {}).items() if "schema" in found else ():
            assert_fits(example["value"], found["schema"], name)


def test_no_sentence_names_documents_or_exceptions_that_readers_do_not_have() -> None:
    assert not re.search(r"\w+\.md\b|\bRaises\b|\w+Error\b", FILE.read_text())


# The server.


async def test_every_example_is_accepted_in_every_content_type_that_has_one(client: Any) -> None:
    tried = 0
    for path, method, told in OPERATIONS:
        for media, content in told.get("requestBody", {}).get("content", {}).items():
            for example in content.get("examples", {}).values():
                given = example["value"]
                body = given if isinstance(given, str) else json.dumps(given)
                address, query = url(path, told)
                headers = {"Content-Type": media}
                response = await client.request(method, address, params=query, data=body.encode(), headers=headers)
                assert response.status < 300, f"{method} {path} {media}: {await response.text()}"
                await assert_documented(response, told)
                tried += 1
    assert tried


async def test_event_without_a_content_type_or_as_text_is_read_as_json(client: Any) -> None:
    for path, method, told in [one for one in OPERATIONS if "requestBody" in one[2]]:
        content = told["requestBody"]["content"]
        examples = [content["application/json"]["examples"]["one"]["value"], OTHERS.get(path)]
        for number, media in enumerate(media for media, one in content.items() if "contentSchema" in one["schema"]):
            body = json.dumps(examples[number % 2] or examples[0]).encode()
            response = await client.request(method, url(path, told)[0], data=body, headers={"Content-Type": media})
            await assert_documented(response, told)
            assert response.status < 300, f"{path} {media}"


async def test_wrong_event_is_refused_as_documented(client: Any) -> None:
    for path, method, told in [one for one in OPERATIONS if "requestBody" in one[2]]:
        for body, media in ((b"{}", "application/json"), (b"[{}]", "application/json"), (b"{", "application/json")):
            address, _ = url(path, told)
            response = await client.request(method, address, data=body, headers={"Content-Type": media})
            assert response.status == 400 or (body == b"{}" and path == "/owners"), f"{method} {path} {body!r}"
            await assert_documented(response, told)
        response = await client.request(method, address, data=b"{}", headers={"Content-Type": "application/xml"})
        assert response.status == 415
        await assert_documented(response, told)


async def test_key_that_is_used_for_something_else_is_refused_as_documented(client: Any) -> None:
    for path, method, told in [one for one in OPERATIONS if "422" in one[2]["responses"]]:
        key = next(one["name"] for one in told["parameters"] if "maxLength" in one["schema"] and one["in"] == "header")
        example = told["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
        texts = [name for name, kind in struct_of(told)["properties"].items() if "maxLength" in json.dumps(kind)]
        changed = OTHERS.get(path) or {**example, texts[0]: f"{example[texts[0]]}x"}
        for body in (example, example, changed):
            response = await client.request(method, url(path, told)[0], json=body, headers={key: "k1"})
            await assert_documented(response, told)
        assert response.status == 422, f"{method} {path}"


async def test_answers_to_what_can_be_read_are_as_documented(client: Any) -> None:
    for path, method, told in [one for one in OPERATIONS if "requestBody" in one[2]]:
        content = told["requestBody"]["content"]["application/json"]
        await client.request(method, url(path, told)[0], json=content["examples"]["one"]["value"])
    for path, method, told in OPERATIONS:
        if method == "get":
            address, query = url(path, told)
            async with client.get(address, params=query) as response:
                assert response.status in (200, 404, 426), f"{path}: {response.status}"
                await assert_documented(response, told)


async def test_what_has_an_etag_is_not_sent_again(client: Any) -> None:
    for path, method, told in OPERATIONS:
        if method == "get" and "304" in told["responses"]:
            address, query = url(path, told)
            first = await client.get(address, params=query)
            again = await client.get(address, params=query, headers={"If-None-Match": first.headers["ETag"]})
            assert (again.status, await again.read()) == (304, b""), path


async def test_bounds_and_choices_of_every_query_parameter_are_kept(client: Any) -> None:
    for path, method, told in OPERATIONS:
        for one in told.get("parameters", []):
            if one["in"] != "query" or "101" in told["responses"]:
                continue
            kind = one["schema"]
            if kind.keys() & {"minimum", "enum", "format"}:
                wrong = kind["minimum"] - 1 if "minimum" in kind else "2026-13-45"
                address, query = url(path, told, **{one["name"]: wrong})
                response = await client.request(method, address, params=query)
                assert response.status == 400, f"{method} {path}?{one['name']}={wrong}"
                await assert_documented(response, told)
            if one.get("required"):
                response = await client.request(method, path)
                assert response.status == 400, f"{method} {path} without {one['name']}"


# What makes it.


class Event(msgspec.Struct):
    """Something."""

    name: str


async def undeclared(_: web.Request) -> web.Response:
    """`GET /things/{id}`: a thing, e.g. a lamp (contracts.md §9). It has more to say.

    Raises BadRequest: 404 for no thing.
    """
    return web.Response()


@Operation(
    guards=[Guard("key", {"type": "apiKey", "in": "header", "name": "X-API-Key"}, optional=True)],
    query={"unit": Parameter(str, "which unit", default="day")},
    answers={200: answer("a frame", media="text/event-stream", frame="data: []\n\n"), 204: "nothing", 404: "no unit"},
)
async def listen(_: web.Request) -> web.Response:
    """`GET /listen`: hear of things."""
    return web.Response()


def made(*routes: web.RouteDef) -> dict[str, Any]:
    application = app.make_app(Settings())
    application.add_routes(routes)
    return docs.document(application)


def test_handler_without_a_declaration_appears_with_what_its_docstring_says() -> None:
    told = made(web.get("/things/{id}", undeclared))["paths"]["/things/{id}"]["get"]
    assert told["responses"] == {"200": {"description": "It is done"}}
    assert told["parameters"] == [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    assert told["description"] == "It has more to say."
    assert summary_and_description(undeclared)[0] == told["summary"]


def test_declaration_leaves_the_handler_as_it_is() -> None:
    assert listen.__name__ == "listen"
    assert declared(listen).query.keys() == {"unit"}
    assert declared(undeclared) == Operation()


def test_guard_is_a_security_scheme_and_answers_401() -> None:
    document = made(web.get("/listen", listen))
    told = document["paths"]["/listen"]["get"]
    assert told["security"] == [{"key": []}, {}]
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    assert told["responses"]["401"] == {"$ref": "#/components/responses/Unauthorized"}


def test_guards_that_settings_ask_for_are_asked_for_together() -> None:
    """Both of a webhook's are needed where both are configured: one alone would not do."""
    both: dict[str, list[str]] = {"key": [], "signature": []}
    told = DOCUMENT["paths"]["/webhook"]["post"]
    assert told["security"] == [both, {"key": []}, {"signature": []}, {}]
    assert {"webhook-id", "webhook-timestamp", "ce-specversion", "ce-id"} <= {one["name"] for one in told["parameters"]}
    assert "16384 bytes" in struct_of(told)["properties"]["metadata"]["anyOf"][0]["description"]
    assert {"bearer": []} in DOCUMENT["paths"]["/track"]["post"]["security"]
    assert "generatedAt" in str(DOCUMENT["paths"]["/events/ws"]["get"]["responses"]["101"])


def test_sentence_for_an_answer_has_no_body_below_400_and_the_common_error_from_there() -> None:
    answers = made(web.get("/listen", listen))["paths"]["/listen"]["get"]["responses"]
    assert answers["204"] == {"description": "Nothing"}
    assert answers["404"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    assert answers["200"]["content"]["text/event-stream"]["examples"] == {"frame": {"value": "data: []\n\n"}}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], {}),
        ([1], {"type": "integer"}),
        ([1, 1.5], {"type": "number"}),
        ([True, None], {"type": ["boolean", "null"]}),
        (["2026-11-21", None], {"type": ["string", "null"], "format": "date"}),
        (["2026-11-21", "today"], {"type": "string"}),
        ([[1], []], {"type": "array", "items": {"type": "integer"}}),
        ([{}], {"type": "object"}),
        ([{"a": 1}, {}], {"type": "object", "properties": {"a": {"type": "integer"}}}),
        ([1, [1]], {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "integer"}]}),
    ],
)
def test_schema_of_examples_requires_what_all_have(values: list[Any], expected: dict[str, Any]) -> None:
    assert schema(values) == expected
