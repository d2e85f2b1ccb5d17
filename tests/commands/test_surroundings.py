"""What a command meets: taken ports, closed pipes, Ctrl-C, missing packages, older Pythons, shells."""

from __future__ import annotations

import ast
import asyncio
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import ROOT
from program import Program
from waiting import PATIENCE_SECONDS

from statsd.errors import CannotListen

Run = Callable[..., Program]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}


def python(folder: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


async def test_taken_port_is_told_before_anything_is_made(run: Run, folder: Path, database_url: str) -> None:
    server = run("serve", "--port", "0", DATABASE_URL=database_url)
    port = (await server.address()).rsplit(":", 1)[1]
    others = folder / "elsewhere"
    for host in ("127.0.0.1", "0.0.0.0", "localhost"):
        program = run("serve", "-H", host, "-p", port, "-d", str(others))
        assert await program.ended() == 1
        assert f"cannot listen on {host}:{port}: Address already in use by a statsd-live server" in program.stderr
        assert "--port 0" in program.stderr
    assert not others.exists()


async def test_port_of_another_program_is_told_with_a_free_one(run: Run, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = run("serve", "--port", str(port))
        connection, _ = await asyncio.to_thread(taken.accept)
        connection.close()
        assert await program.ended() == 1
    assert f"in use by another program. Stop that, or choose another port: --port {port + 1}" in program.stderr
    assert not (folder / "data").exists()


@pytest.mark.parametrize("host", ["203.0.113.1", "nowhere.invalid"])
async def test_address_that_is_not_ours_is_told_before_anything_is_made(run: Run, folder: Path, host: str) -> None:
    program = run("serve", "--host", host)
    assert await program.ended() == 1
    assert f"cannot listen on {host}:8080: " in program.stderr
    assert "--host must be an address of this machine" in program.stderr
    assert not (folder / "data").exists()


def test_port_of_root_is_told_with_another() -> None:
    error = CannotListen("127.0.0.1", 80, PermissionError(13, "error while attempting to bind on address"))
    assert str(error).startswith("cannot listen on 127.0.0.1:80: Permission denied. Ports below 1024 are for root")


@pytest.mark.parametrize("words", [["openapi"], ["--help"], ["sql", "logins"]])
def test_reader_that_leaves_ends_the_command_without_a_word(folder: Path, words: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    ended = subprocess.run(
        [sys.executable, "-m", "statsd", *words], cwd=folder, env=ENVIRONMENT, stdout=theirs, stderr=subprocess.PIPE,
        check=False,
    )  # fmt: skip
    os.close(theirs)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize(("closing", "code"), [(">&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 1)])
def test_output_that_nobody_can_have_is_no_crash(folder: Path, closing: str, code: int) -> None:
    command = f"{sys.executable} -m statsd sql logins {closing}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False)
    assert ("No space left" in ended.stderr) == (code == 1)


@pytest.mark.parametrize(
    "words", [["import", "logins", "-"], ["user", "add", "anna", "--age", "3", "--gender", "Female"]]
)
async def test_ctrl_c_ends_a_command_that_waits_for_input(folder: Path, database_url: str, words: list[str]) -> None:
    """On a terminal, which sends the signal. A command reads what is typed only once it waits for it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINAL, *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder,
        env={**ENVIRONMENT, "DATABASE_URL": database_url}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"New password: " not in shown and b"reading" not in shown:
        shown += await asyncio.to_thread(os.read, ours, 1024)
    os.write(ours, b"\x03")
    assert await asyncio.to_thread(process.wait, PATIENCE_SECONDS) == 130
    os.close(ours)
    assert b"Traceback" not in shown


TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is for us
from statsd.commands import main
from statsd.exchange import reading
opened = reading.opened
def telling(path):
    print("reading", flush=True)
    return opened(path)
reading.opened = telling
sys.exit(main.main(sys.argv[1:]))
"""


def test_missing_packages_are_told_with_the_command_that_installs_them(folder: Path) -> None:
    ended = python(folder, "import sys; sys.argv[1:] = ['serve']; from statsd.__main__ import run; run()", "-S")
    assert ended.returncode == 1
    assert ended.stderr.startswith("statsd: the package ")
    assert f"pip install -e {ROOT}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_older_python_and_windows_are_told_in_a_sentence(folder: Path) -> None:
    for change, says in (
        ("sys.version_info = (3, 10, 4)", "statsd-live needs Python 3.11 or newer"),
        ("sys.platform = 'win32'", "on Windows, run it in WSL"),
    ):
        ended = python(folder, f"import sys; from statsd.__main__ import run; {change}; run()")
        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
        assert says in ended.stderr
    for name in ("__init__", "__main__"):  # which must come so far
        ast.parse((ROOT / f"statsd/{name}.py").read_text(), feature_version=(3, 7))


@pytest.fixture(scope="module")
def completion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash."""
    folder = tmp_path_factory.mktemp("completion")
    command = [sys.executable, "-m", "statsd", "completion", "bash"]
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    (folder / "script").write_text(ended.stdout)
    (folder / "backup.tar").touch()
    return folder


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("s", {"serve", "seed", "sql"}),
        ("serve --p", {"--port"}),
        ("serve -", {"-p", "--port", "-H", "--host", "-d", "--data-dir", "-h", "--help"}),
        ("export ", {"logins", "webhooks", "pageviews"}),
        ("generate --stream web", {"webhooks"}),
        ("dead-letters ", {"list", "retry", "drop"}),
        ("restore ba", {"backup.tar"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(completion: Path, line: str, offers: set[str]) -> None:
    words = ["statsd-live", *line.split(" ")]
    script = f"""
        source ./script
        complete -p statsd-live | grep -q _shtab_statsd_live || exit 1
        COMP_WORDS=({" ".join(word or "''" for word in words)}) COMP_CWORD={len(words) - 1}
        _shtab_statsd_live
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ended = subprocess.run(["bash", "-c", script], cwd=completion, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    replies = {reply.strip() for reply in ended.stdout.splitlines()}
    assert offers <= replies
    assert all(reply.startswith(words[-1]) for reply in replies)


def test_completion_without_its_package_says_how_to_get_it(folder: Path) -> None:
    run = "import sys; sys.modules['shtab'] = None; from statsd.commands import main; sys.exit(main.main({}))"
    ended = python(folder, run.format(["completion", "zsh"]))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.strip() == "statsd: completion needs the package shtab: pip install shtab"


def test_terminal_without_colours_gets_none(folder: Path) -> None:
    ended = python(folder, "from statsd.commands import main; main.main(['--help'])")
    assert "\033" not in ended.stdout + ended.stderr
