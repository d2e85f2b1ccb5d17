"""The conformance cases of CloudEvents, and what else the specification forbids.

The ids and values in the first part are those of the CloudEvents conformance tests, Apache License 2.0
(github.com/cloudevents/conformance: format/json and features/http-protocol-binding.feature); each event is written as
its difference from the smallest one. What we take although they call it invalid is on the page /docs/cloudevents.html.
"""

from __future__ import annotations

from typing import Any

import pytest
from deliveries import CLOUD, events, post, stats

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
MINIMAL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "minimal",
    "type": "io.cloudevents.test",
    "source": "https://cloudevents.io",
}
WITH_TIME = {**MINIMAL, "id": "minimalWithTime"}
ALL_CORE = {
    **MINIMAL, "id": "allCore", "datacontenttype": "text/plain", "dataschema": "https://cloudevents.io/dataschema",
    "subject": "tests", "time": "2018-04-05T17:31:00Z",
}  # fmt: skip
ALL_EXTENSIONS = {
    **MINIMAL, "id": "allExtensionTypes", "extinteger": 10, "extboolean": True, "extstring": "text",
    "exturi": "https://cloudevents.io", "exturiref": "//authority/path", "exttimestamp": "2023-03-31T15:12:00Z",
    "extbinary": "TWE=",
}  # fmt: skip

VALID = {
    "validMinimal": MINIMAL,
    "validMinimalWithNullForOptional": {
        **MINIMAL, "datacontenttype": None, "dataschema": None, "subject": None, "time": None,
    },
    "validAllCoreAttributes": ALL_CORE,
    "validMinimalWithTimeUtc": {**WITH_TIME, "time": "2018-04-05T17:31:00Z"},
    "validMinimalWithTimeToNanosecondsUtc": {**WITH_TIME, "time": "2018-04-05T17:31:00.000000000Z"},
    "validMinimalWithTimeUsingPositiveOffset": {**WITH_TIME, "time": "2018-04-05T18:31:00+01:00"},
    "validMinimalWithTimeUsingNegativeOffset": {**WITH_TIME, "time": "2018-04-05T16:31:00-01:00"},
    "validRelativeSource": {**MINIMAL, "id": "minimalWithRelativeSource", "source": "#fragment"},
    "validSimpleTextData": {
        **MINIMAL, "id": "simpleTextData", "datacontenttype": "text/plain", "data": "Simple text",
    },
    "validAllExtensionTypes": ALL_EXTENSIONS,
}  # fmt: skip
"""Events by the name of their test. Those with the same id are the same event in other words."""

INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "invalidNoSpecVersion": ({"specversion": ...}, "specversion"),
    "invalidNoId": ({"id": ...}, "id"),
    "invalidNoType": ({"type": ...}, "type"),
    "invalidNoSource": ({"source": ...}, "source"),
    "invalidTimeGarbage": ({"time": "lunchtime"}, "time"),
    "invalidTimeToMinute": ({"time": "2018-04-05T18:31Z"}, "time"),
    "invalidTimeOffsetX": ({"time": "2018-04-05T18:31:00X"}, "time"),
    "invalidTimeOffsetOutOfRange": ({"time": "2018-04-05T18:31:00+25:00"}, "time"),
    "invalidTimeOffsetNonInteger": ({"time": "2018-04-05T18:31:00+xx:00"}, "time"),
    "invalidTimeOffsetHourOnly": ({"time": "2018-04-05T18:31:00+05"}, "time"),
    "invalidEmptyId": ({"id": ""}, "id"),
    "invalidEmptyType": ({"type": ""}, "type"),
    "invalidEmptySource": ({"source": ""}, "source"),
    "invalidEmptySpecVersion": ({"specversion": ""}, "specversion"),
    "invalidUnknownSpecVersion": ({"specversion": "0.9"}, "specversion"),
    "invalidNonRfc2046DataContentType": ({"datacontenttype": "xyz"}, "datacontenttype"),
    "invalidEmptyDataContentType": ({"datacontenttype": ""}, "datacontenttype"),
    "invalidEmptyDataSchema": ({"dataschema": ""}, "dataschema"),
    "invalidEmptySubject": ({"subject": ""}, "subject"),
    "invalidNumericId": ({"id": 25}, "id"),
    "invalidObjectId": ({"id": {"xyz": "abc"}}, "id"),
    "invalidCapitalizedExtension": ({"MyExtension": "bad"}, "MyExtension"),
    "invalidPunctuatedExtension": ({"my.extension": "bad"}, "my.extension"),
    "invalidNonIntegerExtensionValue": ({"my.extension": 1.5}, "my.extension"),
    "invalidBothDataAndDataBase64": ({"data": "text", "data_base64": "eyAieHl6IjogMTIzIH0="}, "data_base64"),
}
"""What is changed in the smallest event (`...`: left out), and the attribute whose fault that is."""

BATCHES: dict[str, list[dict[str, Any]]] = {
    "validBatchEmpty": [],
    "validBatchMinimal": [MINIMAL],
    "validBatchMinimal2": [MINIMAL, MINIMAL],
    "validBatchMinimalAndAllCore": [MINIMAL, ALL_CORE],
    "validBatchMinimalAndAllExtensionTypes": [MINIMAL, ALL_EXTENSIONS],
}

INVALID_BATCHES: dict[str, tuple[list[Any], int, int]] = {
    "invalidBatchMixedSpecVersions": (
        [{**MINIMAL, "id": "minimal1"}, {**MINIMAL, "specversion": "0.9", "id": "minimal2"}], 200, 1,
    ),
    "invalidBatchContainingInvalidCloudEvent": ([{name: MINIMAL[name] for name in MINIMAL if name != "id"}], 400, 0),
    "invalidBatchContainingNonObject": (["not an object", {**MINIMAL, "id": "minimal1"}], 200, 1),
}  # fmt: skip
"""The batch, our status, and how many of its events we store: the valid ones, as of any batch."""


async def test_valid_events_are_stored_and_those_of_the_same_id_are_repeats(client: Any) -> None:
    ids: dict[str, str] = {}
    for name, event in VALID.items():
        receipt = (await post(client, event, Content_Type=STRUCTURED))["data"]
        assert ids.setdefault(str(event["id"]), receipt["eventId"]) == receipt["eventId"], name
    assert (await events(client))["count"] == len(ids) == 6


def invalid(name: str) -> dict[str, Any]:
    return {member: value for member, value in (MINIMAL | INVALID[name][0]).items() if value is not ...}


async def test_invalid_events_are_refused_by_the_attribute_in_structured_mode(client: Any) -> None:
    found = {}
    for name in INVALID:
        answer = await post(client, invalid(name), 400, Content_Type=STRUCTURED)
        found[name] = [fault["field"] for fault in answer["errors"]]
    assert found == {name: [field] for name, (_, field) in INVALID.items()}


async def test_invalid_events_are_refused_by_the_attribute_in_a_batch(client: Any) -> None:
    answer = await post(client, [MINIMAL, *map(invalid, INVALID)], Content_Type=BATCH)
    assert answer["data"]["accepted"] == 1
    found = [[fault["field"] for fault in rejected["errors"]] for rejected in answer["data"]["rejected"]]
    assert found == [[field] for _, field in INVALID.values()]


async def test_invalid_events_are_refused_by_the_attribute_in_binary_mode(client: Any) -> None:
    """But those that have no header: other types than text, a second member for data, a name in capitals."""
    found = {}
    for name, (change, field) in INVALID.items():
        if all(isinstance(value, str) or value is ... for value in change.values()) and not change.keys() & {
            "data",
            "MyExtension",
        }:
            event = invalid(name)
            media = event.pop("datacontenttype", "application/json")
            headers = {f"ce-{member}": value for member, value in event.items()}
            response = await client.post("/webhook", data=b"", headers={"Content-Type": media or "/", **headers})
            assert response.status == 400, name
            found[name] = [fault["field"] for fault in (await response.json())["errors"]] == [field]
    assert len(found) == 20
    assert all(found.values()), found


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
async def test_valid_batch_is_stored(client: Any, batch: list[dict[str, Any]]) -> None:
    ids = {event["id"] for event in batch}
    for accepted in (len(ids), 0):
        data = (await post(client, batch, Content_Type=BATCH))["data"]
        assert (data["accepted"], data["duplicates"]) == (accepted, len(batch) - accepted)
    assert (await stats(client))["totalEvents"] == len(ids)


@pytest.mark.parametrize(("batch", "status", "accepted"), INVALID_BATCHES.values(), ids=INVALID_BATCHES.keys())
async def test_invalid_batch_stores_its_valid_events(client: Any, batch: Any, status: int, accepted: int) -> None:
    await post(client, batch, status, Content_Type=BATCH)
    assert (await stats(client))["totalEvents"] == accepted


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8"])
async def test_binary_mode_of_the_http_feature(client: Any, media: str) -> None:
    headers = {
        "ce_specversion": "1.0", "ce_type": "com.example.someevent", "ce_time": "2018-04-05T03:56:24Z",
        "ce_id": "1234-1234-1234", "ce_source": "/mycontext/subcontext", "Content_Type": media,
    }  # fmt: skip
    await post(client, b'{\n    "message": "Hello World!"\n}', **headers)
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["timestamp"]) == ("com.example.someevent", "2018-04-05T03:56:24.000Z")
    assert found["metadata"] == {
        "source": "/mycontext/subcontext", "datacontenttype": media, "data": {"message": "Hello World!"},
    }  # fmt: skip


@pytest.mark.parametrize("media", [STRUCTURED, f"{STRUCTURED}; charset=utf-8", f'{STRUCTURED};charset="UTF-8"'])
async def test_structured_mode_of_the_http_feature(client: Any, media: str) -> None:
    event = {
        "specversion": "1.0", "type": "com.example.someevent", "time": "2018-04-05T03:56:24Z", "id": "1234-1234-1234",
        "source": "/mycontext/subcontext", "datacontenttype": "application/json", "data": {"message": "Hello World!"},
    }  # fmt: skip
    await post(client, event, Content_Type=media)
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["timestamp"]) == ("com.example.someevent", "2018-04-05T03:56:24.000Z")
    assert found["metadata"] == {name: event[name] for name in ("source", "datacontenttype", "data")}


# Beyond the conformance tests.


FORBIDDEN: list[tuple[str, list[Any]]] = [
    ("specversion", ["1.0.2", "1", 1.0]),
    ("id", ["a\nb", "", "x" * 1_001, True]),
    ("source", ["a\x85b", " ", "\u200b", "x" * 1_001, 7]),
    ("type", ["a\ufdd0b", "x" * 1_001, []]),
    ("subject", [5, "a\x00b", "a\U0001ffffb", {}]),
    ("time", ["2018-04-05", "2018-04-05T18:31:00", "2018-04-05 18:31:00Z", "2018-04-05T18:31:00,5Z", 1522953060]),
    ("time", ["20180405T183100Z", "2018-04-05T18:31:00+0500", "2018-02-30T00:00:00Z", "2018-04-05T24:00:00Z"]),
    ("time", ["", "2018-04-05T18:31:00.Z", "٢٠١٨-04-05T18:31:00Z", "1969-12-31T23:59:59Z", "2018-W14-4T18:31:00Z"]),
    ("datacontenttype", ["/json", "text/", "text/*/x", "te xt/plain", "text/plain; charset", 'a/b; c="d', "a/b c", 1]),
    ("dataschema", ["schema", "/schema", "//host/schema", "1a:b", "a b:c", "urn:a b", "http://[::1", "x:%zz", 5]),
    ("data_base64", ["!!!", "YQ", "YQ=", "YQ== ", "YWJj\n", "_-8=", "é", 5, ["YQ=="], {}]),
    ("ext", [1.5, 1e300, 2**31, -(2**31) - 1, 10**30, [], {}, [1], {"a": 1}, "a\tb", "a\ufffeb"]),
]


async def test_what_the_specification_forbids_is_refused(client: Any) -> None:
    wrong = [(name, value) for name, values in FORBIDDEN for value in values]
    answer = await post(client, [{**CLOUD, name: value} for name, value in wrong], 400, Content_Type=BATCH)
    assert [fault["path"] for fault in answer["errors"]] == [[index, name] for index, (name, _) in enumerate(wrong)]


async def test_name_with_other_characters_is_refused(client: Any) -> None:
    for name in ("", "Ext", "my-ext", "my_ext", "mÿ", "a b", "ext\n", "data_base65", "x" * 200 + "-"):
        answer = await post(client, {**CLOUD, name: "1"}, 400, Content_Type=STRUCTURED)
        assert [fault["path"] for fault in answer["errors"]] == [[name[:100]] if name else []]


async def test_all_faults_come_at_once_but_not_thousands(client: Any) -> None:
    wrong = {**CLOUD, "time": "2018-04-05T18:31Z", "subject": "", "MyExt": 1, "data": {"a": "x" * 17_000}}
    answer = await post(client, wrong, 400, Content_Type=STRUCTURED)
    assert {fault["field"] for fault in answer["errors"]} == {"time", "subject", "MyExt", "data"}
    many = CLOUD | {f"A{number}": 1 for number in range(5_000)}
    assert len((await post(client, many, 400, Content_Type=STRUCTURED))["errors"]) == 100


HEADERS = [
    ([("ce-comment", "1"), ("ce-comment", "2")], "comment"),
    ([("ce-data", "1")], "data"),
    ([("ce-data_base64", "YQ==")], "data_base64"),
    ([("ce-datacontenttype", "text/plain")], "datacontenttype"),
    ([("ce-my-ext", "1")], "my-ext"),
    ([("ce-dataschema", "")], "dataschema"),
    ([("ce-comment", "%C0%A0")], "comment"),
    ([("ce-comment", '"a%0Ab"')], "comment"),
    ([("ce-type", "%FF")], "type"),
    ([("ce-type", '"" ')], "type"),
]


async def test_header_that_is_no_attribute_is_refused(client: Any) -> None:
    for more, field in HEADERS:
        plain = {f"ce-{name}": text for name, text in CLOUD.items()} | {"Content-Type": "application/json"}
        headers = [*((name, text) for name, text in plain.items() if more[0][0] != name), *more]
        response = await client.post("/webhook", data=b"{}", headers=headers)
        assert response.status == 400, more
        assert [fault["field"] for fault in (await response.json())["errors"]] == [field]


TAKEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"averyveryverylongattributename": "x"}, {"averyveryverylongattributename": "x"}),
    ({"ext": 5.0}, {"ext": "5"}),
    ({"ext": -(2**31)}, {"ext": "-2147483648"}),
    ({"ext": ""}, {"ext": ""}),
    ({"ext": None}, {}),
    ({"source": "not a URI: größe"}, {"source": "not a URI: größe"}),
    ({"dataschema": "https://example.com/größe#v1"}, {"dataschema": "https://example.com/größe#v1"}),
    ({"dataschema": "http://[::1]:80/a"}, {"dataschema": "http://[::1]:80/a"}),
    ({"datacontenttype": "a/b;profile=http://x/y;"}, {"datacontenttype": "a/b;profile=http://x/y;"}),
    ({"data": None}, {}),
    ({"data": "", "datacontenttype": "text/plain"}, {"datacontenttype": "text/plain"}),
    ({"data": ""}, {"data": ""}),
    ({"data_base64": ""}, {}),
    ({"data_base64": None, "data": 1}, {"data": 1}),
    ({"data": {"a": 1}, "datacontenttype": "text/plain"}, {"data": {"a": 1}, "datacontenttype": "text/plain"}),
    ({"time": "2018-04-05t18:31:00.5z"}, {}),
]
"""What changes in an event that is taken, and what changes in its metadata."""


async def test_what_is_taken_is_kept_so(client: Any) -> None:
    batch = [{**CLOUD, "id": str(index), **change} for index, (change, _) in enumerate(TAKEN)]
    ids = (await post(client, batch, Content_Type=BATCH))["data"]["eventIds"]
    found = {event["eventId"]: event["metadata"] for event in (await events(client))["events"]}
    plain = {"source": "/shop", "subject": "42", "datacontenttype": "application/json"}
    assert [found[id] for id in ids] == [plain | kept for _, kept in TAKEN]
