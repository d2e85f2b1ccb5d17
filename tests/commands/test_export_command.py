"""`export` as a command: a file is there once it is whole, or not at all."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import Program

from statsd.database.pool import open_pool

Run = Callable[..., Program]
FILL = (
    "insert into feature_clicks (feature_name, \"timestamp\") select 'a', '2026-01-01' from generate_series(1, $1::int)"
)


async def test_stdout_and_files_have_the_same(run: Run, pool: Any, database_url: str, folder: Path) -> None:
    await pool.execute(FILL, 300)
    program = run("export", "usage", DATABASE_URL=database_url)
    assert await program.ended() == 0
    text = program.output()
    assert text.count("\n") == 300
    for name in ("clicks.ndjson", "clicks.ndjson.gz"):
        assert await run("export", "usage", str(folder / name), DATABASE_URL=database_url).ended() == 0
    assert (folder / "clicks.ndjson").read_text() == text
    assert gzip.decompress((folder / "clicks.ndjson.gz").read_bytes()).decode() == text
    assert await run("export", "usage", str(folder / "clicks.csv"), DATABASE_URL=database_url).ended() == 0
    assert (folder / "clicks.csv").read_text().startswith('"id","user_id","feature_name"')


async def test_texts_come_back_with_the_guard_and_without(
    run: Run, pool: Any, empty_url: str, folder: Path, *, database_url: str
) -> None:
    names = ["'=1", "+1", "=1", "it"]
    await pool.execute("insert into feature_clicks (feature_name) select unnest($1::text[])", names)
    written = {}
    for option in ((), ("--no-guard",)):
        file = str(folder / "clicks.csv")
        assert await run("export", "usage", file, *option, DATABASE_URL=database_url).ended() == 0
        written[option] = sorted(line.split(",")[2] for line in Path(file).read_text().splitlines()[1:])
        assert await run("import", "usage", file, *option, DATABASE_URL=empty_url).ended() == 0
        async with await open_pool(empty_url) as empty:
            rows = await empty.fetch('select feature_name from feature_clicks order by feature_name collate "C"')
        assert [row["feature_name"] for row in rows] == names
    assert [*written.values()] == [["\"''=1\"", '"\'+1"', '"\'=1"', '"it"'], [f'"{name}"' for name in names]]


async def test_export_that_fails_leaves_the_file_as_it_was(
    run: Run, pool: Any, database_url: str, folder: Path
) -> None:
    """A column is gone: the second step of the export cannot succeed."""
    file = folder / "clicks.ndjson"
    file.write_text("from before")
    await pool.execute(FILL, 10)
    await pool.execute("alter table feature_clicks rename column age to years")
    program = run("export", "usage", str(file), DATABASE_URL=database_url)
    assert await program.ended() != 0
    assert file.read_text() == "from before"
    assert [name for name in os.listdir(folder) if "clicks" in name] == ["clicks.ndjson"]


@pytest.mark.parametrize(("file", "reason"), [("gone/x.csv", "No such file or directory"), (".", "Is a directory")])
async def test_file_that_cannot_be_written_is_said_by_its_own_name(
    run: Run, database_url: str, folder: Path, file: str, reason: str
) -> None:
    path = folder / file
    program = run("export", "logins", str(path), DATABASE_URL=database_url)
    assert await program.ended() == 1
    assert program.stderr == f"statsd: {path}: {reason}\n"
    assert not [name for name in os.listdir(folder.parent) if name.endswith(".part")]


async def test_wrong_times_are_refused(run: Run) -> None:
    program = run("export", "usage", "--from", "yesterday")
    assert await program.ended() == 2
    assert "must be an ISO 8601 instant" in program.stderr
