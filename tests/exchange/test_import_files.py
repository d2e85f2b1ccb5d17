"""Files to import: their forms, what is wrong in them, and what happens to lines that are not stored."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from files import imported
from program import Program
from recounts import differences

from statsd.errors import StatsError
from statsd.ingest import retention
from statsd.settings import Settings

Run = Callable[..., Program]
ID = "01a2105e-a6a6-781b-95ab-5b9788c5ad59"
LOGIN = {"user_id": 7, "ip_address": "::1", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
HEAD = "user_id,ip_address,region,device_type,browser"
CELLS = "7,::1,UK,Mobile,Opera"


def line(**changes: Any) -> str:
    return json.dumps({**LOGIN, **changes})


@pytest.mark.parametrize(
    "content",
    [
        line().encode(),
        f"\ufeff{line()}\r\n\r\n".encode(),
        gzip.compress(line().encode()),
        f"{HEAD}\n{CELLS}".encode(),
        f"\ufeff{HEAD}\r\n{CELLS}\r\n\r\n".encode(),
        gzip.compress(f"{HEAD}\n{CELLS}\n".encode()),
    ],
    ids=["ndjson", "ndjson of Windows", "ndjson.gz", "csv", "csv of Windows", "csv.gz"],
)
async def test_form_is_seen_in_the_content(pool: Any, database_url: str, folder: Path, content: bytes) -> None:
    file = folder / "rows"
    file.write_bytes(content)
    outcome, refused = await imported(database_url, "logins", file)
    assert (outcome.stored, refused) == (1, [])
    row = await pool.fetchrow("select user_id, region, browser from user_logins")
    assert tuple(row) == (7, "UK", "Opera")


@pytest.mark.parametrize("number", ["1800", "1800.0", "1800.", "1.8e3", "18E+2"])
async def test_whole_float_in_csv_is_an_integer(pool: Any, database_url: str, folder: Path, number: str) -> None:
    file = folder / "rows.csv"  # as pandas writes a column of integers with missing values
    file.write_text(f"{HEAD},session_duration_seconds\n7.0{CELLS[1:]},{number}\n8{CELLS[1:]},\n")
    outcome, refused = await imported(database_url, "logins", file)
    assert (outcome.stored, refused) == (2, [])
    rows = await pool.fetch("select user_id, session_duration_seconds from user_logins order by user_id")
    assert [tuple(row) for row in rows] == [(7, 1800), (8, None)]


@pytest.mark.parametrize("number", ["1800.5", "nan", "inf", "1e99", "1e999", "0x7", "1_0", "\u0661", " 7", "7.0.0"])
async def test_other_number_in_csv_is_refused(database_url: str, folder: Path, number: str) -> None:
    file = folder / "rows.csv"
    file.write_text(f"{HEAD},session_duration_seconds\n{CELLS},{number}\n")
    outcome, (fault,) = await imported(database_url, "logins", file)
    assert outcome.stored == 0
    assert "session_duration_seconds must be an integer" in str(fault)


@pytest.mark.parametrize(
    ("stream", "bad", "says"),
    [
        ("logins", "{", "valid JSON"),
        ("logins", "[1]", "must be a JSON object"),
        ("logins", line(user_id="7"), "user_id must be an integer"),
        ("logins", line(id="7"), "id must be a UUID"),
        ("logins", line(id=ID.replace("-", "x")), "id must be a UUID"),
        ("logins", line(created_at="1800-01-01T00:00:00Z"), "created_at must be an ISO 8601 instant"),
        ("logins", line(region=""), "region must be a non-empty string"),
        ("logins", line(nonsense=1), "unknown field; allowed: user_id"),
        ("logins", line(region="x" * (1 << 20)), "at most 1048576 bytes"),
        ("webhooks", '{"eventType":"a","userId":"1","metadata":[]}', "metadata must be a JSON object"),
        ("webhooks", '{"eventType":"a"}', "userId is required"),
        ("usage", '{"feature_name":"All"}', "it stands for every feature"),
        (
            "usage",
            '{"feature_name":"a","age":151,"gender":"x"}',
            "150 if provided; gender must be Male",
        ),
        ("pageviews", '{"site_id":"a","event_type":"b","path":"/"}', "timestamp is required"),
        ("transfers", '{"id":1}', "kind must be one of base_item, owner, item, transfer"),
        ("transfers", f'{{"kind":"item","id":"{ID}","base_item_id":"{ID}"}}', "item_of_known_base_item"),
        ("transfers", f'{{"kind":"transfer","item_id":"{ID}","owner_id":"{ID}"}}', "timestamp is required"),
    ],
)
async def test_bad_line_is_named_and_the_others_are_stored(
    database_url: str, folder: Path, stream: str, bad: str, says: str
) -> None:
    good = {
        "logins": line(),
        "webhooks": '{"eventType":"a","userId":"1"}',
        "usage": '{"feature_name":"a"}',
        "pageviews": '{"site_id":"a","event_type":"b","path":"/","timestamp":"2026-01-01"}',
        "transfers": f'{{"kind":"owner","id":"{ID}"}}',
    }[stream]
    file = folder / "rows.ndjson"
    file.write_text(f"{good}\n\n{bad}\n")
    outcome, [(number, why)] = await imported(database_url, stream, file)
    assert (outcome.stored, outcome.refused, number) == (1, 1, 3)
    assert says in why


async def test_bad_line_of_csv_is_named_where_it_begins(database_url: str, folder: Path) -> None:
    file = folder / "rows.csv"
    lines = [HEAD, '7,::1,"U\nK",Mobile,Opera', CELLS, "7,::1", "x,::1,UK,Mobile,Opera", '7,::1,"UK']
    file.write_bytes("\n".join(lines).encode() + b"\xff\n")
    outcome, refused = await imported(database_url, "logins", file)
    assert outcome.stored == 1
    assert [number for number, _ in refused] == [2, 5, 6, 7]
    assert refused[1][1] == "the line has 2 cells, the header has 5"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[{}]", "JSON array"),
        (b"PK\x03\x04", "is a ZIP"),
        (b"user_id,nonsense,nonsense\n", "unknown columns: nonsense, nonsense; allowed: browser"),
        (b"user_id\n", "missing columns: browser, device_type"),
        (gzip.compress(line().encode() * 1000)[:-9], "cut off or damaged"),
    ],
)
async def test_file_of_another_kind_is_refused_as_a_whole(
    database_url: str, folder: Path, content: bytes, says: str
) -> None:
    file = folder / "rows"
    file.write_bytes(content)
    with pytest.raises(StatsError, match=says):
        await imported(database_url, "logins", file)


async def test_another_row_under_a_stored_id_is_refused(pool: Any, database_url: str, folder: Path) -> None:
    file = folder / "rows.ndjson"
    file.write_text(f"{line(id=ID)}\n{line(id=ID)}\n{line(id=ID, region='US')}\n")
    outcome, [(number, why)] = await imported(database_url, "logins", file)
    assert (outcome.stored, outcome.known, number) == (1, 1, 3)
    assert why == f"another row is stored under the id {ID}"
    assert await pool.fetchval("select sum(logins)::int from login_devices") == 1


async def test_rejects_are_a_file_to_mend_and_import(run: Run, pool: Any, database_url: str, folder: Path) -> None:
    file, rejects = folder / "rows.csv", folder / "rejects.csv"
    bad = [f"seven,::1,UK,Mobile,Opera{number}\n" for number in range(150)]
    file.write_text(f"{HEAD}\n{CELLS}\n{''.join(bad)}")
    program = run("import", "logins", str(file), "--rejects", str(rejects), "--json", DATABASE_URL=database_url)
    assert await program.ended() == 1
    assert json.loads(program.output()) == {"stream": "logins", "stored": 1, "known": 0, "refused": 150}
    assert "line 3: user_id must be an integer of 32 bits" in program.stderr
    assert program.stderr.count("\nline ") <= 100
    assert "… and 50 more lines" in program.stderr
    assert rejects.read_text() == f"{HEAD}\n{''.join(bad)}"
    rejects.write_text(rejects.read_text().replace("seven", "7"))
    program = run("import", "logins", str(rejects), DATABASE_URL=database_url)
    assert await program.ended() == 0
    assert await pool.fetchval("select sum(logins)::int from login_devices") == 151


async def test_strict_stops_at_the_first_bad_line(run: Run, database_url: str, folder: Path) -> None:
    file = folder / "rows.ndjson"
    file.write_text(f"{line()}\nbad\nbad\n")
    program = run("import", "logins", str(file), "--strict", DATABASE_URL=database_url)
    assert await program.ended() == 1
    assert "statsd: line 2: the body must be valid JSON" in program.stderr
    assert "line 3" not in program.stderr


async def test_id_of_a_line_is_that_of_its_text(database_url: str, folder: Path) -> None:
    """The order of files does not matter, and neither does a line more in front of them."""
    one, two = folder / "one.ndjson", folder / "two.ndjson"
    one.write_text(f"{line()}\n")
    two.write_text(f"{line(region='US')}\n{line()}\n")
    await imported(database_url, "logins", one)
    outcome, _ = await imported(database_url, "logins", two)
    assert (outcome.stored, outcome.known) == (1, 1)


async def test_rows_that_the_retention_deleted_are_not_counted_again(
    pool: Any, database_url: str, folder: Path
) -> None:
    old, new = "2026-01-01T00:00:00Z", "2026-11-01T00:00:00Z"
    event = {"eventType": "a", "userId": "1", "timestamp": old}
    file = folder / "events.ndjson"
    file.write_text("".join(f"{json.dumps({**event, 'receivedAt': when})}\n" for when in (old, new)))
    assert (await imported(database_url, "webhooks", file))[0].stored == 2
    await retention.prune(pool, "webhooks", date(2026, 10, 1))
    outcome, [(number, why)] = await imported(database_url, "webhooks", file)
    assert (outcome.stored, outcome.known, number) == (0, 1, 1)
    assert why == "rows from before 2026-10-01 were deleted by the retention"
    assert await pool.fetchval("select events from webhook_count") == 2
    assert await differences(pool, "webhooks") == []


async def test_addresses_are_cut_as_on_the_way_in(pool: Any, database_url: str, folder: Path) -> None:
    file = folder / "rows.ndjson"
    file.write_text(f"{line(ip_address='203.0.113.77')}\n")
    await imported(database_url, "logins", file, Settings(ip="truncated"))
    assert await pool.fetchval("select ip_address from user_logins") == "203.0.113.0"
