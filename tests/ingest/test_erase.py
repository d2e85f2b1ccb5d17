"""Erase: a person is gone from every stream, and totals are what they would be without them."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from recounts import differences

from statsd.database import sql
from statsd.ingest import aggregate, erase, generator, ids, retention, spool
from statsd.ingest.dead_letters import keep_dead
from statsd.ingest.outage import _encode
from statsd.ingest.spool import Spool
from statsd.stream import Row, Stream
from statsd.streams import STREAMS

ERASABLE = [stream for stream in STREAMS if "person" in sql.load(stream.name)]
each_stream = pytest.mark.parametrize("stream", ERASABLE, ids=lambda stream: stream.name)
USER_COLUMN = {"transfers": "owner_id"}
PERSONS = {"logins": 1357924680, "usage": 1357924680, "webhooks": "ada-1357924680", "pageviews": "ada-1357924680"}
"""Ids that no other value looks like. Owners of transfers have theirs."""


async def store(pool: Any, stream: Stream, rows: list[Row]) -> None:
    for needed in STREAMS if stream.name == "transfers" else (stream,):
        await generator.store_fixtures(pool, needed)
    await pool.fetch(sql.load(stream.name)["insert"], *map(list, zip(*rows, strict=True)), *stream.sent(len(rows)))


def rows_of(stream: Stream, count: int, seed: int = 1) -> list[Row]:
    rng = random.Random(seed)
    rows = [stream.row(stream.sample(rng), ids.new_id()) for _ in range(count)]
    if stream.name == "usage":  # sample clicks have no account
        rows = [(row[0], rng.randint(1, 9_000) % 40, *row[2:]) for row in rows]
    return rows


def of_person(stream: Stream, rows: list[Row]) -> tuple[str, list[Row]]:
    """Return an id, and the rows in which the person of the most rows has it."""
    person = busiest(stream, rows)
    if stream.name == "transfers":
        return person, rows
    place = [*stream.columns].index("user_id")
    new = PERSONS[stream.name]
    return str(new), [(*row[:place], new, *row[place + 1 :]) if person in stream.people(row) else row for row in rows]


def busiest(stream: Stream, rows: list[Row]) -> str:
    """The person of the most rows."""
    named = [person for row in rows for person in stream.people(row)]
    return max({*named}, key=named.count)


@each_stream
@pytest.mark.parametrize("pruned_days", [None, -1])
async def test_totals_are_those_of_the_rows_of_others(stream: Stream, pool: Any, pruned_days: int | None) -> None:
    """Also where rows were pruned before, whose part in the totals stays."""
    if pruned_days is not None:
        await store(pool, stream, rows_of(stream, 200, seed=2))
        await retention.prune(pool, stream.name, retention.first_day(pruned_days))
    person, rows = of_person(stream, rows_of(stream, 400))
    await store(pool, stream, rows)
    columns = ", ".join(stream.columns.keys() - {"id"})
    raw, user = sql.table(stream.name), USER_COLUMN.get(stream.name, "user_id")
    # Rows of the person that are in no total yet, as other programs insert them.
    await pool.execute(
        f"insert into {raw} ({columns}) select {columns} from {raw} where {user}::text = $1 limit 3", person
    )
    number = await pool.fetchval(f"select count(*) from {raw} where {user}::text = $1", person)
    before = await pool.fetchval(f"select count(*) from {raw}")

    dry = await erase.from_stream(pool, stream, person, dry_run=True)
    assert await pool.fetchval(f"select count(*) from {raw} where {user}::text = $1", person) == number > 3
    counts = await erase.from_stream(pool, stream, person)
    assert dry == counts
    assert counts[raw] == number
    kept = number if stream.name == "transfers" else 0  # given to the erased owner
    assert await pool.fetchval(f"select count(*) from {raw}") == before - number + kept
    assert await differences(pool, stream.name) == []
    await aggregate.sweep(pool, stream.name)  # transfers of the person that were in no total stay
    tables = await totals(pool)
    await aggregate.rebuild(pool, stream.name)
    rebuilt = await totals(pool)
    for table in tables:
        assert rebuilt[table] == tables[table], table
    assert (await erase.from_stream(pool, stream, person))[raw] == 0
    assert not await found(pool, person)


async def totals(pool: Any) -> dict[str, Any]:
    names = await pool.fetch(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    skipped = {sql.table(stream.name) for stream in STREAMS} - {"items"}
    return {
        name: sorted(map(tuple, await pool.fetch(f"select * from {name}{where(name)}")), key=repr)
        for name in (record["relname"] for record in names)
        if name not in skipped
    }


def where(name: str) -> str:
    """Zero returns say the same as no row."""
    return " where users <> 0" if name == "page_returns" else ""


async def found(pool: Any, person: str) -> list[str]:
    """The columns of all tables that hold a person's id, as itself or within a text."""
    columns = await pool.fetch("""
        select relname as table, attname as column
        from pg_attribute
        join pg_class on pg_class.oid = attrelid
        where relkind = 'r' and relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
    """)
    assert len(columns) > 150
    return [
        f"{table}.{column}"
        for table, column in columns
        if await pool.fetchval(
            f"""
            select true
            from "{table}"
            where "{column}"::text ~ $1 or "{column}"::text ~ $2 -- bytes are shown in hexadecimal
            limit 1
            """,
            rf"\y{person}\y",
            person.encode().hex(),
        )
    ]


async def test_ingest_goes_on_meanwhile(pool: Any) -> None:
    stream = next(stream for stream in ERASABLE if stream.name == "pageviews")
    rows = rows_of(stream, 2_000)
    await store(pool, stream, rows)
    people = sorted({person for row in rows for person in stream.people(row)})[:20]

    async def go_on() -> None:
        for seed in range(30):
            await store(pool, stream, rows_of(stream, 20, seed=100 + seed))

    storing = asyncio.gather(go_on(), go_on())
    for person in people:
        await erase.from_stream(pool, stream, person)
        assert await differences(pool, "pageviews") == []
    await storing
    assert await differences(pool, "pageviews") == []


async def test_webhook_whose_metadata_names_the_person_goes_too(pool: Any) -> None:
    stream = next(stream for stream in ERASABLE if stream.name == "webhooks")
    row = rows_of(stream, 1)[0]
    for field, value, named in (
        ("user_id", "ada", True),
        ("userId", "ada", True),
        ("user", 7, False),
        ("page", "ada", False),
    ):
        data = json.dumps({field: value})
        mine = (ids.new_id(), row[1], "another", row[3], data, row[5])
        assert ("ada" in stream.people(mine)) == named
        await store(pool, stream, [mine])
        assert (await erase.from_stream(pool, stream, "ada"))["webhook_events"] == named
    assert (await erase.from_stream(pool, stream, "7"))["webhook_events"] == 1


async def fill_spool(folder: Path, rows: list[tuple[str, Row]]) -> Spool:
    opened = Spool(folder, min_free=0)
    await opened.open()
    await opened.append([_encode(stream, row) for stream, row in rows])
    return opened


async def test_spool_keeps_the_rows_of_others(folder: Path) -> None:
    """Of a server that was stopped; damaged files keep what cannot be read, and are named."""
    rows = [(stream.name, row) for stream in ERASABLE for row in rows_of(stream, 30)]
    stream = ERASABLE[0]
    person = busiest(stream, [row for name, row in rows if name == stream.name])
    await (await fill_spool(folder, rows)).close()
    (path,) = folder.glob("room-*/*.seg")
    path.write_bytes(path.read_bytes() + b"torn")
    corrupt = path.with_suffix(".corrupt")
    corrupt.write_bytes(path.read_bytes())
    mine = [row for name, row in rows if name == stream.name and person in stream.people(row)]
    persons = {stream.name: person}

    dry = await erase.from_spool(folder, persons, STREAMS, True)
    assert dry.records == 2 * len(mine) > 2
    erased = await erase.from_spool(folder, persons, STREAMS, False)
    assert erased == spool.Erased(2 * len(mine), [], [corrupt])
    assert path.read_bytes() == corrupt.read_bytes()
    assert path.read_bytes().endswith(b"torn")
    delivered: list[bytes] = []

    async def deliver(payloads: list[bytes]) -> None:
        delivered.extend(payloads)

    opened = Spool(folder)
    await opened.open()
    await opened.replay(deliver)
    await opened.close()
    assert delivered == [_encode(name, row) for name, row in rows if row not in mine]


async def test_file_with_nothing_else_is_deleted(folder: Path) -> None:
    stream = ERASABLE[0]
    (row,) = rows_of(stream, 1)
    await (await fill_spool(folder, [(stream.name, row)])).close()
    await erase.from_spool(folder, {stream.name: busiest(stream, [row])}, STREAMS, False)
    assert not [*folder.glob("room-*/*")]


async def test_spool_of_a_server_that_runs_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "DRAIN_SECONDS", 0.0)
    stream = ERASABLE[0]
    (row,) = rows_of(stream, 1)
    running = await fill_spool(folder, [(stream.name, row)])
    erased = await erase.from_spool(folder, {stream.name: busiest(stream, [row])}, STREAMS, False)
    assert (erased.records, erased.in_use) == (0, [*folder.glob("room-*/*.seg")])
    assert running.rows == 1
    await running.close()


async def test_dead_letters_of_the_person_go(pool: Any) -> None:
    """Also those that cannot be read as a row, because another version wrote them."""
    for stream in ERASABLE:
        mine, other = rows_of(stream, 2, seed=5)
        person = busiest(stream, [mine])
        assert person not in stream.people(other)
        for row in (mine, other):
            await keep_dead(pool, row[0], stream.name, msgspec.json.encode(row[1:]), ValueError("x"))
        await keep_dead(pool, ids.new_id(), "", json.dumps(["old", {"who": [person]}]).encode(), ValueError("x"))
        persons = {stream.name: person}
        assert await erase.from_dead_letters(pool, persons, STREAMS, True) == 2
        assert await erase.from_dead_letters(pool, persons, STREAMS, False) == 2
        assert await erase.from_dead_letters(pool, persons, STREAMS, False) == 0
    assert await pool.fetchval("select count(*) from dead_letters") == len(ERASABLE)
