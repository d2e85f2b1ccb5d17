"""`export` as a command: a file is there once it is whole, or not at all."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from program import Program

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


async def test_wrong_times_are_refused(run: Run) -> None:
    program = run("export", "usage", "--from", "yesterday")
    assert await program.ended() == 2
    assert "must be an ISO 8601 instant" in program.stderr
