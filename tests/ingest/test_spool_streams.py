"""Rows of all streams in damaged files of the spool: what is readable is stored once, and totals equal a recount."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from waiting import until

from statsd.database import sql
from statsd.ingest import generator, segments
from statsd.ingest.ids import new_id
from statsd.ingest.outage import OUTAGE, _encode
from statsd.ingest.recount import differences
from statsd.streams import STREAMS

Record = tuple[str, UUID, bytes]
"""The stream, the id and the frame of a row."""
Damage = Callable[[list[Record]], tuple[bytes, list[Record]]]
"""Makes the bytes of a file, and says which records are readable there."""


def intact(records: list[Record]) -> tuple[bytes, list[Record]]:
    return b"".join(frame for *_, frame in records), records


def flipped(records: list[Record]) -> tuple[bytes, list[Record]]:
    """The first row of each stream has a wrong bit."""
    bad = {stream: (stream, id, frame) for stream, id, frame in reversed(records)}.values()
    wrong = {id: frame[:30] + bytes([frame[30] ^ 4]) + frame[31:] for _, id, frame in bad}
    return b"".join(wrong.get(id, frame) for _, id, frame in records), [one for one in records if one not in bad]


def cut(records: list[Record]) -> tuple[bytes, list[Record]]:
    """The file ends within its last row."""
    content, _ = intact(records)
    return content[:-5], records[:-1]


def garbage(records: list[Record]) -> tuple[bytes, list[Record]]:
    """Between all rows there is what never was one."""
    rng = random.Random(11)
    return b"".join(rng.randbytes(40) + frame for *_, frame in records), records


@pytest.mark.parametrize(("damage", "is_kept"), [(intact, False), (flipped, True), (cut, False), (garbage, True)])
async def test_readable_rows_of_every_stream_are_stored_once(
    pool: Any, start: Any, folder: Path, damage: Damage, is_kept: bool
) -> None:
    rng = random.Random(3)
    records: list[Record] = []
    for stream in STREAMS:
        await generator.store_fixtures(pool, stream)
        for _ in range(30):
            row = stream.as_spooled(stream.row(stream.sample(rng), new_id()))
            records.append((stream.name, row[0], segments.frame(_encode(stream.name, row))))
    before = {stream.name: await ids(pool, stream.name) for stream in STREAMS}
    rng.shuffle(records)
    content, readable = damage(records)
    assert {stream for stream, *_ in readable} == {stream.name for stream in STREAMS}
    path = folder / "spool" / "room-0" / f"{7:016}.seg"
    path.parent.mkdir(parents=True)
    path.write_bytes(segments.header(path) + content)
    spool = (await start()).app[OUTAGE].spool
    await until(lambda: not spool.rows)
    for stream in STREAMS:
        stored = {id for name, id, _ in readable if name == stream.name}
        dead = {row["id"] for row in await pool.fetch("select id from dead_letters where stream = $1", stream.name)}
        assert await ids(pool, stream.name) - before[stream.name] | dead == stored
        assert not dead or (stream.name, damage) == ("transfers", flipped)  # transfers of an item that is lost
        async with pool.acquire() as connection:
            assert await differences(connection, stream.name) == []
    assert (spool.keys.records, path.exists(), path.with_suffix(".corrupt").exists()) == (0, False, is_kept)


async def ids(pool: Any, stream: str) -> set[UUID]:
    return {row["id"] for row in await pool.fetch(f"select id from {sql.table(stream)}")}
