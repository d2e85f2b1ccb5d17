"""`python -m statsd …` as its users run it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

from folders import ROOT
from waiting import PATIENCE_SECONDS, until

_numbers = count(1)


class Program:
    """A running command."""

    def __init__(self, *arguments: str, folder: Path, **environment: str) -> None:
        self.log = folder / f"program-{next(_numbers)}.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("STATS_", "PG", "POSTGRES_", "DATABASE_"))}
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "statsd", *arguments],
                cwd=folder,
                env={**clean, "PYTHONPATH": str(ROOT), **environment},
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def stderr(self) -> str:
        return self.log.read_text()

    async def address(self) -> str:
        """Wait until the server says where it is."""
        return str(await until(self._address))

    def _address(self) -> str | None:
        found = re.search(r"is at (http://\S+)", self.stderr)
        assert found or self.process.poll() is None, self.stderr
        return found[1] if found else None

    def output(self) -> str:
        """What it wrote to stdout, up to its end."""
        assert self.process.stdout
        return self.process.stdout.read().decode()

    async def ended(self) -> int:
        """Wait for the end and return the exit code."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)
