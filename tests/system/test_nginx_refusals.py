"""What nginx refuses before it knows of a program: in JSON, and with the headers of the program."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from nginx import Nginx
from ports import free_port
from waiting import PATIENCE_SECONDS, until

from statsd.web.origins import HEADERS

HOST = b"Host: localhost\r\n"
REFUSED = [
    (b"\x16\x03\x01\x00\xf1\x01\x00\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Cookie: a=" + b"x" * 9_000 + b"\r\n\r\n", 400),
    (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"GET /%ff%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /livez HTTP/3.7\r\n" + HOST + b"\r\n", 505),
    (b"POST /event HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x\r\n\r\n", 501),
    (b"GET /refused HTTP/1.1\r\n" + HOST + b"\r\n", 502),  # the page of refusals is nobody's: passed on as any path is
]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    running = Nginx(tmp_path, f"127.0.0.1:{free_port()}")
    yield running
    running.stop()


async def test_what_is_no_valid_request_is_refused_in_json(nginx: Nginx) -> None:
    await until(nginx.accepts)
    for data, status in REFUSED:
        with socket.create_connection(("127.0.0.1", nginx.port), PATIENCE_SECONDS) as connection:
            connection.sendall(data)
            answer = b""
            while not re.search(rb"\r\n\r\n.*}\Z", answer):
                answer += connection.recv(65_536)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert int(head[9:12]) == status, answer
        assert b"\r\nContent-Type: application/json\r\n" in head
        assert b"\r\nServer: nginx\r\n" in head  # without its version
        for name, value in HEADERS.items():
            assert f"{head.decode()}\r\n".count(f"\r\n{name}: {value}\r\n") == 1, (status, name)
        assert json.loads(body)["error"]
