"""Page views: accepted in the documented words, counted right, and exactly once."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from folders import ROOT

from statsd.ingest import aggregate, ids, retention
from statsd.ingest.writer import WRITERS
from statsd.streams import pageviews

EVENT = {
    "site_id": "demo-site",
    "event_type": "page_view",
    "path": "/home",
    "user_id": "u1",
    "timestamp": "2025-11-14T10:30:00Z",
}


async def post(client: Any, body: object, status: int = 202, **headers: str) -> dict[str, Any]:
    response = await client.post(
        "/event", json=body, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    answer = await response.json()
    assert response.status == status, answer
    return answer


async def stats(client: Any, query: str = "site_id=demo-site&date=2025-11-14") -> dict[str, Any]:
    response = await client.get(f"/stats?{query}")
    assert response.status == 200, await response.text()
    return await response.json()


async def test_documented_scenario_holds_right_after_the_last_answer(client: Any) -> None:
    now = datetime.now(UTC)
    seen = [("/home", "u1"), ("/products", "u2"), ("/home", "u3"), ("/products", "u1"), ("/about", "u2")]
    for path, user in seen:
        answer = await post(client, {**EVENT, "path": path, "user_id": user, "timestamp": now.isoformat()})
        assert answer["message"] == "Event accepted for processing"
    text = await (await client.get(f"/stats?site_id=demo-site&date={now.date()}")).text()
    assert '"total_views":5' in text
    assert '"unique_users":3' in text
    assert json.loads(text) == {
        "site_id": "demo-site",
        "date": str(now.date()),
        "total_views": 5,
        "unique_users": 3,
        "top_paths": [{"path": "/home", "views": 2}, {"path": "/products", "views": 2}, {"path": "/about", "views": 1}],
    }


async def test_receipt_follows_the_event(client: Any) -> None:
    response = await client.post("/event", json=EVENT)
    job = (await response.json())["jobId"]
    assert response.headers["Location"] == f"/jobs/{job}"
    receipt = await (await client.get(f"/jobs/{job}")).json()
    assert (receipt["jobId"], receipt["state"]) == (job, "stored")


@pytest.mark.parametrize("job", ["01a1fbf8-34c0-7ac8-b7b2-1749eb2b4d4f", "nonsense", "%00", "demo-site-1-abc"])
async def test_unknown_receipt_is_404(client: Any, job: str) -> None:
    assert (await client.get(f"/jobs/{job}")).status == 404


LATER = (datetime.now(UTC) + timedelta(days=2)).isoformat()
REQUIRED = [
    "site_id is required and must be a non-empty string",
    "event_type is required and must be a non-empty string",
    "path is required and must be a non-empty string",
]
NO_TIME = "timestamp is required and must be an ISO 8601 string"
BAD_TIME = "timestamp must be a valid ISO 8601 date string"


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, [*REQUIRED, NO_TIME]),
        ({"site_id": "test"}, [*REQUIRED[1:], NO_TIME]),
        ({**EVENT, "site_id": "  ", "path": 5, "user_id": 7, "timestamp": "2025-02-30T00:00:00Z"},
         [REQUIRED[0], REQUIRED[2], "user_id must be a string if provided", BAD_TIME]),
        ({**EVENT, "timestamp": "2025"}, [BAD_TIME]),
        ({**EVENT, "timestamp": "Nov 14 2025"}, [BAD_TIME]),
        ({**EVENT, "timestamp": "2100-01-01T00:00:00Z"}, [BAD_TIME]),
        ({**EVENT, "timestamp": "2025-11-14T10:30:00." + "1" * 5000 + "Z"}, [BAD_TIME]),
        ({**EVENT, "timestamp": LATER}, ["timestamp must not be more than a day in the future"]),
        ({**EVENT, "timestamp": "2099-12-31"}, ["timestamp must not be more than a day in the future"]),
        ({**EVENT, "timestamp": 5}, [NO_TIME]),
        ({**EVENT, "timestamp": ""}, [NO_TIME]),
        ({**EVENT, "path": "/" + "\u7e40" * 700}, ["path must have at most 2048 bytes in UTF-8"]),
        ({**EVENT, "path": "/" + "\u7e40" * 228}, ["path must have at most 2048 characters, percent-encoded"]),
        ({**EVENT, "user_id": "a\0b"}, ["user_id must have at most 256 characters and no control characters"]),
        ({**EVENT, "event_id": ""}, ["event_id must be a string of 1 to 255 characters if provided"]),
    ],
)  # fmt: skip
async def test_faults_have_the_documented_words_and_come_all_at_once(
    client: Any, body: dict[str, Any], details: list[str]
) -> None:
    assert await post(client, body, 400) == {"error": "Invalid payload", "details": details}


async def test_clock_that_is_a_day_ahead_is_believed(client: Any) -> None:
    when = datetime.now(UTC) + timedelta(days=1, minutes=-1)
    await post(client, {**EVENT, "timestamp": when.isoformat()})
    assert (await stats(client, f"site_id=demo-site&date={when.date()}"))["total_views"] == 1


@pytest.mark.parametrize("changes", [{"user_id": None}, {"user_id": ""}, {"more": [1]}, {"timestamp": "2025-11-14"}])
async def test_optional_things_may_be_left_out(client: Any, changes: dict[str, Any]) -> None:
    await post(client, {**EVENT, **changes})
    assert (await stats(client))["total_views"] == 1


async def test_views_count_views_and_users_count_every_event(client: Any) -> None:
    """The empty user is nobody; another event type is no view, but whoever sent it is a user."""
    await post(client, [
        EVENT, {**EVENT, "user_id": ""}, {**EVENT, "event_type": "click", "user_id": "u2", "path": "/other"},
        {**EVENT, "site_id": "another"}, {**EVENT, "timestamp": "2025-11-15T00:00:00Z"},
        {**EVENT, "timestamp": "2025-11-15T01:00:00+02:00"},
    ])  # fmt: skip
    found = await stats(client)
    assert (found["total_views"], found["unique_users"]) == (3, 2)
    assert found["top_paths"] == [{"path": "/home", "views": 3}]


async def test_unknown_site_has_zeros(client: Any) -> None:
    found = await stats(client, "site_id=never-seen")
    assert (found["total_views"], found["unique_users"], found["top_paths"]) == (0, 0, [])
    assert found["date"] == str(datetime.now(UTC).date())


async def test_batch_stores_the_good_and_names_the_bad(client: Any) -> None:
    answer = await post(client, [EVENT, {**EVENT, "path": ""}, None, {**EVENT, "path": "/b"}])
    assert (answer["accepted"], answer["duplicates"], len(answer["jobIds"])) == (2, 0, 2)
    assert answer["rejected"] == [
        {"index": 1, "details": [REQUIRED[2]]},
        {"index": 2, "details": ["an event must be a JSON object"]},
    ]
    assert (await stats(client))["total_views"] == 2


async def test_batch_in_which_nothing_is_good_is_400(client: Any) -> None:
    answer = await post(client, [{}, 5], 400)
    assert [one["index"] for one in answer["rejected"]] == [0, 1]
    assert (await post(client, [], 400))["error"] == "Invalid payload"


async def test_lines_are_a_batch(client: Any) -> None:
    lines = b"\n".join([json.dumps(EVENT).encode(), b"", b"{", json.dumps({**EVENT, "path": "/b"}).encode(), b""])
    response = await client.post("/event", data=lines, headers={"Content-Type": "application/x-ndjson"})
    answer = await response.json()
    assert (response.status, answer["accepted"]) == (202, 2)
    assert [one["index"] for one in answer["rejected"]] == [1]


async def test_same_event_id_counts_once_from_however_many_connections(client: Any) -> None:
    event = {**EVENT, "event_id": "once"}
    answers = await asyncio.gather(*(post(client, event) for _ in range(30)))
    batch = await post(client, [event, event, {**EVENT, "event_id": "twice"}])
    assert len({answer["jobId"] for answer in answers}) == 1
    assert (batch["accepted"], batch["duplicates"]) == (1, 2)
    assert (await stats(client))["total_views"] == 2


async def test_same_key_counts_once_and_with_another_event_is_422(client: Any) -> None:
    first = await post(client, EVENT, Idempotency_Key="k")
    assert await post(client, EVENT, Idempotency_Key="k") == first
    assert "another event" in (await post(client, {**EVENT, "path": "/x"}, 422, Idempotency_Key="k"))["error"]
    assert "another event" in (await post(client, {**EVENT, "site_id": "x"}, 422, Idempotency_Key="k"))["error"]
    assert (await stats(client))["total_views"] == 1


async def test_same_event_id_with_another_event_is_refused_in_a_batch(client: Any) -> None:
    await post(client, {**EVENT, "event_id": "e"})
    answer = await post(client, [{**EVENT, "event_id": "e", "path": "/x"}, EVENT])
    assert answer["accepted"] == 1
    assert answer["rejected"][0]["index"] == 0
    await post(client, {**EVENT, "event_id": "e", "path": "/x"}, 422)


async def test_key_that_names_many_is_refused(client: Any) -> None:
    assert "a single event" in (await post(client, [EVENT, EVENT], 400, Idempotency_Key="k"))["error"]
    assert (await post(client, [{}], 400, Idempotency_Key="k"))["error"] == "Invalid payload"
    await post(client, EVENT, 400, Idempotency_Key="k" * 256)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "site_id query parameter is required"),
        ("site_id=", "site_id query parameter is required"),
        ("site_id[]=a", "site_id query parameter is required"),
        ("site_id=a&site_id=b", "site_id must be given once"),
        ("site_id=" + "a" * 129, "at most 128"),
        ("site_id=a%0d%0ab", "no control characters"),
        ("site_id=a&date=2025-13-45", "date must be in YYYY-MM-DD format"),
        ("site_id=a&date=20251114", "date must be in YYYY-MM-DD format"),
        ("site_id=a&date=2025-11-14%0A", "date must be in YYYY-MM-DD format"),
        ("site_id=a&date=tomorrow", "date must be in YYYY-MM-DD format"),
        ("site_id=a&date=0001-01-01", "1970 to 2099"),
        ("site_id=a&date=2025-11-14&date=2025-11-15", "date must be given once"),
        ("site_id=a&date=2025-11-14&from=2025-11-14", "not be combined"),
        ("site_id=a&from=2025-11-14&to=2025-11-13", "from must not be after to"),
        ("site_id=a&from=2024-01-01&to=2025-01-02", "366"),
        ("site_id=a&limit=0", "limit must be"),
        ("site_id=a&limit=101", "limit must be"),
        ("site_id=a&limit=1e1", "limit must be"),
    ],
)
async def test_wrong_questions_are_400_and_say_what_would_be_right(client: Any, query: str, says: str) -> None:
    response = await client.get(f"/stats?{query}")
    assert response.status == 400
    assert says in (await response.json())["error"]


async def test_range_has_a_daily_series_and_counts_users_once(client: Any) -> None:
    await post(client, [
        {**EVENT, "timestamp": f"2025-11-{day:02}T12:00:00Z", "user_id": user}
        for day, user in [(1, "a"), (1, "b"), (3, "a"), (3, "c")]
    ])  # fmt: skip
    found = await stats(client, "site_id=demo-site&from=2025-11-01&to=2025-11-04")
    assert (found["total_views"], found["unique_users"]) == (4, 3)
    assert [(day["date"], day["total_views"], day["unique_users"]) for day in found["days"]] == [
        ("2025-11-01", 2, 2), ("2025-11-02", 0, 0), ("2025-11-03", 2, 2), ("2025-11-04", 0, 0),
    ]  # fmt: skip
    assert len((await stats(client, "site_id=demo-site&from=2024-12-01&to=2025-12-01"))["days"]) == 366


async def test_limit_and_tie_break_of_paths(client: Any) -> None:
    await post(client, [{**EVENT, "path": f"/{name}"} for name in "lkjihgfedcba"])
    assert [row["path"] for row in (await stats(client))["top_paths"]] == [f"/{name}" for name in "abcdefghij"]
    found = await stats(client, "site_id=demo-site&date=2025-11-14&limit=12")
    assert len(found["top_paths"]) == 12


async def test_unchanged_report_is_304(client: Any) -> None:
    await post(client, EVENT)
    first = await client.get("/stats?site_id=demo-site&date=2025-11-14")
    tag = {"If-None-Match": f'"other", {first.headers["ETag"]}'}
    assert (await client.get("/stats?site_id=demo-site&date=2025-11-14", headers=tag)).status == 304
    await post(client, EVENT)
    assert (await client.get("/stats?site_id=demo-site&date=2025-11-14", headers=tag)).status == 200


async def test_pages_of_any_origin_may_post_without_credentials(client: Any) -> None:
    response = await client.post("/event", data=json.dumps(EVENT), headers={"Origin": "https://shop.example"})
    assert response.status == 202
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers
    preflight = await client.options("/event", headers={"Origin": "https://x", "Access-Control-Request-Method": "POST"})
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    read = await client.get("/stats?site_id=a", headers={"Origin": "https://shop.example"})
    assert "Access-Control-Allow-Origin" not in read.headers


async def test_overview_lists_the_sites_of_today(client: Any) -> None:
    now = datetime.now(UTC).isoformat()
    await post(client, [{**EVENT, "timestamp": now, "site_id": site} for site in ("b", "a", "b")])
    overview = await (await client.get("/pageviews")).json()
    assert (overview["totalViews"], overview["totalUsers"], overview["siteCount"]) == (3, 2, 2)
    assert overview["sites"] == [{"site_id": "b", "views": 2, "users": 1}, {"site_id": "a", "views": 1, "users": 1}]


@pytest.mark.parametrize("years", [-30, -1, 5])
async def test_clock_of_the_sender_is_corrected_by_what_it_is_off(client: Any, pool: Any, years: int) -> None:
    """`sent_at` says what the sender's clock says now; the event was ten minutes ago."""
    wrong = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + years * timedelta(days=365)
    for clock in (wrong.isoformat(), f"{wrong.isoformat()}Z"):
        event = {**EVENT, "timestamp": f"{(wrong - timedelta(minutes=10)).isoformat()}Z", "sent_at": clock}
        await post(client, event)
        await post(client, [event])
    times = await pool.fetch("select now() - timestamp as age from page_events")
    assert len(times) == 4
    assert all(timedelta(minutes=9) < row["age"] < timedelta(minutes=12) for row in times)


async def test_clock_that_is_right_keeps_the_time_as_sent_and_a_repeat_counts_once(client: Any, pool: Any) -> None:
    for clock in (datetime.now(UTC), datetime.now(UTC) + timedelta(seconds=3)):
        event = {**EVENT, "event_id": "1", "sent_at": clock.isoformat()}
        await post(client, event)
    assert [row["timestamp"] for row in await pool.fetch("select timestamp from page_events")] == [
        datetime(2025, 11, 14, 10, 30, tzinfo=UTC)
    ]


@pytest.mark.parametrize(
    "sent_at",
    ["soon", 7, "2025-02-30T00:00:00Z", "2025-11-14T10:30:00+15:00", "0001-01-01T00:00:00Z", "2100-01-01T00:00:00Z"],
)
async def test_clock_that_is_no_instant_is_refused(client: Any, sent_at: object) -> None:
    for event in ({**EVENT, "sent_at": sent_at}, {**EVENT, "sent_at": sent_at, "user_id": "é"}):
        for body in (event, [event]):
            answer = await post(client, body, status=400)
            assert answer["details"] == ["sent_at must be a valid ISO 8601 date string"]


async def test_types_that_look_the_same_are_the_same(client: Any) -> None:
    """A view whose type has an invisible character is none: it would be missing in the totals."""
    for event in ({**EVENT, "event_type": "page_view\u200b"}, {**EVENT, "event_type": "\u2060page_view"}):
        (fault,) = (await post(client, event, status=400))["details"]
        assert fault.startswith("event_type must be ")


@pytest.mark.parametrize("sent_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00"])
async def test_clock_at_an_end_of_time_is_no_defect(client: Any, sent_at: str) -> None:
    for timestamp in ("2025-11-14T10:30:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        response = await client.post("/event", json={**EVENT, "timestamp": timestamp, "sent_at": sent_at})
        assert response.status in (202, 400)


def test_tracker_is_small() -> None:
    assert len(gzip.compress((ROOT / "static/t.js").read_bytes())) <= 1500


async def test_tracker_is_served_to_pages_of_any_origin(client: Any) -> None:
    response = await client.get("/t.js")
    assert response.content_type in ("text/javascript", "application/javascript")
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_reports_equal_a_recount_of_the_raw_rows(client: Any, pool: Any) -> None:
    rng = random.Random(4)
    events = [pageviews.sample.sample(rng) for _ in range(600)]
    writer = client.app[WRITERS]["pageviews"]
    await writer.store([pageviews.event.row(event, ids.new_id()) for event in events])
    views: Counter[tuple[str, date]] = Counter()
    users: defaultdict[tuple[str, date], set[str]] = defaultdict(set)
    paths: defaultdict[tuple[str, date], Counter[str]] = defaultdict(Counter)
    for event in events:
        key = (event.site_id, event.timestamp.date())
        if event.user_id:
            users[key].add(event.user_id)
        if event.event_type == pageviews.event.VIEW:
            views[key] += 1
            paths[key][event.path] += 1
    for site, day in {*views, *users}:
        found = await stats(client, f"site_id={site}&date={day}")
        assert (found["total_views"], found["unique_users"]) == (views[site, day], len(users[site, day]))
        top = sorted(paths[site, day].items(), key=lambda row: (-row[1], row[0]))[:10]
        assert [(row["path"], row["views"]) for row in found["top_paths"]] == top


async def prune(pool: Any, days: int) -> int:
    counts = await retention.prune(pool, "pageviews", retention.first_day(days))
    return counts["page_events"]


async def test_retention_deletes_raw_rows_and_keeps_totals(client: Any, pool: Any) -> None:
    """Also through a rebuild, which leaves days alone whose rows are gone."""
    await post(client, [{**EVENT, "path": f"/{number}"} for number in range(50)])
    day = date.today() - timedelta(days=3)
    await post(client, {**EVENT, "timestamp": f"{day}T00:00:00Z"})
    await pool.execute("update page_events set created_at = now() - interval '8 days' where path <> '/home'")
    assert await prune(pool, 7) == 50
    assert await prune(pool, 7) == 0
    before = [await stats(client), await stats(client, f"site_id=demo-site&date={day}")]
    assert [found["total_views"] for found in before] == [50, 1]
    assert await aggregate.rebuild(pool, "pageviews") == 1
    assert before == [await stats(client), await stats(client, f"site_id=demo-site&date={day}")]


def test_samples_pass_the_checks_clients_face() -> None:
    rng = random.Random(2)
    events = [pageviews.sample.sample(rng) for _ in range(5_000)]
    assert not [event for event in events if pageviews.event.check(event)]
    assert {event.site_id for event in events} == set(pageviews.sample.SITES)
    assert all(date.today() - timedelta(days=33) < event.timestamp.date() for event in events)
    assert UUID(int=0) in pageviews.event.row(events[0], UUID(int=0))
