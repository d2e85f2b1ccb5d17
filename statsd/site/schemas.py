"""JSON Schemas of the types that handlers declare; every struct is a component of the document."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"


class Schemas:
    """Makes schemas, and keeps the types that they refer to."""

    def __init__(self) -> None:
        self._structs: dict[type[Any], None] = {}
        self._batches: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type: of a struct a reference, of a list or a union one made of references."""
        if isinstance(kind, UnionType):
            return {"anyOf": [self.of(one) for one in get_args(kind)]}
        if get_origin(kind) is list:
            return {"type": "array", "items": self.of(get_args(kind)[0])}
        if isinstance(kind, type) and hasattr(kind, "__annotations__"):
            self._structs[kind] = None
            return {"$ref": REFERENCE.format(name=kind.__name__)}
        schema: Schema = portable(msgspec.json.schema(kind))
        return schema

    def any_of(self, kinds: Sequence[Any]) -> Schema:
        """Return the schema of a body that may be each of the types; a list among others is a component."""
        made = [self.batch(kind) if len(kinds) > 1 and get_origin(kind) is list else self.of(kind) for kind in kinds]
        return {"anyOf": made} if len(made) > 1 else made[0]

    def batch(self, kind: Any, **bounds: int) -> Schema:
        """Return a reference to the schema of a list, such as `LoginBatch` of `list[Login]`."""
        (items,) = get_args(kind)
        name = f"{(get_args(items) or (items,))[0].__name__}Batch"
        self._batches[name] = {"title": name, **self.of(kind), **bounds}
        return {"$ref": REFERENCE.format(name=name)}

    def components(self) -> Schema:
        """Return every schema that was referred to, by name."""
        _, structs = msgspec.json.schema_components(self._structs, ref_template=REFERENCE)
        return dict(sorted({**portable(structs), **self._batches}.items()))


def portable(schema: Any) -> Any:
    """Return a schema for every reader: patterns without Python's \\A and \\Z, and the type of what has choices."""
    if isinstance(schema, dict):
        made = {key: portable(value) if key != "pattern" else _ecma(value) for key, value in schema.items()}
        return {"type": "string", **made} if isinstance(schema.get("enum"), list) else made
    return [portable(one) for one in schema] if isinstance(schema, list) else schema


def _ecma(pattern: str) -> str:
    return pattern.replace(r"\A", "^").replace(r"\Z", "$")
