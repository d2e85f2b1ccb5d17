"""What the document promises, schemathesis tries on a server: valid and invalid requests of every operation."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from statsd.accounts import signin
from statsd.database import sql

HERE = Path(__file__).parent
SECONDS = 300.0
"""On an idle machine it takes a tenth of that."""


async def test_server_keeps_what_the_document_promises(client: Any, pool: Any, folder: Path) -> None:
    await pool.execute(sql.load("transfers")["seed"])
    response = await client.post("/register", json=signin.NEW | signin.KNOWN)
    await pool.execute("update users set role = 'admin'")
    token = (await response.json())["token"]
    command = ["--config-file", str(HERE / "schemathesis.toml"), "run", str(client.make_url("/openapi.json"))]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "schemathesis.cli", *command, "--request-timeout", "30"],
        cwd=folder,
        env={**os.environ, "TOKEN": token, "HOOKS": str(HERE / "schemathesis_hooks.py"), "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, printed.decode()
