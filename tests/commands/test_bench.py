"""`python -m tests.bench` names its parts; what they measure is no test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench import page, parts, results
from bench.results import Aim, Cost, Results, Row
from folders import ROOT


def listed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_list_names_each_part_and_what_it_measures() -> None:
    lines = listed("--list").stdout.splitlines()
    assert dict(line.split(maxsplit=1) for line in lines) == parts.ABOUT
    files = {path.stem for path in (ROOT / "tests/bench/parts").glob("*.py")} - {"__init__"}
    assert files == set(parts.PARTS)


def test_unknown_part_is_refused_in_a_sentence() -> None:
    refused = listed("one", "two")
    assert refused.returncode == 2
    assert "unknown part two: must be of one, " in refused.stderr


def test_results_are_written_onto_the_page_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, file in (("PAGE", page.PAGE), ("README", page.README)):
        copy = tmp_path / file.name
        copy.write_text(file.read_text())
        monkeypatch.setattr(page, name, copy)
    rows = [Row("one", name, [2.0, 1.0, 3.0], aim=Aim(1.5, at_least=True)) for name, _ in page.HEADLINES]
    found = Results(rows=rows, costs=[Cost("one", "<bare>", 10_000, None, 7.5, {"server": 30.0})])
    saved = tmp_path / "results.json"
    saved.write_text(results.to_json(found))
    written = set()
    for _ in range(2):
        page.write(results.load(saved))
        written.add(page.PAGE.read_text())
    assert len(written) == 1
    cells = "<td>2.00_×</td><td>1.00 to 3.00</td><td>≥_1.50_×</td><td>met</td>"  # noqa: RUF001
    assert cells.replace("_", "\N{NO-BREAK SPACE}") in written.pop()
    assert "&lt;bare&gt;" in page.PAGE.read_text()
    assert page.headline(found) in page.README.read_text()
