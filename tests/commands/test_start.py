"""What a start imports. Imports are most of its time, so a command gets only those that it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from folders import ROOT

HEAVY = {"aiohttp", "argon2", "asyncpg", "jwt", "msgspec", "prometheus_client"}


@pytest.mark.parametrize(
    "module",
    [
        "main",  # the help and the version
        "serve",  # PostgreSQL starts before the application is imported
        "database_url",
    ],
)
def test_command_starts_without_the_application(module: str) -> None:
    code = f"import sys, statsd.commands.{module}; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(imported.stdout.split())
    assert "statsd.app" not in imported.stdout.split()


@pytest.mark.parametrize("command", ["--version", "--help"])
def test_help_imports_no_command(command: str) -> None:
    code = "import atexit, sys; from statsd.commands import main; atexit.register(lambda: print(*sys.modules))\n"
    code += f"main.main(['{command}'])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    commands = {name for name in printed.stdout.split() if name.startswith("statsd.commands.")}
    assert commands == {f"statsd.commands.{name}" for name in ("main", "logs", "blocking", "parser")}
