"""The page's scripts: imports lead one way, functions can be seen whole, panels and cards keep their state inside.

app → panels → cards → figures or widgets → wire
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from folders import ROOT

ASSETS = ROOT / "static/assets"
STEPS = {"wire": 0, "figures": 1, "widgets": 1, "cards": 2, "panels": 3, ".": 4}
IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")
"""Types are imported in comments: they count, too."""
FUNCTION = re.compile(r"( *)(?!.*\b(?:if|for|while|switch)\b)(?:.*\bfunction\b|.*=>|\S*#?\w+\(.*\)).*[{(]$")
MOST_LINES = 60
STATE = re.compile(r"^(?:export )?(?:let\b.*|const .*= new (?:Map|Set)\b.*)", re.MULTILINE)
SCRIPTS = sorted(path for path in ASSETS.rglob("*.js") if "vendor" not in path.parts)


def step_and_room(path: Path) -> tuple[int, str]:
    """The room of a script is its folder; each panel is a room of its own, be it a file or a folder."""
    folder, *inside = path.relative_to(ASSETS).with_suffix("").parts if path.parent != ASSETS else (".",)
    return STEPS[folder], f"{folder}/{inside[0]}" if folder == "panels" else folder


def wrong_imports(path: Path, source: str) -> list[str]:
    """What `source` imports that is neither in its own room nor on a lower step."""
    step, room = step_and_room(path)
    imported = {name: step_and_room((path.parent / name).resolve()) for name in IMPORT.findall(source)}
    return [name for name, (its_step, its_room) in imported.items() if its_room != room and its_step >= step]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ASSETS)))
def test_script_imports_only_from_its_folder_or_a_lower_step(path: Path) -> None:
    assert wrong_imports(path, path.read_text()) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("wire/ask.js", 'import { element } from "../widgets/element.js";'),
        ("figures/format.js", 'import { element } from "../widgets/element.js";'),
        ("widgets/csv.js", '/** @import { Row } from "../figures/rows.js" */'),
        ("cards/card.js", 'import { logins } from "../panels/logins.js";'),
        ("panels/logins.js", 'import { webhooks } from "./webhooks.js";'),
        ("panels/usage/usage.js", '/** @typedef {import("../logins.js").Login} Login */'),
    ],
)
def test_planted_upward_import_is_found(path: str, line: str) -> None:
    assert len(wrong_imports(ASSETS / path, line)) == 1


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ASSETS)))
def test_function_can_be_seen_whole(path: Path) -> None:
    lines = path.read_text().splitlines()
    for start, line in enumerate(lines):
        if match := FUNCTION.match(line):
            end = next(
                at for at in range(start + 1, len(lines)) if lines[at].startswith((f"{match[1]}}}", f"{match[1]})"))
            )
            assert end - start < MOST_LINES, f"{path}:{start + 1}: {line.strip()}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ASSETS)))
def test_panels_and_cards_keep_no_state_outside_of_functions(path: Path) -> None:
    if path.relative_to(ASSETS).parts[0] in ("cards", "panels"):
        assert STATE.findall(path.read_text()) == []
