"""What every part is given: where it may write, how long it measures, which peers there are, where rows go."""

from __future__ import annotations

import resource
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .contest import Contestant, Round, cost
from .installed import Installed
from .results import TIMES, Aim, Results, Row


@dataclass(frozen=True)
class Run:
    part: str
    folder: Path
    results: Results
    peers: Installed | None
    """the peers from the registries, if they were asked for"""
    rounds: int

    @property
    def quick(self) -> bool:
        return self.results.shortened

    def seconds(self, full: float) -> float:
        return 1.0 if self.quick else full

    def size(self, full: int) -> int:
        """A number of sockets or rows: a tenth of it in a shortened run."""
        return full // 10 if self.quick else full

    def row(self, name: str, rounds: list[float], unit: str = TIMES, aim: Aim | None = None, note: str = "") -> None:
        self.results.row(Row(self.part, name, rounds, unit, aim, note))

    def cost(self, contestant: Contestant, rounds: list[Round]) -> None:
        self.results.cost(cost(self.part, contestant, rounds))
        if errors := sum(round.errors for round in rounds):
            self.leave_out(f"{contestant.name}: {errors:,} requests, which failed")

    def leave_out(self, sentence: str) -> None:
        self.results.leave_out(sentence)

    def needs_peers(self, what: str) -> bool:
        """Whether peers are there; says what is left out if not."""
        if self.peers is None:
            self.leave_out(f"{what}: ask for them with --peers")
        return self.peers is not None


DISK_BYTES = 5 << 30
"""A run of all parts fills less than this at a time; a full disk would make one part after the other fail."""


def has_disk() -> bool:
    return shutil.disk_usage(tempfile.gettempdir()).free > DISK_BYTES


def allow_many_files() -> None:
    """Every socket is a file, and a run opens thousands."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
