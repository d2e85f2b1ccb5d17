"""A storm of clients: all of them are served, though they come before the server accepts any."""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from ports import free_port
from program import Program
from waiting import missing

from statsd.web import backlog

CLIENTS = 2_000
REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def test_storm_of_clients_resets_none(run: Callable[..., Program], database_url: str) -> None:
    if min(int(backlog.LIMIT.read_text()), resource.getrlimit(resource.RLIMIT_NOFILE)[0]) <= CLIENTS:
        missing(f"let {CLIENTS} connections wait: sysctl net.core.somaxconn=4096, ulimit -n 4096")
    port = free_port()
    program = run("serve", "--port", str(port), DATABASE_URL=database_url)
    await program.address()
    program.process.send_signal(signal.SIGSTOP)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(CLIENTS)]
        program.process.send_signal(signal.SIGCONT)
        for client in clients:
            client.sendall(REQUEST)
        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 200"}


def test_limit_of_the_system_is_said_when_it_is_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backlog, "LIMIT", tmp_path / "somaxconn")
    assert backlog.backlog() == backlog.BACKLOG
    backlog.LIMIT.write_text("4096\n")
    assert backlog.backlog() == backlog.BACKLOG
    assert caplog.messages == []
    backlog.LIMIT.write_text("128\n")
    assert backlog.backlog() == backlog.BACKLOG
    assert caplog.messages == ["only 128 connections can wait to be accepted: set net.core.somaxconn to 4096"]
