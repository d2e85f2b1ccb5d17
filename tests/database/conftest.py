"""Fixtures: data folders of the embedded server."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_folders import fetch, package, swept
from folders import fast_place

from statsd.database import embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can pass through, which pytest's own tmp_path is not."""
    path = Path(tempfile.mkdtemp(prefix="statsd-test-", dir=fast_place() or "/tmp"))
    path.chmod(0o755)
    yield path
    swept(path)


@pytest.fixture
def closed(folder: Path) -> Iterator[Path]:
    """A folder only root may enter; whatever its data folders have in /var/lib is removed."""
    path = folder / "closed"
    path.mkdir(0o700)
    yield path
    for link in path.glob("*/postgres"):
        if link.is_symlink():
            swept(link.resolve().parent)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder that has been served once, to be copied."""
    path = Path(tempfile.mkdtemp(prefix="statsd-test-", dir=fast_place() or "/tmp"))
    path.chmod(0o755)

    async def make() -> None:
        async with embedded.running(path / "data") as server:
            await fetch(server.dsn, "create table kept as select 42 as answer")

    asyncio.run(make())
    yield path / "data"
    swept(path)


@pytest.fixture
def data(made: Path, folder: Path) -> Path:
    """A data folder whose database holds one table, `kept`, with one row."""
    subprocess.run(["cp", "-a", made, folder / "data"], check=True)
    return folder / "data"


@pytest.fixture(scope="module")
def wheel() -> Iterator[Path]:
    """A copy of the wheel that every user can reach, wherever our environment is."""
    path = Path(tempfile.mkdtemp(prefix="statsd-test-", dir=fast_place() or "/tmp"))
    path.chmod(0o755)
    source = Path(package())
    shutil.copytree(source / "pginstall18", path / source.name / "pginstall18", symlinks=True)
    shutil.copytree(f"{source}.libs", path / f"{source.name}.libs")
    (path / source.name / "__init__.py").write_text("raise ImportError('found, never imported')\n")
    subprocess.run(["chmod", "-R", "a+rX", path], check=True)
    yield path
    shutil.rmtree(path)
