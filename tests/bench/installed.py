"""Peers from the registries: installed once into a folder that later runs use again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

NODE = ("express@4", "bull@4", "pg@8", "ws@8")
PYTHON = ("fastapi<1", "uvicorn[standard]<1", "asyncpg<1", "websockets>=15,<18")
SOURCES = Path(__file__).parent / "peers"
REDIS_MISSING = "Express + Bull + Redis: install redis-server (Debian: apt-get install redis-server)"
NODE_MISSING = "Express + Bull + Redis, and ws: install Node.js with npm (Debian: apt-get install nodejs npm)"


@dataclass(frozen=True)
class Installed:
    """The commands that run the peers' programs."""

    folder: Path

    @property
    def has_node(self) -> bool:
        return (self.folder / "node_modules").is_dir()

    @property
    def has_redis(self) -> bool:
        return shutil.which("redis-server") is not None

    def node(self, source: str, *arguments: str) -> list[str]:
        return ["node", str(SOURCES / source), *arguments]

    def python(self, source: str, *arguments: str) -> list[str]:
        return [str(self.folder / "venv" / "bin" / "python"), str(SOURCES / source), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {"NODE_PATH": str(self.folder / "node_modules"), "NODE_ENV": "production"}


def install() -> Installed:
    """Install what is missing of the peers."""
    folder = Path(tempfile.gettempdir()) / f"statsd-bench-peers-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise SystemExit(f"{folder} belongs to another user: remove it, or set TMPDIR to a folder of your own")
    if shutil.which("npm") and not (folder / "node_modules" / ".package-lock.json").exists():
        print("installing peers with npm …", flush=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE]
        subprocess.run(command, check=True)
    ready = folder / "venv" / "ready"
    if not ready.exists():
        print("installing peers with pip …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], check=True)
        command = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*command, "--disable-pip-version-check", *PYTHON], check=True, stderr=subprocess.DEVNULL)
        ready.touch()
    return Installed(folder)
