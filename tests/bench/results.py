"""What a run found: rows with aims, costs by process, and the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TIMES = "\N{MULTIPLICATION SIGN}"
"""the unit of ratios"""


@dataclass(frozen=True)
class Aim:
    """The figure a row should reach: at least it, or at most it."""

    bound: float
    at_least: bool

    def met_by(self, figure: float) -> bool:
        return figure >= self.bound if self.at_least else figure <= self.bound


def at_least(bound: float) -> Aim:
    return Aim(bound, True)


def at_most(bound: float) -> Aim:
    return Aim(bound, False)


@dataclass(frozen=True)
class Row:
    """One figure: the median of its rounds. A row without an aim is for information."""

    part: str
    name: str
    rounds: Sequence[float]
    unit: str = TIMES
    aim: Aim | None = None
    note: str = ""

    @property
    def figure(self) -> float:
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        return "" if self.aim is None else "met" if self.aim.met_by(self.figure) else "missed"


@dataclass(frozen=True)
class Cost:
    """What one contestant did per second, and what an event cost each process in µs of CPU time."""

    part: str
    contestant: str
    acknowledged: float
    stored: float | None
    p99: float | None
    """ms from request to answer"""
    cpu: dict[str, float]
    """µs per event, by process"""


def describe_machine() -> dict[str, str]:
    """The machine, the program and the moment, as text."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit.stdout.strip() or "unknown",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "load": f"{os.getloadavg()[0]:.1f} before the run",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


@dataclass
class Results:
    """All that a run found; `shortened` runs (--quick) are for trying the suite, not for figures."""

    shortened: bool = False
    rows: list[Row] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """one sentence each: what was not measured, and what would be needed for it"""
    machine: dict[str, str] = field(default_factory=describe_machine)

    def row(self, row: Row) -> None:
        self.rows.append(row)
        print(show_row(row), flush=True)

    def cost(self, cost: Cost) -> None:
        self.costs.append(cost)
        print(show_cost(cost), flush=True)

    def leave_out(self, sentence: str) -> None:
        self.left_out.append(sentence)
        print(f"  left out: {sentence}", flush=True)


def to_json(results: Results) -> str:
    rows = [{**asdict(row), "figure": row.figure, "verdict": row.verdict} for row in results.rows]
    return json.dumps({**asdict(results), "rows": rows}, indent=1) + "\n"


def load(path: Path) -> Results:
    """Read what `to_json` made."""
    saved = json.loads(path.read_text())
    names = ("part", "name", "rounds", "unit", "note")
    rows = [
        Row(aim=Aim(**row["aim"]) if row["aim"] else None, **{name: row[name] for name in names})
        for row in saved["rows"]
    ]
    costs = [Cost(**cost) for cost in saved["costs"]]
    return Results(saved["shortened"], rows, costs, saved["left_out"], saved["machine"])


def show_number(number: float) -> str:
    """Three digits are as many as a figure is good for."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def show_figure(figure: float, unit: str) -> str:
    return f"{show_number(figure)} {unit}"


def show_aim(row: Row) -> str:
    if row.aim is None:
        return ""
    return f"{'≥' if row.aim.at_least else '≤'} {show_figure(row.aim.bound, row.unit)}"


def show_row(row: Row) -> str:
    spread = f"{show_number(min(row.rounds))} to {show_number(max(row.rounds))}" if len(row.rounds) > 1 else ""
    figure = show_figure(row.figure, row.unit)
    note = f"  {row.note}" if row.note else ""
    return f"  {row.name:<64} {figure:>16}  {show_aim(row):>14}  {row.verdict:<6}  {spread}{note}"


def show_cost(cost: Cost) -> str:
    stored = "" if cost.stored is None else f", {cost.stored:,.0f} stored/s"
    p99 = "" if cost.p99 is None else f", p99 {cost.p99:.1f} ms"
    cpu = ", ".join(f"{process} {micros:.1f}" for process, micros in cost.cpu.items())
    return f"  {cost.contestant:<40} {cost.acknowledged:>9,.0f} events/s{stored}{p99}; CPU µs per event: {cpu}"
