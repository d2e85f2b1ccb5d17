"""Items and transfers: what is stored, who owns what, and statistics that equal a recount."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from items import ADA, BIKE, BRICKS, GRACE, ITEM, NOBODY, get, post, put
from outside import Outside
from program import Program
from waiting import PATIENCE_SECONDS, until

from statsd.database import migrations, sql
from statsd.database import pool as database
from statsd.database.pool import open_pool
from statsd.ingest import aggregate, generator, ids
from statsd.ingest.outage import OUTAGE
from statsd.ingest.writer import WRITERS
from statsd.live.topics import HUB
from statsd.streams import transfers
from statsd.streams.transfers.event import item_row
from statsd.streams.transfers.sample import FIXTURE_ITEMS, sample_item
from statsd.streams.transfers.series import UNITS

Start = Callable[..., Awaitable[Any]]


@pytest.fixture
async def pool(pool: Any) -> Any:
    """The database of the test, with the well-known rows."""
    await pool.execute(sql.load("transfers")["seed"])
    return pool


async def test_new_item_is_answered_with_its_row(client: Any, pool: Any) -> None:
    row = await post(client, "/items", {"base_item_id": BIKE}, 201)
    assert set(row) == {"id", "base_item_id", "created_at"}
    assert row["base_item_id"] == BIKE
    stored = await pool.fetchrow("select * from items where id = $1", UUID(row["id"]))
    assert stored["folded"] and stored["owner_id"] is None
    found = await get(client, f"/items/{row['id']}")
    assert {name: found[name] for name in row} == row
    assert (found["description"], found["owner_id"], found["history"]) == ("a bike", None, [])


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "base_item_id is required and must be a UUID"),
        ({"base_item_id": None}, "base_item_id is required and must be a UUID"),
        ({"base_item_id": 5}, "base_item_id must be a UUID"),
        ({"base_item_id": "bike"}, "base_item_id must be a UUID"),
        ({"base_item_id": BIKE, "extra": 1}, "unknown field; allowed: base_item_id"),
        ([{"base_item_id": BIKE}], "the body must be one JSON object"),
        ([], "the body must be one JSON object"),
        ("x", "an event must be a JSON object"),
        (5, "an event must be a JSON object"),
    ],
)
async def test_body_that_is_wrong_is_400_and_says_why(client: Any, pool: Any, body: object, detail: str) -> None:
    answer = await post(client, "/items", body, 400)
    assert answer["error"] == "Invalid payload"
    assert answer["details"][0].startswith(detail)


@pytest.mark.parametrize(
    ("item", "body", "status"),
    [
        ("nope", {"to": ADA}, 400),
        ("%00", {"to": ADA}, 400),
        ("'; drop table items; --", {"to": ADA}, 400),
        (ITEM.replace("-", ""), {"to": ADA}, 400),
        ("{" + ITEM + "}", {"to": ADA}, 400),
        (ITEM, {}, 400),
        (ITEM, {"to": "ada"}, 400),
        (ITEM, {"to": ADA, "from": GRACE}, 400),
        (ITEM, [{"to": ADA}], 400),
        (NOBODY, {"to": ADA}, 404),
        (NOBODY, {"to": NOBODY}, 404),
        (ITEM, {"to": NOBODY}, 422),
        (ITEM.upper(), {"to": ADA.upper()}, 204),
    ],
)
async def test_transfer_says_what_is_wrong_with_it(
    client: Any, pool: Any, item: str, body: object, status: int
) -> None:
    async with client.put(f"/items/{item}/ownership", json=body) as response:
        assert response.status == status
        if status != 204:
            answer = await response.json()
            assert answer["error"] and len(answer["details"]) == 1
    assert await pool.fetchval("select count(*) from transfers") == (status == 204)


async def test_unknown_references_are_422_and_unknown_items_404(client: Any, pool: Any) -> None:
    answer = await post(client, "/items", {"base_item_id": NOBODY}, 422)
    assert answer["details"] == ["base_item_id: must be the id of a base item"]
    await get(client, f"/items/{NOBODY}", 404)
    await get(client, "/items/nope", 400)


async def test_pages_of_any_origin_may_use_all_of_it_without_credentials(client: Any, pool: Any) -> None:
    origin = {"Origin": "https://any.example"}
    ask = {**origin, "Access-Control-Request-Headers": "content-type,idempotency-key"}
    for path in sorted({route.path for route in transfers.ROUTES if not route.path.startswith("/statistics/")}):
        filled = path.replace("{item:[^/]+}", ITEM)
        preflight = await client.options(filled, headers=ask)
        assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, "*"), path
        assert "Access-Control-Allow-Credentials" not in preflight.headers
        assert preflight.headers["Access-Control-Allow-Headers"] == "content-type,idempotency-key"
    preflight = await client.options(f"/items/{ITEM}/ownership", headers=ask)
    assert preflight.headers["Access-Control-Allow-Methods"] == "PUT"
    for item, status in [(ITEM, 204), (ITEM, 409), ("nope", 400), (NOBODY, 404)]:  # errors are for pages to read, too
        async with client.put(f"/items/{item}/ownership", json={"to": ADA}, headers=origin) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, "*")
    for path in ("/logins/stats", f"/items/{ITEM}/ownership/more", "/jobs/1", "/itemsx"):
        assert "Access-Control-Allow-Origin" not in (await client.get(path, headers=origin)).headers, path


async def test_repeat_under_a_key_answers_as_before_and_stores_nothing(client: Any, pool: Any) -> None:
    first = await post(client, "/items", {"base_item_id": BIKE}, 201, Idempotency_Key="k")
    assert await post(client, "/items", {"base_item_id": BIKE}, 200, Idempotency_Key="k") == first
    await post(client, "/items", {"base_item_id": BRICKS}, 422, Idempotency_Key="k")
    await put(client, ITEM, ADA, 204, Idempotency_Key="k")
    await put(client, ITEM, GRACE, 204)
    await put(client, ITEM, ADA, 204, Idempotency_Key="k")
    await put(client, ITEM, GRACE, 422, Idempotency_Key="k")
    assert (await get(client, f"/items/{ITEM}"))["owner_id"] == GRACE
    assert await pool.fetchval("select count(*) from transfers") == 2
    await put(client, ITEM, GRACE, 409, Idempotency_Key="refused")
    await put(client, ITEM, ADA, 204)
    await put(client, ITEM, GRACE, 204, Idempotency_Key="refused")  # nothing was stored under it, nothing is repeated
    owner = await post(client, "/owners", {"name": "Mary"}, 201, Idempotency_Key="k")
    assert await post(client, "/owners", {"name": "Mary"}, 200, Idempotency_Key="k") == owner
    await post(client, "/owners", {"name": "Ann"}, 422, Idempotency_Key="k")


async def test_owners_and_base_items_can_be_added_and_listed(client: Any, pool: Any) -> None:
    base = await post(client, "/base-items", {"description": "a canoe"}, 201)
    owner = await post(client, "/owners", {"name": "Mary"}, 201)
    nameless = await post(client, "/owners", {}, 201)
    item = await post(client, "/items", {"base_item_id": base["id"]}, 201)
    await put(client, item["id"], owner["id"], 204)
    assert (await get(client, "/base-items?limit=1"))["base_items"] == [base]
    assert (await get(client, "/owners?limit=2"))["owners"] == [nameless, owner]
    (listed,) = (await get(client, "/items?limit=1"))["items"]
    assert (listed["id"], listed["description"], listed["owner_name"]) == (item["id"], "a canoe", "Mary")
    for path, body in [
        ("/base-items", {}), ("/base-items", {"description": " "}), ("/base-items", {"description": "x" * 501}),
        ("/owners", {"name": "\0"}), ("/owners", {"name": 5}), ("/owners", {"nam": "x"}), ("/owners", []),
    ]:  # fmt: skip
        assert (await post(client, path, body, 400))["details"]


async def test_rows_with_dates_that_no_client_can_read_break_no_list(
    start: Start, pool: Any, database_url: str
) -> None:
    """Whoever stored them before the tables refused them can start the program, and sees them."""
    await pool.execute("delete from statsd_migrations where number = 9")
    for table, column in (("owners", "name"), ("base_items", "description")):
        await pool.execute(f"alter table {table} drop constraint created_between_1970_and_2100")
        for when in ("4713-01-01 BC", "-infinity", "infinity", "12000-01-01", "2100-01-01", "2020-02-02"):
            await pool.execute(f"insert into {table} ({column}, created_at) values ($1, '{when}'::timestamptz)", when)
    assert await migrations.migrate(database_url) == ["0009_possible_years"]
    client = await start()
    for path, column in (("owners", "name"), ("base-items", "description")):
        rows = {row[column]: row["created_at"] for row in (await get(client, f"/{path}"))[path.replace("-", "_")]}
        assert rows["4713-01-01 BC"] == rows["-infinity"] == "1970-01-01T00:00:00.000Z"
        assert rows["infinity"] == rows["12000-01-01"] == rows["2100-01-01"] == "2099-12-31T23:59:59.999Z"
        assert rows["2020-02-02"] == "2020-02-02T00:00:00.000Z"
        insert = f"insert into {path.replace('-', '_')} ({column}, created_at) values ('x', 'infinity')"
        with pytest.raises(asyncpg.CheckViolationError, match="created_between_1970_and_2100"):
            await pool.execute(insert)


async def test_pages_name_every_item_once_though_items_are_made_meanwhile(client: Any, pool: Any) -> None:
    for _ in range(23):
        await post(client, "/items", {"base_item_id": BIKE}, 201)
    # Many made at the same moment: the ids keep them apart.
    await pool.execute("insert into items (base_item_id) select $1 from generate_series(1, 20)", BIKE)
    seen, before = [], ""
    while before is not None:
        page = await get(client, f"/items?limit=7{before and f'&before={before}'}")
        seen += [item["id"] for item in page["items"]]
        before = page["next"]
        await post(client, "/items", {"base_item_id": BIKE}, 201)
    assert len(seen) == len(set(seen)) == 45


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "before=x", "before=" + NOBODY]
)
@pytest.mark.parametrize("path", ["/items", "/owners", "/base-items"])
async def test_pages_that_cannot_be_are_400(client: Any, pool: Any, path: str, query: str) -> None:
    answer = await get(client, f"{path}?{query}", 400)
    assert answer["details"] == [answer["error"]]


async def test_statistics_equal_a_recount_in_every_unit(client: Any, pool: Any) -> None:
    await generator.store_fixtures(pool, transfers.ITEMS)
    rng = random.Random(4)
    samples = [sample_item(rng) for _ in range(600)]
    old = datetime(2024, 12, 31, 23, 59, 59, 999_900, UTC)  # with a week that begins in the year before
    rows = [(ids.new_id(), UUID(BIKE), when) for when in (old, old + timedelta(milliseconds=1))]
    await client.app[WRITERS]["items"].store([*(item_row(one, ids.new_id()) for one in samples), *rows])
    await aggregate.sweep(pool, "items")
    topics = client.app[HUB].topics
    for unit in UNITS:
        told = json.loads((await topics[f"item-creation/{unit}"].snapshot()).payload)
        counted = await pool.fetch(
            """
            select date_trunc($1, created_at, 'UTC') as bin, count(*)
            from items
            where $1 not in ('millisecond', 'second')
                or created_at >= date_trunc('hour', now(), 'UTC') - ('1 ' || $2::text)::interval
            group by bin
            order by bin desc
            limit 1000
            """,
            unit, "hour" if unit == "millisecond" else "day",
        )  # fmt: skip
        iso = [row["bin"].isoformat(timespec="milliseconds").replace("+00:00", "Z") for row in counted]
        assert told == [{"time": time, "count": row["count"]} for time, row in zip(iso, counted, strict=True)], unit


async def test_bins_too_fine_to_keep_expire_and_others_stay(pool: Any) -> None:
    assert await aggregate.sweep(pool, "items") == 2  # both of the same moment
    units = 'select array_agg(unit order by unit collate "C") from bins'
    assert await pool.fetchval(units) == sorted(UNITS)
    assert await aggregate.expire(pool, "items") == 0
    await pool.execute("update bins set bin = bin - interval '26 hours'")
    assert await aggregate.expire(pool, "items") == 2
    assert await pool.fetchval(units) == sorted(set(UNITS) - {"millisecond", "second"})


async def test_other_programs_are_notified_of_every_row_with_its_id(client: Any, pool: Any, database_url: str) -> None:
    heard: list[tuple[str, str]] = []
    connection = await asyncpg.connect(database_url)
    for channel in ("item_creation", "transfer_update", "item_transfer"):
        await connection.add_listener(channel, lambda _c, _pid, channel, payload: heard.append((channel, payload)))
    await aggregate.sweep(pool, "items")
    await until(lambda: len(heard) == 2)  # the rows of `demo`, which another program inserted
    heard.clear()
    row = await post(client, "/items", {"base_item_id": BIKE}, 201)
    await put(client, row["id"], ADA, 204)
    await put(client, row["id"], ADA, 409)
    await until(lambda: len(heard) == 3)
    transfer = await pool.fetchval("select id from transfers")
    assert [(channel, json.loads(payload)) for channel, payload in heard] == [
        ("item_creation", {"id": row["id"]}),
        ("transfer_update", {"id": str(transfer)}),
        ("item_transfer", {"id": str(transfer)}),
    ]
    await connection.close()


async def test_page_hears_of_everything_through_its_socket(client: Any, pool: Any) -> None:
    async with client.ws_connect("/ws") as ws:
        names = ["transfers", "transfers/hour", "item-creation/hour"]
        await ws.send_json({"type": "subscribe", "topics": names})
        assert (await ws.receive_json())["topics"] == names
        item = await post(client, "/items", {"base_item_id": BIKE}, 201)
        await put(client, item["id"], GRACE, 204)
        await post(client, "/owners", {"name": "Mary"}, 201)
        last: dict[str, Any] = {}

        def complete() -> bool:
            overview = last.get("transfers", {"items": [], "owners": []})
            owned = any(one["id"] == item["id"] and one["owner_id"] == GRACE for one in overview["items"])
            named = any(owner["name"] == "Mary" for owner in overview["owners"])
            series = [last.get(f"{name}/hour") for name in ("transfers", "item-creation")]
            return owned and named and all(bins and bins[0]["count"] == 1 for bins in series)

        while not complete():
            frame = await ws.receive_json(timeout=PATIENCE_SECONDS)
            last[frame["topic"]] = frame["payload"]
    overview = await get(client, "/transfers")
    assert overview["transferCount"] == len(overview["transfers"]) == 1
    assert {**overview, "generatedAt": ""} == {**last["transfers"], "generatedAt": ""}


async def test_owners_are_counted_as_far_as_that_is_cheap(client: Any, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    for more, counted in ((148, 150), (9_850, 10_000), (1, None)):
        await pool.execute("insert into owners select from generate_series(1, $1::integer)", more)
        overview = await get(client, "/transfers")
        assert (len(overview["owners"]), overview["ownerCount"]) == (100, counted)


async def test_item_and_transfer_accepted_while_the_database_is_away_are_stored_in_order(
    run: Callable[..., Program], outside: Outside
) -> None:
    connection = await outside.ready()
    program = run("serve", "--port", "0", DATABASE_URL=outside.dsn)
    async with aiohttp.ClientSession(await program.address()) as session:
        await connection.execute(sql.load("transfers")["seed"])
        await connection.close()
        outside.stop()
        items = [await post(session, "/items", {"base_item_id": BIKE}, 202) for _ in range(3)]
        for item in items:
            assert set(item) == {"id", "base_item_id", "created_at"}
            await put(session, item["id"], ADA, 202)
            await put(session, item["id"], GRACE, 202)
        await get(session, "/items", 503)
        async with session.post("/owners", json={}) as response:
            assert (response.status, "Retry-After" in response.headers) == (503, True)
        outside.start()

        async def stored() -> bool:
            async with session.get(f"/items/{items[-1]['id']}") as response:
                return response.status == 200 and len((await response.json())["history"]) == 2

        await until(stored)
        for item in items:
            found = await get(session, f"/items/{item['id']}")
            assert (found["owner_id"], found["created_at"]) == (GRACE, item["created_at"])
        assert (await get(session, "/health"))["checks"]["dead_letters"] == 0


async def test_transfer_of_an_item_that_still_waits_on_disk_waits_behind_it(client: Any, pool: Any) -> None:
    """Right after an outage: the item is accepted, and on its way from the spool."""
    item = uuid4()
    record = json.dumps(["items", str(item), BIKE, datetime.now(UTC).isoformat()], separators=(",", ":"))
    await client.app[OUTAGE].spool.append([record.encode()])
    assert set(await put(client, item, ADA, 202)) == {"id", "item_id", "owner_id"}

    async def owner() -> Any:
        async with client.get(f"/items/{item}") as response:
            return response.status == 200 and (await response.json())["owner_id"]

    assert await until(owner) == ADA


async def test_well_known_rows_can_be_stored_again_and_again(run: Callable[..., Program], database_url: str) -> None:
    for _ in range(2):
        program = run("seed", "--transfers", DATABASE_URL=database_url)
        assert await program.ended() == 0, program.stderr
    connection = await asyncpg.connect(database_url)
    for table, known in {"base_items": [BIKE, BRICKS], "owners": [ADA, GRACE]}.items():
        assert {str(row["id"]) for row in await connection.fetch(f"select id from {table}")} == set(known)
    assert await connection.fetchval("select count(*) from items where folded") == 2
    assert await connection.fetchval("select count from bins where stream = 'items' and unit = 'year'") == 2
    await connection.close()


async def test_generator_makes_items_and_moves_them(run: Callable[..., Program], database_url: str) -> None:
    program = run("generate", "--stream", "transfers", "--count", "1000", "--json", DATABASE_URL=database_url)
    assert await program.ended() == 0, program.stderr
    assert json.loads(program.output()) == {"stream": "transfers", "stored": 1000}
    connection = await asyncpg.connect(database_url)
    moved = await connection.fetchval("select count(*) from transfers")
    made = await connection.fetchval("select count(*) from items")
    assert 150 < made < 260 and moved + made == 1000 + len(FIXTURE_ITEMS)
    owned = await connection.fetchval("select count(*) from items where owner_id is not null")
    assert owned > made / 2
    before = "select count(*) from transfers join items on items.id = item_id where timestamp < created_at"
    assert await connection.fetchval(f"{before} and transfers.folded and items.folded") == 0
    in_vain = """
        select count(*)
        from (
            select owner_id, lag(owner_id) over (partition by item_id order by "timestamp", id) as before
            from transfers
        ) as moves
        where owner_id = before
    """
    assert await connection.fetchval(in_vain) == 0
    await connection.close()


LONG_BLOCKED = """
    select true
    from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query_start < now() - interval '1.2 seconds'
"""


async def test_rebuild_may_take_longer_than_any_other_statement(
    pool: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.execute(
        """
        insert into transfers (item_id, owner_id, timestamp, folded)
        select $1, $2, now() - n * interval '1 hour', true
        from generate_series(1, 50000) as n
        """,
        ITEM, ADA,
    )  # fmt: skip
    monkeypatch.setattr(database, "COMMAND_SECONDS", 1.0)
    async with await open_pool(database_url) as hasty, pool.acquire() as other:
        with pytest.raises(TimeoutError):
            await hasty.execute("select pg_sleep(60)")
        holding = other.transaction()
        await holding.start()
        await other.execute("lock table transfers")
        rebuild = asyncio.create_task(aggregate.rebuild(hasty, "transfers"))
        await until(lambda: pool.fetchval(LONG_BLOCKED))
        await holding.rollback()
        assert await rebuild == 50_000
    days = "select sum(count)::integer from bins where stream = 'transfers' and unit = 'day'"
    assert await pool.fetchval(days) == 50_000


async def test_everything_that_is_wrong_with_a_transfer_is_said_at_once(client: Any) -> None:
    response = await client.put("/items/bike/ownership", json={"to": 5, "more": 1})
    assert response.status == 400
    details = (await response.json())["details"]
    assert [detail.split(" must be ")[0] for detail in details[:-1]] == ["the id of an item", "to"]
    assert details[-1] == "unknown field; allowed: to"
