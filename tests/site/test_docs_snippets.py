"""What the pages at /docs show is run as a reader would paste it: in a shell, in Python, over a WebSocket."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from folders import ROOT
from waiting import PATIENCE_SECONDS

STATIC = ROOT / "static"
PAGES = [STATIC / "docs.html", *sorted((STATIC / "docs").glob("*.html"))]
PRE = re.compile(
    r'<h2 id="(?P<section>\w+)">|<pre class="(?P<kind>\w+)"(?: data-socket="(?P<path>\S+)")?>(?P<text>.*?)</pre>',
    re.DOTALL,
)
WRITTEN = "http://127.0.0.1:8080"
KEY, SECRET = "open sesame", bytes(range(24))
GUARDED = "signatures"
"""The section whose snippets are for a server with a key or a secret."""

REFUSED = "errors"
"""The section that shows what is refused."""

Start = Callable[..., Awaitable[Any]]


class Snippet(NamedTuple):
    section: str
    kind: str
    path: str
    text: str


def snippets(*kinds: str) -> list[Any]:
    """The snippets of these kinds on all pages, as test cases: `<pre class="sh">` after `<h2 id="send">`."""
    cases = []
    for path in PAGES:
        section = ""
        for number, match in enumerate(PRE.finditer(path.read_text())):
            section = match["section"] or section
            if match["kind"] in kinds:
                case = Snippet(section, match["kind"], match["path"] or "/ws", html.unescape(match["text"]))
                cases.append(pytest.param(case, id=f"{path.stem}-{section}-{number}"))
    return cases


async def run_snippet(command: list[str], folder: Path, stream: bool = False) -> tuple[int | None, str]:
    """Return the exit code and what a snippet prints; of an endless one, its first lines up to the first data."""
    (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    environ = {
        **os.environ, "CURL_HOME": str(folder), "WEBHOOK_API_KEY": KEY,
        "WEBHOOK_SECRET": f"whsec_{base64.b64encode(SECRET).decode()}", "WEBHOOK_GITHUB_SECRET": KEY,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout
    async with asyncio.timeout(PATIENCE_SECONDS):
        if stream:
            printed = (await process.stdout.readuntil(b"data: ")).decode()
            process.kill()
            await process.wait()
            return 0, printed
        printed = (await process.communicate())[0].decode()
    return process.returncode, printed


@pytest.mark.parametrize("snippet", snippets("sh", "python"))
async def test_command_works_as_it_is_pasted(start: Start, tmp_path: Path, snippet: Snippet) -> None:
    guards: dict[str, Any] = {}
    if snippet.section == GUARDED:
        guards = {"webhook_api_key": KEY} if "X-API-Key" in snippet.text else {"webhook_secrets": (SECRET,)}
    if "$WEBHOOK_GITHUB_SECRET" in snippet.text:
        guards = {"sender_secrets": {"github": (KEY,)}}
    client = await start(**guards)
    if "/login " in snippet.text:
        account = {"username": "grace", "password": "correct horse", "age": 44, "gender": "Female"}
        assert (await client.post("/register", json=account)).status == 201
    text = snippet.text.replace(WRITTEN, str(client.make_url("/")).rstrip("/"))
    shell = ["bash", "-euo", "pipefail", "-c"] if snippet.kind == "sh" else [sys.executable, "-c"]
    code, printed = await run_snippet([*shell, text], tmp_path, stream="curl -N" in text)
    assert (code == 0) is (snippet.section != REFUSED), printed


def shape(frame: str) -> Any:
    """A frame with what the page abbreviates, `…`, as a text."""
    return json.loads(re.sub(r'{…}|\[…\]|"…"', '"…"', frame))


def assert_like(frame: dict[str, Any], shown: dict[str, Any]) -> None:
    assert list(frame) == list(shown)
    for name, value in shown.items():
        assert value in ("…", frame[name]) or name == "timestamp"


@pytest.mark.parametrize("snippet", snippets("frames"))
async def test_frames_are_exchanged_as_shown(start: Start, snippet: Snippet) -> None:
    client = await start()
    async with client.ws_connect(snippet.path) as socket:
        for line in snippet.text.splitlines():
            arrow, _, frame = line.partition(" ")
            if arrow == "→":
                await socket.send_str(frame)
            else:
                assert_like(await socket.receive_json(timeout=PATIENCE_SECONDS), shape(frame))


def test_pages_link_only_to_what_there_is() -> None:
    for path in PAGES:
        text = path.read_text()
        for page, anchor in re.findall(r'href="(/docs(?:/\w+\.html)?)?(?:#([\w-]+))?"', text):
            target = STATIC / f"{page[1:].removesuffix('.html')}.html" if page else path
            assert target.is_file(), f"{path.name}: {page}"
            assert not anchor or f'id="{anchor}"' in target.read_text(), f"{path.name}: {page}#{anchor}"
