"""What schemathesis cannot read from the document; the process that asks loads this file (see schemathesis.toml)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st

DAYS = st.dates(date(1970, 1, 1), date(2099, 12, 31))
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))

schemathesis.openapi.format("date", DAYS.map(date.isoformat))
schemathesis.openapi.format("date-time", INSTANTS.map(lambda when: when.isoformat().replace("+00:00", "Z")))


@schemathesis.serializer("application/x-ndjson")
def lines(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """The examples of lines of JSON are sent as they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_case(_: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Leave out lines of JSON: to JSON Schema any text would do."""
    return case.media_type != "application/x-ndjson"


@schemathesis.hook
def filter_body(_: schemathesis.HookContext, body: Any) -> bool:
    """A batch of several may be partly valid, and is then stored in part: only batches of one are asked."""
    return not isinstance(body, list) or len(body) <= 1


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Send what can be sent: attributes of CloudEvents all or not at all, and a form with texts in it.

    A header such as `ce-type` alone would make a CloudEvent of any body. In a form, a list is several fields or none,
    and an object, such as metadata, cannot be sent.
    """
    if case.media_type == "application/x-www-form-urlencoded" and isinstance(case.body, dict):
        case.body = {name: str(value) for name, value in case.body.items() if name != "metadata"}
    for name in [name for name in case.headers or {} if name.startswith("ce-")]:
        del case.headers[name]
