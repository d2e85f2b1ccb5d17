"""The OpenAPI document: what routes, structs and declarations give, and true of the running server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from items import BRICKS, GRACE
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from program import Program

from statsd import app
from statsd.accounts import signin
from statsd.database import sql
from statsd.settings import Settings
from statsd.site import docs
from statsd.streams import KINDS
from statsd.web.asked import JSON_TYPES
from statsd.web.operation import UNDECLARED, Answer, Guard, Operation, Parameter, declared

ENCODED = app.make_app(Settings())[docs.DOCUMENT]()
DOCUMENT: dict[str, Any] = json.loads(ENCODED)
OPERATIONS = [(path, method, told) for path, methods in DOCUMENT["paths"].items() for method, told in methods.items()]


OTHERS = {"/items": {"base_item_id": BRICKS}, "/items/{item}/ownership": {"to": GRACE}}
"""Another body than the example's, where no text in it can be made longer."""


@pytest.fixture
async def client(client: Any, pool: Any) -> Any:
    """The server, asked by the person of the documented login, with the documented rows."""
    await pool.execute(sql.load("transfers")["seed"])
    known = signin.NEW | signin.KNOWN
    response = await client.post("/register", json=known)
    await pool.execute("update users set role = 'admin'")
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


def closed(schema: Any) -> Any:
    """The same schema, in which an object has no other properties than those that are named."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    return {**made, "additionalProperties": False} if "properties" in schema else made


COMPONENTS = closed(DOCUMENT["components"])


def assert_fits(value: Any, kind: dict[str, Any], about: str) -> None:
    """A value has what a schema requires, and nothing that the schema does not name."""
    faults = list(Draft202012Validator({**kind, "components": COMPONENTS}).iter_errors(value))
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


# The document.


def test_document_is_valid() -> None:
    validate(DOCUMENT)


async def test_document_is_served_and_not_sent_again(client: Any) -> None:
    response = await client.get("/openapi.json")
    assert (response.content_type, await response.read()) == ("application/json", ENCODED)
    again = await client.get("/openapi.json", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


async def test_command_prints_the_document_whatever_the_settings_are(run: Any) -> None:
    program: Program = run("openapi", WEBHOOK_API_KEY="secret", CORS_ORIGINS="https://example.org")
    printed, _ = await asyncio.to_thread(program.process.communicate)
    assert program.process.returncode == 0, program.stderr
    assert json.loads(printed) == DOCUMENT


def test_every_route_is_an_operation_but_those_of_the_page() -> None:
    routes = {
        (docs.address(route), route.method.lower()): route.handler
        for route in app.make_app(Settings()).router.routes()
        if route.method != "HEAD"
    }
    operations = {(path, method) for path, method, _ in OPERATIONS}
    assert operations <= set(routes)
    assert {routes[key].__module__ for key in set(routes) - operations} == {"statsd.site.page"}


def test_groups_are_the_streams_then_accounts_and_operating() -> None:
    *streams, accounts, operating = [tag["name"] for tag in DOCUMENT["tags"]]
    assert (len(streams), accounts, operating) == (len(KINDS), "Accounts", "Operating")
    assert streams[:5] == ["Logins", "Webhooks", "Usage", "Transfers", "Page views"]


def test_batch_is_a_component_beside_the_one_event() -> None:
    content = DOCUMENT["paths"]["/logins"]["post"]["requestBody"]["content"]
    login, batch = ({"$ref": f"#/components/schemas/{name}"} for name in ("Login", "LoginBatch"))
    assert content["application/json"]["schema"] == {"anyOf": [login, batch]}
    assert resolved(batch)["items"] == login
    assert set(content) == {"application/json", "application/x-ndjson"}


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_tag_that_is_described() -> None:
    names = [told["operationId"] for *_, told in OPERATIONS]
    assert len(names) == len(set(names))
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {tag for *_, told in OPERATIONS for tag in told["tags"]}
    for path, method, told in OPERATIONS:
        assert told["summary"], f"{method} {path}"
        assert not told["summary"].startswith(("`", path)), path
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
    assert not re.search(r"\\\\[AZ]", ENCODED.decode()), "only Python has \\A and \\Z in patterns"
    assert all("items" in found for found in everything(DOCUMENT) if found.get("type") == "array")


def test_every_example_fits_its_schema() -> None:
    for found in everything(DOCUMENT):
        for name, example in found.get("examples", {}).items() if "schema" in found else ():
            assert_fits(example["value"], found["schema"], name)


def test_no_sentence_names_documents_or_exceptions_that_readers_do_not_have() -> None:
    texts = [found.get(name) for found in everything(DOCUMENT) for name in ("summary", "description")]
    sentences = [text for text in texts if isinstance(text, str)]
    assert len(sentences) > 100
    for sentence in sentences:
        assert not re.search(r"\w+\.md\b|\bRaises\b|\w+Error\b", sentence), sentence


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
    plain = [one for one in OPERATIONS if "text/plain" in one[2].get("requestBody", {}).get("description", "")]
    assert plain
    for path, method, told in plain:
        examples = [told["requestBody"]["content"]["application/json"]["examples"]["one"]["value"], OTHERS.get(path)]
        for number, media in enumerate(media for media in JSON_TYPES if "json" not in media):
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


@pytest.mark.parametrize(
    ("method", "path", "status", "media"),
    [
        ("get", "/analytics", 401, ""),
        ("post", "/track", 401, "application/json"),
        ("post", "/login", 400, "application/json"),
        ("post", "/register", 415, "text/plain"),
        ("post", "/logout", 415, "text/plain"),
        ("get", "/items/none", 400, ""),
        ("get", "/items/8645a131-a7ae-4569-bb3c-1f1c7ae86829?limit=0", 400, ""),
        ("get", "/jobs/none", 404, ""),
        ("get", "/statistics/transfers/none", 400, ""),
    ],
)
async def test_error_is_as_documented(client: Any, method: str, path: str, status: int, media: str) -> None:
    del client.session.headers["Authorization"]
    headers = {"Content-Type": media} if media else {}
    response = await client.request(method, path, data=b"{}" if media else None, headers=headers)
    assert response.status == status
    pattern = next(
        one for one, *_ in OPERATIONS if re.fullmatch(re.sub(r"{\w+}", "[^/]+", one), path.partition("?")[0])
    )
    await assert_documented(response, DOCUMENT["paths"][pattern][method])


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


class Thing(msgspec.Struct):
    """Something."""

    name: str


async def undeclared(_: web.Request) -> web.Response:
    """Get a file."""
    return web.Response()


@Operation(
    access="ingest",
    guards=[Guard("key", {"type": "apiKey", "in": "header", "name": "X-API-Key"})],
    query={"unit": Parameter(str, "which unit", default="day")},
    answers={
        200: Answer("the things", Thing, list[Thing], texts={"text/event-stream": "data: []"}, one=Thing("lamp")),
        204: "nothing",
        404: "no unit",
    },
)
async def listen(_: web.Request) -> web.Response:
    """Hear of things, e.g. lamps.

    They come
    at once.

    And later.
    """
    return web.Response()


listen.__module__ = "statsd.site.things"  # operations are grouped by package


def made(*routes: web.RouteDef) -> dict[str, Any]:
    application = web.Application()
    application.add_routes(routes)
    document: dict[str, Any] = json.loads(docs.on_demand(application)())
    return document


def test_handler_without_a_declaration_is_no_operation() -> None:
    assert declared(undeclared) is UNDECLARED
    assert made(web.get("/file", undeclared))["paths"] == {}


def test_declaration_leaves_the_handler_as_it_is() -> None:
    assert listen.__name__ == "listen"
    assert declared(listen).query.keys() == {"unit"}


def test_docstring_is_the_summary_and_the_description() -> None:
    told = made(web.get("/things/{id}", listen))["paths"]["/things/{id}"]["get"]
    assert told["summary"] == "Hear of things, e.g. lamps"
    assert told["description"] == "They come at once.\n\nAnd later."
    assert told["parameters"][0] == {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


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
    assert told["security"] == [both, {"key": []}, {"signature": []}, {"token": []}, {}]
    assert {"webhook-id", "webhook-timestamp", "ce-specversion", "ce-id"} <= {one["name"] for one in told["parameters"]}
    assert "16384 bytes" in struct_of(told)["properties"]["metadata"]["anyOf"][0]["description"]
    assert {"bearer": []} in DOCUMENT["paths"]["/track"]["post"]["security"]
    frame = DOCUMENT["paths"]["/events/ws"]["get"]["responses"]["101"]["content"]["application/json"]["schema"]
    assert "generatedAt" in resolved(resolved(frame)["properties"]["stats"])["properties"]


def test_answer_has_the_declared_types_and_a_sentence_the_common_error_from_400() -> None:
    document = made(web.get("/listen", listen))
    answers = document["paths"]["/listen"]["get"]["responses"]
    content = answers["200"]["content"]
    thing, things = ({"$ref": f"#/components/schemas/{name}"} for name in ("Thing", "ThingBatch"))
    assert content["application/json"]["schema"] == {"anyOf": [thing, things]}
    assert content["application/json"]["examples"] == {"one": {"value": {"name": "lamp"}}}
    assert content["text/event-stream"]["examples"] == {"text": {"value": "data: []"}}
    assert document["components"]["schemas"]["ThingBatch"]["items"] == thing
    assert answers["204"] == {"description": "Nothing"}
    assert answers["404"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Refusal"}
