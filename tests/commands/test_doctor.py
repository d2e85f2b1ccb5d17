"""`doctor` as a command: beside a server and alone, with a database that is away or frozen; exit 6 for faults."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from program import Program

Run = Callable[..., Program]
ABOUT = {
    "settings", "permissions", "disk", "spool", "versions", "clock", "durability", "listen", "dead letters", "bloat",
    "locks", "totals",
}  # fmt: skip


async def test_server_that_is_well_has_no_fault(run: Run, database_url: str) -> None:
    server = run("serve", "--port", "0", DATABASE_URL=database_url)
    await server.address()
    program = run("doctor", "--json", DATABASE_URL=database_url)
    assert await program.ended() == 0, program.output()
    report = json.loads(program.output())
    assert report["healthy"] is True
    assert {finding["about"] for finding in report["findings"]} == ABOUT
    assert [finding for finding in report["findings"] if finding["level"] == "fault"] == []


async def test_faults_are_printed_with_their_mend_and_end_with_6(run: Run, database_url: str, pool: Any) -> None:
    await pool.execute("insert into dead_letters values (gen_random_uuid(), 'logins', '[]', '', '')")
    program = run("doctor", "--days", "0", DATABASE_URL=database_url)
    assert await program.ended() == 6
    lines = program.output().splitlines()
    number = next(number for number, line in enumerate(lines) if line.startswith("fault    dead letters 1 accepted"))
    assert lines[number + 1].strip().startswith("mend: python -m statsd dead-letters list")
    assert "statsd: 1 fault found" in program.stderr
    assert not any(line.startswith("ok       totals") for line in lines)


async def test_embedded_database_is_started_for_it_and_not_made_by_it(run: Run, folder: Path) -> None:
    program = run("doctor")
    assert await program.ended() == 6
    assert "there is no embedded database" in program.output()
    assert not (folder / "data").exists()
    assert await run("seed").ended() == 0
    program = run("doctor")
    assert await program.ended() == 0, program.output()
    assert "ok       totals" in program.output()


async def test_schema_that_does_not_exist_is_a_finding(run: Run, database_url: str) -> None:
    program = run("doctor", DATABASE_URL=database_url, STATS_SCHEMA="nowhere")
    assert await program.ended() == 6
    text = program.output()
    assert "fault    listen       the schema that the URL leads into does not exist" in text
    assert "NoneType" not in text


async def test_database_that_is_away_or_frozen_is_a_finding(run: Run, outside: Any) -> None:
    await (await outside.ready()).close()
    outside.signal(signal.SIGSTOP)
    program = run("doctor", DATABASE_URL=outside.dsn)
    assert await program.ended() == 6
    assert "fault    database     PostgreSQL cannot be reached" in program.output()
    assert "Traceback" not in program.stderr
    outside.stop()
    program = run("doctor", DATABASE_URL=outside.dsn)
    assert await program.ended() == 6
    assert "fault    database     PostgreSQL cannot be reached" in program.output()
