"""The log: one bounded line per message, and no client can flood it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import aiohttp
import pytest
from program import Program
from waiting import until

from statsd.commands import logs


@contextmanager
def logger(formatter: logging.Formatter | None = None) -> Iterator[logging.Logger]:
    """A logger of the test's own that writes as the program does."""
    handler = logs._Stderr()
    handler.setFormatter(formatter or logs._Text(colour=False))
    log = logging.Logger("statsd.test")
    log.addHandler(handler)
    yield log
    handler.close()


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_message_is_one_line_of_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    with logger() as log:
        log.info("a page of %r", "x" * 10_000)
        log.info("%s", "a\r\n2026-11-21 ERROR fake\033[31m\x9b\u202ered\u2028é")
        long, short = written(capsys)
        assert len(long) < 600
        assert long.endswith("…")
        assert short.endswith(r"a\r\n2026-11-21 ERROR fake\x1b[31m\x9b\u202ered\u2028é")


def test_alike_warnings_are_summed(capsys: pytest.CaptureFixture[str]) -> None:
    with logger() as log:
        for number in range(42):
            log.warning("refused a page of %r", f"https://{number}.example")
            log.info("stored %d", number)
        log.warning("another warning")
        lines = written(capsys)
        assert sum("refused" in line for line in lines) == logs.MOST_ALIKE
        assert sum("stored" in line for line in lines) == 42
        assert "another warning" in lines[-1]
        log.handlers[0].close()  # as at the end of the minute
        (line,) = written(capsys)
        assert line.endswith("statsd.test: … and 37 more in the last minute: refused a page of 'https://41.example'")
        assert "WARNING" in line
        log.warning("refused a page of %r", "https://new.example")
        assert len(written(capsys)) == 1


async def test_sum_is_written_when_the_minute_is_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with logger() as log:
        monkeypatch.setattr(logs, "MINUTE", 0.05)
        for _ in range(logs.MOST_ALIKE + 3):
            log.error("gone")
        await until(lambda: "… and 3 more in the last minute: gone" in capsys.readouterr().err)


def test_different_defects_are_different_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    with logger() as log:

        def fail(error: Exception) -> None:
            try:
                raise error
            except Exception:
                log.exception("defect %s", "0123")

        for number in range(20):
            fail(ValueError(f"one{number}"))
            try:
                raise KeyError(f"other{number}\n2026-11-21 ERROR fake")
            except KeyError:
                log.exception("defect %s", "4567")
        lines = written(capsys)
        assert sum("ValueError: one" in line for line in lines) == logs.MOST_ALIKE
        assert sum("KeyError: 'other" in line for line in lines) == logs.MOST_ALIKE
        assert not any(line.startswith("2026-11-21 ERROR") for line in lines)


def test_kinds_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    with logger() as log:
        for number in range(logs.MOST_KINDS + 50):
            log.warning(f"text of a client {number}")
        assert len(written(capsys)) <= logs.MOST_KINDS + logs.MOST_ALIKE


def test_json_is_bounded_too(capsys: pytest.CaptureFixture[str]) -> None:
    with logger(logs._Json()) as log:
        try:
            raise ValueError("x" * 10_000)
        except ValueError:
            log.exception("a\n%s", "y" * 10_000)
        (text,) = written(capsys)
        line = json.loads(text)
        assert line["message"].startswith("a\\ny")
        assert "ValueError: xxx" in line["traceback"]
        assert len(text) < 3_000


@pytest.mark.parametrize("form", ["text", "json"])
async def test_address_is_the_last_line_of_a_start_and_the_log_of_a_quiet_server_is_quiet(
    run: Callable[..., Program], form: str
) -> None:
    program = run("serve", "--port", "0", LOG_FORMAT=form, STATS_AGGREGATE_SECONDS="0.1")
    address = await program.address()
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            assert (await session.get(f"{address}/health")).status == 200
    program.process.terminate()
    assert await program.ended() == 0
    lines = program.stderr.splitlines()
    assert len(lines) < 6  # of which one is of all migrations
    assert address in lines[-1]
    if form == "json":
        assert {json.loads(line)["level"] for line in lines} == {"info"}
        assert json.loads(lines[-1])["message"].endswith("Ctrl-C stops it")


UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
POST = "POST /event HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
ATTACKS = {
    "cut off": f"{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "broken chunk": f"{POST}Transfer-Encoding: chunked\r\n\r\nZZ\r\nab",
    "no gzip": f"{POST}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
    "no HTTP": "\x16\x03\x01 nonsense\r\n\r\n",
    "subprotocol": f"{UPGRADE}Sec-WebSocket-Protocol: {'p' * 8_000}\r\n\r\n",
    "origin": f"{UPGRADE}Origin: https://evil.example/{'o' * 8_000}\r\n\r\n",
}


async def test_strangers_cannot_flood_the_log(run: Callable[..., Program]) -> None:
    program = run("serve", "--port", "0")
    host, port = (await program.address()).removeprefix("http://").split(":")
    quiet = len(program.stderr)
    for attack in ATTACKS.values():
        for _ in range(20):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(attack.encode("latin-1"))
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read()  # to the end
            writer.close()
    program.process.terminate()
    assert await program.ended() == 0
    text = program.stderr[quiet:]
    assert "Traceback" not in text, text[text.index("Traceback") - 200 :][:4000]
    lines = text.splitlines()
    assert max(map(len, lines)) < 700
    assert len(lines) <= len(ATTACKS) * (logs.MOST_ALIKE + 1)
    assert "Error handling request" not in text  # what is no HTTP is answered, and for debugging only
    assert "pppp" not in text  # a subprotocol may be a token
    kind = "refused a WebSocket"
    assert sum(kind in line for line in lines) == logs.MOST_ALIKE + 1
    assert any(kind in line and "more in the last minute" in line for line in lines)
