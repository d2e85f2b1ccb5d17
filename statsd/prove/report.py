"""The result of a run: which faults were made, and what became of the events."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field

from statsd.prove.audit import Finding

COLUMNS = ("stream", "tried", "acknowledged", "stored", "lost", "doubled", "totals")


@dataclass(frozen=True)
class Made:
    """A fault: seconds after the beginning, how long it took, and what it was."""

    at: float
    seconds: float
    fault: str


@dataclass
class Report:
    """`left_out` has the faults that this machine cannot make, and what it lacks."""

    seed: int
    minutes: float
    faults: list[Made] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        return all(finding.is_right for finding in self.findings)

    def json(self) -> str:
        return json.dumps({**dataclasses.asdict(self), "right": self.is_right}, indent=2)

    def table(self) -> str:
        """Return the table of streams, the faults, and a last line with the sums."""
        rows = [COLUMNS, *map(_row, self.findings)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in rows]
        counts = Counter(made.fault for made in self.faults)
        lines += ["", *(f"{count:3} x {fault}" for fault, count in counts.items())]
        lines += [f"left out: {fault}; it needs {lack}" for fault, lack in self.left_out.items()]
        for finding in self.findings:
            lines += [f"unexpected of {finding.stream}: {n} x {what}" for what, n in finding.unexpected.items()]
            lines += [f"wrong total of {finding.stream}: {difference}" for difference in finding.differences[:10]]
        return "\n".join([*lines, "", self._sum()])

    def _sum(self) -> str:
        acknowledged = sum(finding.acknowledged for finding in self.findings)
        lost, doubled = (sum(getattr(finding, name) for finding in self.findings) for name in ("lost", "doubled"))
        totals = "equal" if not any(finding.differences for finding in self.findings) else "DIFFER from"
        return (
            f"{len(self.faults)} faults, {acknowledged:,} events acknowledged: "
            f"{lost} lost, {doubled} doubled, all totals {totals} a recount"
        )


def _row(finding: Finding) -> tuple[str, ...]:
    totals = f"{len(finding.differences)} DIFFER from a recount" if finding.differences else "equal a recount"
    numbers = (finding.tried, finding.acknowledged, finding.stored, finding.lost, finding.doubled)
    return (finding.stream, *(f"{number:,}" for number in numbers), totals)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if COLUMNS[column] in ("stream", "totals") else cell.rjust(width)
