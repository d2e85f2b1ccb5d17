"""JSON Schemas of the types that handlers declare. Every struct is a component of the OpenAPI document."""

from collections.abc import Sequence
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"


class Schemas:
    """Makes schemas, and collects the components that they refer to."""

    def __init__(self) -> None:
        self._kinds: list[Any] = []
        self._batches: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type. Structs become references, also in lists and unions."""
        if isinstance(kind, UnionType):
            return {"anyOf": [self.of(member) for member in get_args(kind)]}
        if get_origin(kind) is list:
            return {"type": "array", "items": self.of(get_args(kind)[0])}
        self._kinds.append(kind)
        (schema,), _ = msgspec.json.schema_components([kind], ref_template=REFERENCE)
        return dict(portable(schema))

    def any_of(self, kinds: Sequence[Any]) -> Schema:
        """Return the schema of a body of any of the types. A list is a component, unless it is the only type."""
        if len(kinds) == 1:
            return self.of(kinds[0])
        return {"anyOf": [self.batch(kind) if get_origin(kind) is list else self.of(kind) for kind in kinds]}

    def batch(self, kind: Any, **bounds: int) -> Schema:
        """Return a reference to the schema of a list, such as `LoginBatch` for `list[Login]`."""
        (items,) = get_args(kind)
        name = f"{(get_args(items) or (items,))[0].__name__}Batch"
        self._batches[name] = {"title": name, **self.of(kind), **bounds}
        return {"$ref": REFERENCE.format(name=name)}

    def components(self) -> Schema:
        """Return all schemas that were referred to, by name."""
        _, structs = msgspec.json.schema_components(self._kinds, ref_template=REFERENCE)
        return dict(sorted({**portable(structs), **self._batches}.items()))


def portable(schema: Any) -> Any:
    """Return a schema that all tools read: with patterns of ECMAScript, and a type for every `enum`."""
    if isinstance(schema, list):
        return [portable(element) for element in schema]
    if not isinstance(schema, dict):
        return schema
    fields = {name: portable(value) for name, value in schema.items()}
    if isinstance(pattern := schema.get("pattern"), str):
        fields["pattern"] = pattern.replace(r"\A", "^").replace(r"\Z", "$")
    return {"type": "string", **fields} if isinstance(schema.get("enum"), list) else fields
