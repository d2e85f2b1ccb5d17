"""The house keeps its shape: floors, files, and nothing that is forbidden."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT

from statsd import app, sql
from statsd.settings import Settings
from statsd.streams import STREAMS

FLOORS = [
    {
        "errors",
        "settings",
        "sql",
        "stream",
        "metrics",
        "pooler",
        "progress",
        "segments",
        "signatures",
        "windows",
        "cursors",
        "operation",
        "shapes",
        "docstrings",
    },
    {
        "logs",
        "web",
        "database",
        "postgres",
        "cluster",
        "unprivileged",
        "decode",
        "passwords",
        "throttle",
        "tokens",
        "health",
        "channel",
        "spool",
        "outage",
        "deadletters",
        "tasks",
        "cloudevents",
    },
    {"ingest", "aggregate", "live", "generator", "refusals", "export", "answers", "accounts", "pages"},
    {"accept", "received", "senders", "session", "sse", "ownership", "series", "movements", "features"},
    {"streams", "websocket", "front", "signin", "openapi"},
    {"app", "samples", "arguments"},
    {"cli"},
    {"__main__"},
]
BESIDE = {
    ("channel", "database"),
    ("cloudevents", "decode"),
    ("cluster", "unprivileged"),
    ("front", "websocket"),
    ("generator", "ingest"),
    ("health", "database"),
    ("health", "decode"),
    ("health", "outage"),
    ("health", "web"),
    ("openapi", "streams"),
    ("outage", "database"),
    ("outage", "deadletters"),
    ("outage", "spool"),
    ("postgres", "cluster"),
    ("postgres", "unprivileged"),
    ("series", "sse"),
    ("settings", "signatures"),
    ("throttle", "database"),
    ("web", "decode"),
}
"""What imports from its own floor: a module and the part of it that has a file of its own."""
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = sorted((ROOT / "statsd").rglob("*.py"))


def _floor_name(path: Path) -> str:
    inside = path.relative_to(ROOT / "statsd")
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def _imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, by the name their floor knows them by."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "statsd":
            below = node.module.split(".")[1:]
            found |= {below[0]} if below else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("statsd.")}
    return found & set(FLOOR_OF)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_from_lower_floors(path: Path) -> None:
    name = _floor_name(path)
    if name == "__init__":
        return
    for imported in _imports(path) - {"errors"}:
        inside_streams = name == imported == "streams" and path.stem == "__init__"
        allowed = FLOOR_OF[imported] < FLOOR_OF[name] or (name, imported) in BESIDE or inside_streams
        assert allowed, f"{name} (floor {FLOOR_OF[name]}) imports {imported} (floor {FLOOR_OF[imported]})"


def test_every_module_has_a_floor_and_a_docstring() -> None:
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), path
        assert _floor_name(path) in {*FLOOR_OF, "__init__"}, path


def test_stream_is_one_python_file_one_sql_file_one_topic_and_one_panel() -> None:
    for stream in STREAMS:
        assert {"insert", "sweep", "rebuild", "fold", "stored", "empty", "lock"} <= set(sql.load(stream.name))
        assert {view.query for view in stream.topics().values()} <= set(sql.load(stream.name))
        assert bool(stream.part_of) != (stream.name in stream.topics())
        place = stream.part_of or stream.name
        assert (ROOT / f"statsd/streams/{place}.py").is_file()
        assert (ROOT / f"static/assets/panels/{place}.js").is_file()
        assert next(iter(stream.columns)) == "id"


def test_every_route_is_made_once() -> None:
    routes = [(route.method, route.resource.canonical) for route in app.make_app(Settings()).router.routes()]
    assert len(routes) == len(set(routes))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_of_the_empty_kind(path: Path) -> None:
    """A thing without a name of its own has no file."""
    assert path.stem not in {"utils", "helpers", "common", "core", "services", "managers", "base"}


def test_sql_stands_in_sql_files() -> None:
    """Python holds no statement that reads or writes a stream's tables."""
    for path in MODULES:
        found = re.search(
            r"\b(insert into|update|delete from|from|join) (user_logins|login_\w+|users|feature_clicks|usage_\w+)",
            path.read_text(),
        )
        assert not found, f"{path}: {found and found[0]}"


def test_page_has_nothing_inline() -> None:
    """The CSP forbids it, and would break the page."""
    for page in (ROOT / "static").rglob("*.html"):
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", page.read_text()), page
