"""The house keeps its shape: floors, files, and nothing that is forbidden."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest
from folders import ROOT

from statsd import app
from statsd.database import sql
from statsd.settings import Settings
from statsd.streams import STREAMS

STEPS: tuple[tuple[str, ...], ...] = (
    ("errors", "libpq", "metrics", "settings", "stream"),
    ("database", "web"),
    ("ingest", "live", "accounts"),
    ("streams",),
    ("site", "exchange", "doctor"),
    ("app", "prove"),
    ("commands",),
    ("__main__",),
)
"""The one rule of imports: a module imports from its own folder, or from a folder or module on a lower step.

The vocabulary on the first step imports nothing but itself; folders on one step never import each other; one stream
never imports another.
"""
STEP_OF = {room: step for step, rooms in enumerate(STEPS) for room in rooms}
MODULES = sorted((ROOT / "statsd").rglob("*.py"))


def _room(module: str) -> str:
    """The folder below statsd/ that a module is in, or the module itself; of a stream `streams.<its name>`."""
    parts = module.split(".")[1:]
    return (
        ".".join(parts[:2])
        if parts[:1] == ["streams"] and (ROOT / "statsd" / "/".join(parts[:2])).is_dir()
        else parts[0]
    )


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(source: str) -> set[str]:
    """The modules of ours that a source imports; `from statsd.x import y` counts as `statsd.x.y`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "statsd":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("statsd.")}
    return {name for name in found if name.split(".")[1] in STEP_OF}


def upward_imports(module: str, source: str) -> list[str]:
    """Return what a module imports against the rule."""
    room = _room(module)
    return sorted(name for name in _imports(source) if not _may_import(room, _room(name)))


def _may_import(room: str, other: str) -> bool:
    if room == other or (room == "streams" and other.startswith("streams.")):
        return True
    step, other_step = (STEP_OF[name.split(".")[0]] for name in (room, other))
    shared = room.startswith("streams.") and other == "streams"  # moments.py, for every stream
    return other_step < step or (step == other_step == 0) or shared


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_from_its_own_folder_and_from_lower_steps(path: Path) -> None:
    module = _module(path)
    if module != "statsd":
        assert not upward_imports(module, path.read_text())


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("statsd.errors", "from statsd.web import answers"),
        ("statsd.database.pool", "from statsd.web.decode import parse"),
        ("statsd.ingest.writer", "from statsd.live.topics import Hub"),
        ("statsd.live.websocket", "from statsd.streams.logins import event"),
        ("statsd.streams.usage.read", "from statsd.streams.webhooks.read import OVERVIEW"),
        ("statsd.site.docs", "from statsd import app"),
        ("statsd.app", "import statsd.commands.main"),
    ],
)
def test_upward_import_is_found(module: str, line: str) -> None:
    assert len(upward_imports(module, line)) == 1


def test_first_level_is_the_steps_and_every_module_says_what_it_is() -> None:
    names = {path.name.removesuffix(".py") for path in (ROOT / "statsd").iterdir() if path.name[:2] != "__"}
    assert {*names, "__main__"} == set(STEP_OF)
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_wheel_has_every_folder() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    folders = {_module(path) for path in MODULES if path.name == "__init__.py"}
    assert set(config["options"]["packages"].split()) == {*folders, "statsd.data"}


def test_stream_is_a_folder_its_sql_a_topic_and_a_panel() -> None:
    for stream in STREAMS:
        assert {"insert", "sweep", "rebuild", "empty", "lock", "recount", "days"} <= set(sql.load(stream.name))
        assert all(view.query in sql.load(view.file or view.stream) for view in stream.topics().values())
        assert bool(stream.part_of) != (stream.name in stream.topics())
        place = stream.part_of or stream.name
        assert (ROOT / f"statsd/streams/{place}").is_dir()
        panels = ROOT / "static/assets/panels"
        assert (panels / f"{place}.js").is_file() or (panels / place / f"{place}.js").is_file()
        assert next(iter(stream.columns)) == "id"


def test_every_route_is_made_once() -> None:
    every = app.make_app(Settings()).router.routes()
    routes = [(route.method, route.resource and route.resource.canonical) for route in every]
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
