"""JSON Schemas made of examples: what all of them have is required, what they differ in is left open.

A text that reads like a UUID, a day or an instant is one. The keys of a Counter are free, and so are those of an object
that is empty in every example.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

FORMATS = {
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
}
SCALARS = {bool: "boolean", int: "integer", float: "number", type(None): "null"}


def schema(values: Sequence[Any]) -> Schema:
    """Return the schema of everything that looks like one of the values; of none, the one that allows anything."""
    made = [
        *_one(_objects, [value for value in values if isinstance(value, dict)]),
        *_one(_arrays, [value for value in values if isinstance(value, list)]),
        *_one(_texts, [value for value in values if isinstance(value, str)]),
        *_scalars([type(value) for value in values if not isinstance(value, dict | list | str)]),
    ]
    if len(made) < 2:
        return made[0] if made else {}
    if all(one.keys() <= {"type", "format"} for one in made):
        return {key: value for one in made for key, value in one.items()} | {"type": [one["type"] for one in made]}
    return {"anyOf": made}


def _one(make: Any, values: list[Any]) -> list[Schema]:
    return [make(values)] if values else []


def _objects(values: list[dict[str, Any]]) -> Schema:
    if any(isinstance(value, Counter) for value in values):
        return {"type": "object", "additionalProperties": schema([one for value in values for one in value.values()])}
    names = dict.fromkeys(name for value in values for name in value)
    if not names:
        return {"type": "object"}
    required = [name for name in names if all(name in value for value in values)]
    properties = {name: schema([value[name] for value in values if name in value]) for name in names}
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _arrays(values: list[list[Any]]) -> Schema:
    inner = schema([one for value in values for one in value])
    return {"type": "array", "items": inner} if inner else {"type": "array"}


def _texts(values: list[str]) -> Schema:
    found = next((name for name, pattern in FORMATS.items() if all(map(pattern.fullmatch, values))), None)
    return {"type": "string", "format": found} if found else {"type": "string"}


def _scalars(kinds: list[type]) -> list[Schema]:
    names = dict.fromkeys(SCALARS[kind] for kind in kinds)
    if "number" in names:
        names.pop("integer", None)
    return [{"type": name} for name in names]
