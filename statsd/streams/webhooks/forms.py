"""Bodies of HTML forms, as GitHub, Slack and Twilio send them (`application/x-www-form-urlencoded`)."""

from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec

from statsd.errors import BadRequest, InvalidEvent
from statsd.streams.webhooks.event import TYPE_CHARACTERS, USER_CHARACTERS
from statsd.web.decode import BOM, When, label, parse, text

FORM = "application/x-www-form-urlencoded"
PAYLOAD = "payload"
"""The only field of a form that holds the whole event as JSON."""
MOST_FIELDS = 1_000


class FormEvent(msgspec.Struct):
    """A form with the fields of an event. It may also have those of another form, or JSON in the field `payload`."""

    eventType: Annotated[str, label(TYPE_CHARACTERS)]  # noqa: N815 - the contract's own names
    userId: Annotated[str, text(USER_CHARACTERS)]  # noqa: N815
    timestamp: When | None = None


def decode(body: bytes) -> Any:
    """Return the fields of a form as an object; of a form with nothing but `payload`, the JSON in it.

    A field that stands several times is a list of its texts, in their order. Raises InvalidEvent, and BadRequest (415)
    for JSON: `curl -d` calls all that it sends a form, but what writes a form leaves no brace in its first name.
    """
    if body.lstrip()[:1] in (b"{", b"["):
        raise BadRequest(415, f"Content-Type: must be application/json for a body of JSON (got {FORM})")
    try:
        pairs = parse_qsl(
            body.removeprefix(BOM).decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except UnicodeError as error:
        raise InvalidEvent(["the form must be UTF-8, percent-encoded"]) from error
    except ValueError as error:
        raise InvalidEvent([f"the form must not have more than {MOST_FIELDS} fields"]) from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    if fields.keys() == {PAYLOAD} and len(fields[PAYLOAD]) == 1:
        return parse(fields[PAYLOAD][0])
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
