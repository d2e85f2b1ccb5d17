"""Webhooks in other forms than ours: that of Standard Webhooks, those that settings describe, and what is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis
import pytest
from deliveries import EVENT, events, post, sign, stats
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from statsd import settings
from statsd.errors import SettingsError
from statsd.settings import webhook_secret
from statsd.streams.webhooks import metadata
from statsd.streams.webhooks.layout import Id, Layout, moment
from statsd.web.times import iso

Start = Callable[..., Awaitable[Any]]

# The example of the Standard Webhooks specification.
CONTACT = {
    "type": "contact.created",
    "timestamp": "2022-11-03T20:26:10.344522Z",
    "data": {"id": "1f81eb52-5198-4599-803e-771906343485", "type": "contact", "first_name": "John"},
}
SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"


async def stored(client: Any) -> list[dict[str, Any]]:
    return list((await events(client))["events"])


# Standard Webhooks


async def test_payload_of_standard_webhooks_is_an_event(client: Any) -> None:
    await post(client, CONTACT)
    (event,) = await stored(client)
    assert (event["eventType"], event["userId"]) == ("contact.created", "webhook")
    assert event["timestamp"] == "2022-11-03T20:26:10.344Z"
    assert event["metadata"] == CONTACT["data"]


async def test_it_is_one_signed_and_sent_again(start: Start) -> None:
    client = await start(webhook_secrets=(webhook_secret(SECRET),))
    body, now = json.dumps(CONTACT).encode(), int(time.time())
    signature = sign(webhook_secret(SECRET), "msg_1", now, body)
    headers = {"webhook_id": "msg_1", "webhook_timestamp": str(now), "webhook_signature": signature}
    assert await post(client, body, **headers) == await post(client, body, **headers)
    await post(client, body + b" ", 401, **headers)
    assert (await stats(client))["totalEvents"] == 1


async def test_it_stands_in_arrays_and_lines_beside_our_own_form(client: Any) -> None:
    answer = await post(client, [EVENT, CONTACT, {"type": 7}, {**CONTACT, "type": "x" * 2_000}])
    assert [(one["index"], one["errors"][0]["field"]) for one in answer["data"]["rejected"]] == [
        (2, "eventType"),
        (3, "type"),
    ]
    lines = "\n".join(map(json.dumps, (CONTACT, EVENT)))
    assert (await post(client, lines, Content_Type="application/x-ndjson"))["data"]["accepted"] == 2
    assert (await stats(client))["statistics"] == {"page_view": 2, "contact.created": 2}


@pytest.mark.parametrize(
    ("body", "user", "kept"),
    [
        ({"type": "x"}, "webhook", None),
        ({"type": "x", "data": None}, "webhook", None),
        ({"type": "x", "data": {}}, "webhook", {}),
        ({"type": "x", "data": {"userId": 42}}, "42", {"userId": 42}),
        ({"type": "x", "data": {"user_id": "u"}}, "u", {"user_id": "u"}),
        ({"type": "x", "data": {"user": {"id": "u", "name": "n"}}}, "u", {"user": {"id": "u", "name": "n"}}),
        ({"type": "x", "data": {"user": "u"}}, "u", {"user": "u"}),
        ({"type": "x", "data": {"userId": " ", "user_id": True, "user": "y" * 101}}, "webhook", ...),
        ({"type": "x", "userId": "7", "data": {"user": "u"}}, "7", {"user": "u"}),
        ({"type": "x", "data": [1]}, "webhook", {"type": "x", "data": [1]}),
        ({"type": "x", "id": 1, "data": {"a": 1}}, "webhook", {"type": "x", "id": 1, "data": {"a": 1}}),
    ],
)  # fmt: skip
async def test_user_and_metadata_follow_a_rule(client: Any, body: dict[str, Any], user: str, kept: Any) -> None:
    await post(client, body)
    (event,) = await stored(client)
    assert (event["userId"], event.get("metadata")) == (user, body["data"] if kept is ... else kept)


async def test_texts_are_stored_in_one_form_as_in_our_own(client: Any) -> None:
    name = "caf\u00e9"
    await post(client, {"type": "cafe\u0301", "data": {"user": "cafe\u0301"}})
    await post(client, {"eventType": "cafe\u0301", "userId": "cafe\u0301"})
    assert [(event["eventType"], event["userId"]) for event in await stored(client)] == [(name, name)] * 2
    await post(client, {"type": "x", "data": {"user": "\u2800", "userId": "\u202e"}})
    assert (await stored(client))[0]["userId"] == "webhook"


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"timestamp": "2022-11-03T20:26:10Z", "data": {}}, {"eventType": "any.required", "userId": "any.required"}),
        ({"type": None}, {"eventType": "any.required", "userId": "any.required"}),
        ({"type": 7}, {"eventType": "any.required", "userId": "any.required"}),
        ({"type": ""}, {"eventType": "any.required", "userId": "any.required"}),
        ({"type": " "}, {"type": "string.empty"}),
        ({"type": "x" * 2_000, "timestamp": "soon"}, {"timestamp": "string.isoDate", "type": "string.max"}),
        ({"type": "x", "eventType": "y"}, {"userId": "any.required"}),
        ({"type": "x\u200b"}, {"type": "string.pattern.base"}),
        ({"type": "pay\u202epal"}, {"type": "string.pattern.base"}),
        ({"type": "x\ufffe"}, {"type": "string.pattern.base"}),
        ({"specversion": "1.0", "id": "1", "source": "/", "type": "x"}, {"specversion": "any.invalid"}),
    ],
)
async def test_faults_have_the_names_that_the_sender_knows(client: Any, body: Any, faults: dict[str, str]) -> None:
    answer = await post(client, body, 400)
    assert {row["field"]: row["type"] for row in answer["errors"]} == faults
    assert all(row["message"].startswith(row["field"]) and row["path"] == [row["field"]] for row in answer["errors"])


async def test_strict_refuses_further_fields(start: Start) -> None:
    client = await start(webhook_strict=True, webhook_event_types=("contact.created",))
    await post(client, CONTACT)
    (fault,) = (await post(client, {**CONTACT, "more": 1}, 400))["errors"]
    assert (fault["field"], fault["type"]) == ("more", "object.unknown")
    (fault,) = (await post(client, {**CONTACT, "type": "other"}, 400))["errors"]
    assert (fault["field"], fault["type"]) == ("type", "any.only")


async def test_types_of_the_setting_may_have_any_spelling(start: Start) -> None:
    client = await start(webhook_event_types=("cafe\u0301",))
    for name in ("cafe\u0301", "caf\u00e9"):
        await post(client, {**EVENT, "eventType": name})
        await post(client, {**CONTACT, "type": name})
    assert (await stats(client))["statistics"] == {"caf\u00e9": 4}


async def test_form_with_our_fields_is_an_event(client: Any) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    await post(client, b"eventType=log&userId=%C3%A9+1&timestamp=2024-01-01T00:00:00Z", **form)
    (event,) = await stored(client)
    assert (event["eventType"], event["userId"]) == ("log", "é 1")
    assert {row["field"] for row in (await post(client, b"a=1", 400, **form))["errors"]} == {"eventType", "userId"}


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfeventType=log&userId=ada",
        b"\xef\xbb\xbfpayload=%7B%22eventType%22:%22log%22,%22userId%22:%22ada%22%7D",
        b"payload=%EF%BB%BF%7B%22eventType%22:%22log%22,%22userId%22:%22ada%22%7D",
    ],
)
async def test_byte_order_mark_in_a_form_is_ignored(client: Any, body: bytes) -> None:
    await post(client, body, Content_Type="application/x-www-form-urlencoded")
    (event,) = await stored(client)
    assert (event["eventType"], event["userId"]) == ("log", "ada")


# Settings


@pytest.mark.parametrize("path", ["/webhook", "/webhook/github", "/webhook/stripe"])
async def test_json_that_is_called_a_form_is_refused_for_that(client: Any, path: str) -> None:
    """As `curl -d` calls it: that its fields are missing would be no help, and a preset would keep it as a name."""
    for body in (b'{"eventType": "log", "userId": "1"}', b'\n [{"a": "b=c"}]', b"{"):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = await client.post(path, data=body, headers=headers)
        assert response.status == 415
        assert "application/json" in (await response.json())["error"]
    assert (await stats(client))["totalEvents"] == 0
    assert (await client.post(path, data={"{eventType": "1", "eventType": "log", "userId": "1"})).status == 200


async def test_settings_find_the_fields_and_our_own_form_stays(start: Start) -> None:
    client = await start(
        webhook_type_from=("header:X-Event", "detail.kind+detail.step"),
        webhook_user_from=("detail.by", "header:X-User"),
        webhook_time_from=("at",),
        webhook_id_from=("detail.id",),
    )
    body = {"detail": {"kind": "build", "step": 2, "id": 9}, "at": 1764239400.123}
    first = await post(client, body, X_User="ada")
    assert await post(client, {**body, "at": None}, X_User="bob") == first  # the same id is the same event
    await post(client, {"detail": {}}, X_Event="ping")
    await post(client, EVENT)
    await post(client, CONTACT)
    by_type = {event["eventType"]: event for event in await stored(client)}
    build, ping, standard, own = (by_type[name] for name in ("build.2", "ping", "contact.created", "page_view"))
    assert (build["userId"], build["timestamp"], build["metadata"]) == ("ada", "2025-11-27T10:30:00.123Z", body)
    assert (ping["userId"], ping["metadata"]) == ("webhook", {"detail": {}})
    assert (standard["metadata"], own["metadata"]) == (CONTACT["data"], EVENT["metadata"])
    (fault,) = (await post(client, {"at": "soon"}, 400, X_Event="x"))["errors"]
    assert (fault["field"], fault["type"]) == ("at", "string.isoDate")


async def test_id_in_a_header_and_an_array_are_as_many_events(start: Start) -> None:
    client = await start(webhook_id_from=("header:X-Id",))
    for _ in range(2):
        await post(client, [CONTACT, CONTACT], X_Id="1")
    assert (await stats(client))["totalEvents"] == 2


@pytest.mark.parametrize("text", ["a b.c,d", "header:X-Y+a.0.b", "ключ", "$.type", "a-b_c", ",a ,"])
def test_path_is_dotted_or_a_header(text: str) -> None:
    assert settings.load(None, {"WEBHOOK_TYPE_FROM": text}).webhook_type_from


@pytest.mark.parametrize(
    "text", ["a..b", ".a", "a.", "header:", "header:a b:c", "Header:X", "a+", "+a", "header:é", "a:b"]
)
def test_what_is_no_path_is_a_wrong_setting(text: str) -> None:
    for name in ("TYPE", "USER", "TIME", "ID"):
        with pytest.raises(SettingsError, match=f"WEBHOOK_{name}_FROM: must be dotted paths"):
            settings.load(None, {f"WEBHOOK_{name}_FROM": text})


def test_alternatives_are_tried_in_their_order() -> None:
    layout = Layout(type=("a.b", "header:X-Type+c.1"), user=("u", "header:X-User"), id=("n+m", "header:X-Id"))
    headers = CIMultiDict({"x-type": "t", "X-User": "caf\udce9", "x-id": "i"})
    assert layout.event_type({"a": {"b": "x"}, "c": [0, "y"]}, headers) == "x"
    assert layout.event_type({"a": "no object", "c": [0, "y"]}, headers) == "t.y"
    assert layout.event_type({"a": {"b": ["x"]}, "c": ["y"]}, headers) == "t"
    assert layout.user_id({"u": {"not": "a text"}}, headers) is None  # a byte that is not UTF-8
    assert layout.user_id({"u": 7.5}, headers) == "7.5"
    assert layout.event_id({"n": 1}, headers) == Id("1", False)
    assert layout.event_id({"m": 1}, headers) == Id("i", True)
    assert layout.event_id({"n": "x" * 1_001}, {}) is None


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (1686089970, "2023-06-06T22:19:30.000000Z"),
        (1686089970123, "2023-06-06T22:19:30.123000Z"),
        ("1515449522.000016", "2018-01-08T22:12:02.000016Z"),
        (1764239400.123, "2025-11-27T10:30:00.123000Z"),
        ("1654012591835", "2022-05-31T15:56:31.835000Z"),
        ("1764115199." + "9" * 30, "2025-11-25T23:59:59.999999Z"),  # cut, and still that day
        ("1764115199999." + "9" * 1_000, "2025-11-25T23:59:59.999999Z"),
        ("2023-03-29T18:00:27.877041743Z", "2023-03-29T18:00:27.877041Z"),
        ("2024-09-26T17:46:22+02:00", "2024-09-26T15:46:22.000000Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (4102444799, "2099-12-31T23:59:59.000000Z"),
    ],
)
def test_time_is_exact_in_every_form(value: Any, instant: str) -> None:
    assert moment(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ") == instant


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "",
        "2024",
        "-5",
        -1,
        True,
        [],
        {},
        4102444800,
        1e300,
        float("inf"),
        10**30,
        "1e9",
        "1764115199." + "9" * 1_001,
    ],
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"time|1970|instant"):
        moment(value)


@given(st.integers(0, 4_102_444_799_999))
def test_milliseconds_come_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert iso(moment(str(seconds) if seconds >= 1e8 else seconds)) == iso(moment(seconds))
    if milliseconds >= 100_000_000_000:
        assert int(moment(milliseconds).timestamp() * 1000 + 0.5) == milliseconds


# What is kept of a large body

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("x" * 3_000),
    lambda children: st.lists(children, max_size=40) | st.dictionaries(st.text(max_size=10), children, max_size=40),
    max_leaves=30,
)


@hypothesis.settings(max_examples=20)
@given(st.dictionaries(st.text(max_size=10), VALUES, max_size=15))
def test_what_is_kept_of_a_payload_fits_and_names_its_fields(payload: dict[str, Any]) -> None:
    kept = metadata.reduced(payload)
    assert metadata.fault(kept) is None
    assert (kept is payload) is (metadata.fault(payload) is None)
    names = [name.replace("\0", "\ufffd") for name in payload]
    assert set(kept) <= set(names)


def test_large_payload_loses_its_deepest_levels_first() -> None:
    repository = {"name": "r", "owner": {"login": "o", "plan": {"name": "p" * 900}}}
    payload = {"action": "opened", **{f"r{number}": repository for number in range(40)}}
    kept = metadata.reduced(payload)
    assert kept["action"] == "opened"
    assert kept["r39"] == {"name": "r", "owner": {"login": "o", "plan": "…"}}
    assert metadata.reduced({"a": "x" * 20_000, "b": [1] * 3_000}) == {"a": "x" * 1_000 + "…", "b": [1] * 20 + ["…"]}
