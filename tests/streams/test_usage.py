"""Usage: clicks are stored in the documented words, and the charts hold exactly what was clicked."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outside import Outside
from waiting import until

from statsd.commands import seed
from statsd.database.pool import POOL
from statsd.ingest import aggregate
from statsd.streams import usage
from statsd.streams.usage import features

Start = Callable[..., Awaitable[Any]]
Person = Callable[..., Awaitable[dict[str, str]]]
Click = tuple[datetime, str, int | None, str | None]


@pytest.fixture
def person(client: Any) -> Person:
    """Registers somebody and returns the header that says who they are."""

    async def register(name: str = "Anna", age: int = 34, gender: str = "Female") -> dict[str, str]:
        sent = {"username": name, "password": "correct horse", "age": age, "gender": gender}
        answer = await (await client.post("/register", json=sent)).json()
        client.session.cookie_jar.clear()
        return {"Authorization": f"Bearer {answer['token']}"}

    return register


async def track(client: Any, who: dict[str, str], body: object, status: int = 201, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.post("/track", json=body, headers={**who, **named})
    answer = await response.json()
    assert response.status == status, answer
    return answer


async def analytics(client: Any, who: dict[str, str], **asked: Any) -> dict[str, Any]:
    response = await client.get("/analytics", params=asked, headers=who)
    assert response.status == 200, await response.text()
    return await response.json()


def bars(answer: dict[str, Any]) -> list[tuple[str, int]]:
    return [(bar["feature"], bar["count"]) for bar in answer["barChartData"]]


def line(answer: dict[str, Any]) -> list[tuple[str, int]]:
    return [(point["date"], point["count"]) for point in answer["lineChartData"]]


async def test_click_is_answered_with_its_row_and_is_in_the_charts_at_once(
    client: Any, person: Person, pool: Any
) -> None:
    who = await person()
    row = await track(client, who, {"feature_name": "date_filter"})
    assert row.keys() == {"id", "userId", "featureName", "timestamp"}
    stored = await pool.fetchrow('select id, user_id, feature_name, "timestamp", age, gender from feature_clicks')
    when = datetime.fromisoformat(row["timestamp"])
    assert row["timestamp"].endswith("Z")
    assert tuple(stored) == (UUID(row["id"]), row["userId"], "date_filter", when, 34, "Female")
    answer = await analytics(client, who, feature="date_filter")
    assert answer == {
        "barChartData": [{"feature": "date_filter", "count": 1}],
        "lineChartData": [{"date": str(when.date()), "count": 1}],
    }


async def test_every_click_of_many_at_once_is_in_the_chart_that_is_asked_for_next(client: Any, person: Person) -> None:
    who = await person()

    async def click_and_look(number: int) -> None:
        await track(client, who, {"feature_name": f"f{number}"})
        assert (f"f{number}", 1) in bars(await analytics(client, who))

    await asyncio.gather(*(click_and_look(number) for number in range(30)))


REQUIRED = "feature_name is required"
TOO_LONG = "feature_name must be a string of 1 to 64 printable characters"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, REQUIRED),
        ({"feature_name": ""}, REQUIRED),
        ({"feature_name": "  "}, REQUIRED),
        ({"feature_name": None}, REQUIRED),
        ({"feature_name": 5}, REQUIRED),
        ({"feature_name": ["a"]}, REQUIRED),
        ({"feature_name": {"a": 1}}, REQUIRED),
        ({"feature_name": "a" * 65}, TOO_LONG),
        ({"feature_name": "a\0"}, TOO_LONG),
        ({"feature_name": "a\u2028b"}, TOO_LONG),
        ({"feature_name": "a", "event_id": ""}, "event_id must be a string of 1 to 255 characters if provided"),
        (5, "an event must be a JSON object"),
        ([], "the batch must hold at least one event"),
    ],
)
async def test_what_is_no_click_is_refused(client: Any, person: Person, body: object, error: str) -> None:
    assert await track(client, await person(), body, 400) == {"error": error}


async def test_number_of_features_is_limited(
    client: Any, person: Person, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "MOST", 2)
    who = await person()
    await track(client, who, {"feature_name": "a"})
    many = [{"feature_name": "b"}, {"feature_name": "a"}]
    assert all("id" in one for one in await track(client, who, many))
    response = await client.post("/track", json={"feature_name": "c"}, headers=who)
    assert (response.status, await response.json()) == (400, {"error": features.FULL})
    response = await client.post("/track", json=[{"feature_name": "c"}, {"feature_name": "b"}], headers=who)
    assert (response.status, [one.get("error") for one in await response.json()]) == (201, [features.FULL, None])
    assert await pool.fetchval("select sum(clicks)::int from usage_features") == 4


@pytest.mark.parametrize("name", ["All", "\u200b", "\u202eabc", "\u200d", "a\ufeff"])
async def test_name_that_means_all_or_cannot_be_seen_is_400(client: Any, person: Person, name: str) -> None:
    response = await client.post("/track", json={"feature_name": name}, headers=await person())
    assert response.status == 400
    assert (await response.json())["error"].startswith("feature_name must ")


async def test_batch_of_keys_that_were_used_for_something_else_is_422(client: Any, person: Person) -> None:
    who = await person()
    await track(client, who, {"feature_name": "a", "event_id": "k"})
    response = await client.post("/track", json=[{"feature_name": "b", "event_id": "k"}], headers=who)
    assert response.status == 422


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"feature_name": "\\ud800"}', b""])
async def test_body_that_is_no_json_is_400(client: Any, person: Person, body: bytes) -> None:
    headers = {**await person(), "Content-Type": "application/json"}
    response = await client.post("/track", data=body, headers=headers)
    assert (response.status, await response.json()) == (400, {"error": "the body must be valid JSON in UTF-8"})


@pytest.mark.parametrize(
    "name",
    [
        "__proto__",
        "constructor",
        "<img onerror=x>",
        "\U0001f600" * 64,
        " a ",
        "';--",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    ],
)
async def test_any_name_that_can_be_shown_counts_as_it_was_sent(client: Any, person: Person, name: str) -> None:
    who = await person()
    assert (await track(client, who, {"feature_name": name}))["featureName"] == name
    assert bars(await analytics(client, who)) == [(name, 1)]


async def test_who_and_when_are_not_the_clients_to_say(client: Any, person: Person) -> None:
    who = await person()
    mine = (await track(client, who, {"featureName": "a"}))["userId"]
    lie = {"feature_name": "a", "user_id": 99, "userId": 99, "timestamp": "1999-01-01T00:00:00Z", "age": 5}
    row = await track(client, who, lie)
    assert row["userId"] == mine
    assert datetime.now(UTC) - datetime.fromisoformat(row["timestamp"]) < timedelta(minutes=1)


async def test_array_is_answered_with_an_array_and_the_good_are_stored(client: Any, person: Person) -> None:
    who = await person()
    answer = await track(client, who, [{"feature_name": "a"}, {}, {"feature_name": "b"}, {"feature_name": "a"}])
    assert [one.get("featureName", one.get("error")) for one in answer] == ["a", REQUIRED, "b", "a"]
    assert bars(await analytics(client, who)) == [("a", 2), ("b", 1)]
    refused = await track(client, who, [{}, 5], 400)
    assert [one["error"] for one in refused["rejected"]] == [REQUIRED, "an event must be a JSON object"]


async def test_lines_are_a_batch(client: Any, person: Person) -> None:
    headers = {**await person(), "Content-Type": "application/x-ndjson"}
    response = await client.post("/track", data=b'{"feature_name":"a"}\n{"feature_name":"b"}\n', headers=headers)
    assert (response.status, len(await response.json())) == (201, 2)


async def test_same_key_counts_once_and_belongs_to_its_user(client: Any, person: Person) -> None:
    anna, bert = await person(), await person("Bert")
    body = {"feature_name": "a"}
    first = await track(client, anna, body, Idempotency_Key="k")
    assert await track(client, anna, body, 200, Idempotency_Key="k") == first
    assert "another event" in (await track(client, anna, {"feature_name": "b"}, 422, Idempotency_Key="k"))["error"]
    assert (await track(client, bert, body, Idempotency_Key="k"))["id"] != first["id"]
    assert await track(client, anna, [{**body, "event_id": "k"}, {**body, "event_id": "l"}]) != []
    assert bars(await analytics(client, anna)) == [("a", 3)]
    reused = await track(client, anna, [{"feature_name": "b", "event_id": "l"}, body])
    assert "another event" in reused[0]["error"]
    assert "a single click" in (await track(client, anna, [body], 400, Idempotency_Key="k"))["error"]
    await track(client, anna, body, 400, Idempotency_Key="k" * 256)


@pytest.mark.parametrize("frozen", [False, True], ids=["stopped", "frozen"])
async def test_click_is_accepted_while_the_database_is_away_from_those_who_are_known(
    start: Start, outside: Outside, frozen: bool
) -> None:
    """Anna was here before; whether Bert's token still counts, only the database could tell."""
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn)
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    answers = [await (await client.post("/register", json={**sent, "username": name})).json() for name in ("A", "B")]
    anna, bert = ({"Authorization": f"Bearer {answer['token']}"} for answer in answers)
    client.session.cookie_jar.clear()
    await track(client, anna, {"feature_name": "a"})
    outside.signal(signal.SIGSTOP) if frozen else outside.stop()
    row = await track(client, anna, {"feature_name": "b"}, 202)
    assert (row["userId"], row["featureName"]) == (answers[0]["user"]["id"], "b")
    if not frozen:  # it takes its time until a reader gives up on a database that neither answers nor ends
        await track(client, bert, {"feature_name": "c"}, 503)
        assert (await client.get("/analytics", headers=anna)).status == 503
    outside.signal(signal.SIGCONT) if frozen else outside.start()
    await (await outside.ready()).close()

    async def counted() -> bool:
        response = await client.get("/analytics", headers=anna)
        return response.status == 200 and bars(await response.json()) == [("a", 1), ("b", 1)]

    await until(counted)


WRONG = [
    ({"startDate": "2025-02-30"}, "startDate must be in YYYY-MM-DD format"),
    ({"endDate": "20250101"}, "endDate must be in YYYY-MM-DD format"),
    ({"startDate": "tomorrow"}, "startDate must be"),
    ({"startDate": "2025-01-01\n"}, "startDate must be"),
    ({"startDate": "1969-12-31"}, "startDate must be a day from 1970 to 2099"),
    ({"startDate": "2025-01-02", "endDate": "2025-01-01"}, "startDate must not be after endDate"),
    ({"ageGroup": "18"}, "ageGroup must be one of <18, 18-40, >40, All"),
    ({"ageGroup": "all"}, "ageGroup must be"),
    ({"gender": "male"}, "gender must be one of Male, Female, Other, All"),
    ({"gender": "unknown"}, "gender must be"),
    ({"feature": "a" * 65}, "feature must be"),
    ({"feature": "a\0"}, "feature must be"),
    ({"tz": "Mars/Olympus"}, "tz must be the name of a time zone"),
    ({"tz": "EST5EDT4"}, "tz must be"),
    ({"tz": "posix/UTC"}, "tz must be"),
    ({"tz": "europe/tallinn"}, "tz must be"),
    ({"tz": "a\0"}, "tz must be"),
]


async def test_wrong_questions_are_400_and_say_what_would_be_right(client: Any, person: Person) -> None:
    who = await person()
    for asked, says in WRONG:
        response = await client.get("/analytics", params=asked, headers=who)
        assert response.status == 400, asked
        assert says in (await response.json())["error"]
    twice = await client.get("/analytics?gender=Male&gender=Female", headers=who)
    assert (twice.status, "given once" in await twice.text()) == (400, True)


async def test_all_is_no_filter(client: Any, person: Person) -> None:
    who = await person()
    await track(client, who, {"feature_name": "a"})
    everything = {"barChartData": [{"feature": "a", "count": 1}], "lineChartData": []}
    assert await analytics(client, who) == everything
    assert await analytics(client, who, gender="All", ageGroup="All", feature="All") == everything
    assert await analytics(client, who, feature="never_clicked") == everything


async def test_feature_chooses_the_line_and_leaves_the_bars_alone(client: Any, person: Person) -> None:
    who = await person()
    await track(client, who, [{"feature_name": "a"}, {"feature_name": "b"}, {"feature_name": "b"}])
    answer = await analytics(client, who, feature="a")
    assert bars(answer) == [("b", 2), ("a", 1)]
    assert line(answer) == [(str(datetime.now(UTC).date()), 1)]


@pytest.mark.parametrize(
    ("age", "group"), [(0, "<18"), (17, "<18"), (18, "18-40"), (40, "18-40"), (41, ">40"), (150, ">40")]
)
async def test_age_groups_meet_at_18_and_40(client: Any, person: Person, age: int, group: str) -> None:
    who = await person(age=age)
    await track(client, who, {"feature_name": "a"})
    found = {one for one in usage.read.AGE_GROUPS if bars(await analytics(client, who, ageGroup=one))}
    assert found == {group}


async def test_click_counts_under_who_the_person_was(client: Any, person: Person, pool: Any) -> None:
    """Also when the account is gone, and after a rebuild."""
    anna, bert = await person(), await person("Bert", 50, "Male")
    await track(client, anna, {"feature_name": "a"})
    await pool.execute("delete from users where username = 'Anna'")
    await pool.execute("update users set age = 10")
    await aggregate.rebuild(pool, "usage")
    assert bars(await analytics(client, bert, gender="Female", ageGroup="18-40")) == [("a", 1)]


async def test_row_of_another_program_counts_under_its_user_at_the_next_sweep(
    client: Any, person: Person, pool: Any
) -> None:
    who = await person()
    id = await pool.fetchval("select id from users")
    query = "insert into feature_clicks (user_id, feature_name) values ($1, 'a'), (999999, 'b')"
    await pool.execute(query, id)
    assert bars(await analytics(client, who)) == []
    assert await aggregate.sweep(pool, "usage") == 2
    assert sorted(bars(await analytics(client, who))) == [("a", 1), ("b", 1)]
    assert bars(await analytics(client, who, gender="Female", ageGroup="18-40")) == [("a", 1)]


async def test_ties_stand_in_the_order_of_the_first_click(client: Any, person: Person, pool: Any) -> None:
    who = await person()
    start = datetime(2025, 11, 14, 10, 0, tzinfo=UTC)
    for minutes, name in enumerate(["z", "a", "m", "a", "m", "z", "b"]):
        await insert(pool, [(start + timedelta(minutes=7 * minutes), name, 30, "Male")])
    assert bars(await analytics(client, who)) == [("z", 2), ("a", 2), ("m", 2), ("b", 1)]
    assert bars(await analytics(client, who, tz="Asia/Tokyo", startDate="2025-11-14", endDate="2025-11-14")) == [
        ("z", 2), ("a", 2), ("m", 2), ("b", 1),
    ]  # fmt: skip


async def insert(pool: Any, clicks: list[Click]) -> None:
    """Store clicks as another program would, and fold them."""
    query = 'insert into feature_clicks ("timestamp", feature_name, age, gender) values ($1, $2, $3, $4)'
    await pool.executemany(query, clicks)
    await aggregate.sweep(pool, "usage")


@pytest.mark.parametrize(
    ("zone", "instant", "day"),
    [
        ("Asia/Kathmandu", "2025-11-14T18:14:59+00:00", "2025-11-14"),  # +05:45
        ("Asia/Kathmandu", "2025-11-14T18:15:00+00:00", "2025-11-15"),
        ("Pacific/Chatham", "2025-11-14T10:15:00+00:00", "2025-11-15"),  # +13:45
        ("Pacific/Kiritimati", "2025-11-14T10:00:00+00:00", "2025-11-15"),  # +14
        ("Pacific/Pago_Pago", "2025-11-14T10:59:59+00:00", "2025-11-13"),  # -11
        ("America/Havana", "2025-11-02T04:00:00+00:00", "2025-11-02"),  # midnight comes twice that night
        ("America/Havana", "2025-11-02T05:30:00+00:00", "2025-11-02"),
        ("Africa/Cairo", "2025-04-24T22:00:00+00:00", "2025-04-25"),  # and here not at all
        ("Etc/UTC", "2025-11-14T23:59:59+00:00", "2025-11-14"),
    ],
)
async def test_zone_says_whose_day_it_is(client: Any, person: Person, zone: str, instant: str, day: str) -> None:
    who = await person()
    await insert(client.app[POOL], [(datetime.fromisoformat(instant), "a", 30, "Male")])
    assert line(await analytics(client, who, feature="a", tz=zone)) == [(day, 1)]
    inside = await analytics(client, who, feature="a", tz=zone, startDate=day, endDate=day)
    assert (bars(inside), line(inside)) == ([("a", 1)], [(day, 1)])
    for other in (date.fromisoformat(day) - timedelta(days=1), date.fromisoformat(day) + timedelta(days=1)):
        beside = await analytics(client, who, feature="a", tz=zone, startDate=str(other), endDate=str(other))
        assert beside == {"barChartData": [], "lineChartData": []}


ZONES = [
    "UTC", "Europe/Tallinn", "America/New_York", "Asia/Kathmandu", "Pacific/Chatham", "Pacific/Kiritimati",
    "Pacific/Pago_Pago", "Australia/Lord_Howe", "America/Havana", "America/St_Johns", "Africa/Cairo", "Asia/Tehran",
]  # fmt: skip
# Few moments and days, close together and around changes of the clock, so that edges are met all the time.
AROUND = [datetime(2025, 3, 29, tzinfo=UTC), datetime(2025, 4, 24, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC)]
MOMENTS = st.builds(
    lambda start, quarters, seconds: start + timedelta(minutes=15 * quarters, seconds=seconds),
    st.sampled_from(AROUND), st.integers(0, 4 * 96), st.integers(0, 899),
)  # fmt: skip
CLICKS = st.lists(
    st.tuples(
        MOMENTS,
        st.sampled_from(["a", "b", "__proto__"]),
        st.sampled_from([0, 17, 18, 40, 41, None]),
        st.sampled_from(["Male", "Female", "Other", None]),
    ),
    max_size=40,
)
DAYS = st.none() | st.builds(
    lambda start, days: start.date() + timedelta(days=days), st.sampled_from(AROUND), st.integers(-1, 5)
)
QUESTIONS = st.lists(
    st.fixed_dictionaries({
        "span": st.tuples(DAYS, DAYS),
        "ageGroup": st.sampled_from(["All", *usage.read.AGE_GROUPS]),
        "gender": st.sampled_from(["All", "Male", "Female", "Other"]),
        "feature": st.sampled_from(["All", "a", "b", "__proto__"]),
        "tz": st.sampled_from(ZONES),
    }),
    min_size=4, max_size=4,
)  # fmt: skip
GROUP_HAS: dict[str, Callable[[int | None], bool]] = {
    "All": lambda age: True,
    "<18": lambda age: age is not None and age < 18,
    "18-40": lambda age: age is not None and 18 <= age <= 40,
    ">40": lambda age: age is not None and age > 40,
}


def counted(clicks: list[Click], asked: dict[str, Any]) -> dict[str, Any]:
    """What the charts must hold, by looking at every click."""
    first, last = asked["span"]
    matching = []
    for when, feature, age, gender in sorted(clicks, key=lambda click: click[:2]):
        day = when.astimezone(ZoneInfo(asked["tz"])).date()
        in_span = (first is None or first <= day) and (last is None or day <= last)
        if in_span and GROUP_HAS[asked["ageGroup"]](age) and asked["gender"] in ("All", gender):
            matching.append((day, feature))
    features = Counter(feature for _, feature in matching)  # in the order of the first click, and sorted() is stable
    days = Counter(day for day, feature in matching if feature == asked["feature"])
    return {
        "barChartData": [{"feature": name, "count": n} for name, n in sorted(features.items(), key=lambda f: -f[1])],
        "lineChartData": [{"date": str(day), "count": n} for day, n in sorted(days.items())],
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clicks=CLICKS, questions=QUESTIONS)
async def test_any_filter_in_any_zone_equals_a_direct_count(
    client: Any, pool: Any, clicks: list[Click], questions: list[dict[str, Any]]
) -> None:
    await pool.execute("truncate feature_clicks, usage_bins, usage_days, usage_features, users, login_throttles")
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    await client.post("/register", json=sent)  # the cookie says who asks
    await insert(pool, clicks)
    for asked in questions:
        first, last = asked["span"]
        if first is not None and last is not None and first > last:
            continue
        days = {"startDate": first and str(first), "endDate": last and str(last)}
        filters = {name: value for name, value in asked.items() if name != "span"}
        params = {name: value for name, value in (days | filters).items() if value is not None}
        assert await analytics(client, {}, **params) == counted(clicks, asked), params


async def test_overview_is_the_payload_of_the_topic_and_names_nobody(client: Any, person: Person) -> None:
    who = await person()
    async with client.ws_connect("/ws") as ws:  # open to all, without a token
        await ws.send_json({"type": "subscribe", "topics": ["usage"]})
        assert (await ws.receive_json())["topics"] == ["usage"]
        await ws.receive_json()
        await track(client, who, [{"feature_name": "b"}, {"feature_name": "a"}, {"feature_name": "a"}])
        pushed = (await ws.receive_json())["payload"]
    overview = await (await client.get("/usage")).json()
    expected = {"totalClicks": 3, "featureCount": 2, "today": {"date": str(datetime.now(UTC).date()), "totalClicks": 3}}
    for found in (pushed, overview):
        assert {name: value for name, value in found.items() if name != "generatedAt"} == expected
    assert "Anna" not in json.dumps(pushed)


@pytest.mark.parametrize("path", ["/login", "/register", "/dashboard"])
async def test_page_is_served_where_its_views_are(client: Any, path: str) -> None:
    response = await client.get(path)
    assert (response.status, response.content_type) == (200, "text/html")


async def test_documented_call_answers_over_the_sample_clicks(client: Any, pool: Any) -> None:
    for clicks in (100, 0):
        await seed.store(pool, "usage")
        assert await aggregate.sweep(pool, "usage") == clicks
    response = await client.post("/login", json={"username": "user1", "password": "password123"})
    user = (await response.json())["user"]
    assert (user["age"], user["gender"]) == (16, "Male")
    everything = await analytics(client, {})
    assert sum(count for _, count in bars(everything)) == 100
    assert {name for name, _ in bars(everything)} <= set(usage.sample.FEATURES)
    asked = {"startDate": "2025-01-01", "endDate": "2026-01-01", "ageGroup": "18-40", "gender": "Male"}
    assert (await analytics(client, {}, **asked, feature="date_filter")).keys() == {"barChartData", "lineChartData"}


def test_samples_are_clicks_of_the_ten_people() -> None:
    rng = random.Random(2)
    clicks = [usage.sample.sample(rng) for _ in range(2_000)]
    assert {(click.age, click.gender) for click in clicks} == {(age, gender) for _, age, gender in usage.sample.PEOPLE}
    assert {click.feature_name for click in clicks} == set(usage.sample.FEATURES)
    assert {click.user_id for click in clicks} == {None}
