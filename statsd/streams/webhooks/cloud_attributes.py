"""The attributes of a CloudEvent: what each must be, and the one form in which it is kept.

JSON has types where a header has only text. So an attribute is kept as the string that CloudEvents 1.0.2 calls its
string encoding, whichever way it came: 5 is `5`, true is `true`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from statsd.streams.webhooks.answers import Fault
from statsd.streams.webhooks.cloud_data import BASE64, MEMBERS
from statsd.streams.webhooks.event import TYPE_CHARACTERS
from statsd.web.decode import label, text
from statsd.web.texts import NONCHARACTERS, NOT_BLANK_NO_CONTROLS
from statsd.web.times import DATE_TIME

REQUIRED = ("specversion", "id", "source", "type")
TEXT_CHARACTERS = 1_000  # of an id and a source
SMALLEST, LARGEST = -(2**31), 2**31 - 1  # of the type Integer
MOST_FAULTS = 100  # of one event
JSON = "application/json"

# No pattern has two ways to match the same text: it takes one pass over it, however long it is.
STRING = rf"\A[^\x00-\x1f\x7f-\x9f{NONCHARACTERS}]*\Z"
NAME = r"\A[a-z0-9]+\Z"
_TCHAR = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_PARAMETER = rf"""{_TCHAR}+=(?:"(?:[^"\\]|\\.)*"|[^\s";,]+)"""
MEDIA_TYPE = rf"\A[0-9A-Za-z]{_TCHAR}*/[0-9A-Za-z]{_TCHAR}*[ \t]*(?:;[ \t]*(?:{_PARAMETER}[ \t]*)?)*\Z"
_IN_URI = r"""(?:[^\s"<>\\^`{|}%\[\]]|%[0-9A-Fa-f]{2})"""
URI = rf"\A[A-Za-z][A-Za-z0-9+.-]*:(?=.)(?://\[[0-9A-Fa-f:.]+\])?{_IN_URI}*\Z"
INSTANT = r"\A\d{4}-\d\d-\d\d[Tt](?!24)\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)\Z"
INSTANT_RULE = "an RFC 3339 instant with seconds and a zone, from 1970 to 2099, such as 2026-11-21T10:30:00Z"

_has_characters = re.compile(STRING).search
_is_name = re.compile(NAME).search
_is_text = re.compile(NOT_BLANK_NO_CONTROLS).search


class Rule(NamedTuple):
    """What an attribute of the specification must be: as a function, in words, and the kind of its fault."""

    holds: Callable[[str], object]
    must: str
    kind: str = "any.invalid"


_LABEL = f"must be a non-empty string of at most {TYPE_CHARACTERS} characters without control or invisible characters"
_MUST = f"must be a non-empty string of at most {TEXT_CHARACTERS} characters"
_NAME = Rule(lambda text: len(text) <= TEXT_CHARACTERS and _is_text(text), f"{_MUST} without control characters")
RULES = {
    "specversion": Rule(lambda text: text == "1.0", "must be 1.0"),
    "id": Rule(lambda text: 1 <= len(text) <= TEXT_CHARACTERS, _MUST),
    "source": _NAME,  # only compared, never resolved: it need not be a URI
    "type": Rule(_NAME.holds, _LABEL),  # the eventType, which it becomes, is shorter
    "subject": Rule(bool, "must be a non-empty string"),
    "time": Rule(re.compile(INSTANT, re.ASCII).search, f"must be {INSTANT_RULE}", "string.isoDate"),
    "datacontenttype": Rule(re.compile(MEDIA_TYPE).search, f"must be a media type, such as {JSON}"),
    "dataschema": Rule(re.compile(URI).search, "must be a URI with its scheme, such as https://example.com/order.json"),
}
"""The attributes of the specification."""


def canonical(members: Mapping[str, Any]) -> tuple[dict[str, str], list[Fault]]:
    """Return the attributes among the members of a CloudEvent as strings, and the faults of those that are invalid.

    A member that is null is unset. An event without `datacontenttype` is JSON.
    """
    given = {name: value for name, value in members.items() if value is not None and name not in MEMBERS}
    texts, faults = {"datacontenttype": JSON}, []
    for name in dict.fromkeys((*REQUIRED, *given)):
        value = given.get(name)
        text: Any = value if name in RULES else _encoded(value)
        if value is None:
            faults.append(Fault.of(name, "any.required", "is required"))
        elif fault := _fault(name, text):
            faults.append(fault)
        else:
            texts[name] = text
    return texts, faults[:MOST_FAULTS]


def _encoded(value: Any) -> str | None:
    """Return the string encoding of an extension attribute; None if its type is none of CloudEvents'."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and value % 1 == 0 and SMALLEST <= value <= LARGEST:
        return str(int(value))  # to JSON Schema 5.0 is an integer, too
    return value if isinstance(value, str) else None


def _fault(name: str, text: Any) -> Fault | None:
    rule = RULES.get(name)
    if not rule and not _is_name(name):
        return Fault.of(name[:100], "object.unknown", "must have a name of lower-case letters a-z and digits")
    if rule and not (isinstance(text, str) and rule.holds(text)):
        return Fault.of(name, rule.kind, rule.must)
    if text is None:
        return Fault.of(name, "any.invalid", "must be a string, a boolean, or an integer of 32 bits")
    if not (text.isprintable() or _has_characters(text)):  # most are, and that is faster
        return Fault.of(name, "string.pattern.base", "must not have control characters or noncharacters")
    return None


class CloudEvent(msgspec.Struct):
    """A CloudEvent in structured mode, as the OpenAPI document shows it. The rules above decide."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARACTERS, pattern=STRING)]
    source: Annotated[str, text(TEXT_CHARACTERS)]
    type: Annotated[str, label(TYPE_CHARACTERS)]
    time: Annotated[str, msgspec.Meta(description=INSTANT_RULE, extra_json_schema=DATE_TIME)] | None = None
    subject: Annotated[str, msgspec.Meta(min_length=1, pattern=STRING)] | None = None
    datacontenttype: Annotated[str, msgspec.Meta(pattern=MEDIA_TYPE)] | None = None
    dataschema: Annotated[str, msgspec.Meta(pattern=URI)] | None = None
    data: Any = None
    data_base64: Annotated[str, msgspec.Meta(pattern=BASE64)] | None = None


_REST = msgspec.Meta(
    extra_json_schema={
        "properties": {"data": True},
        "propertyNames": {"anyOf": [{"pattern": NAME}, {"const": "data_base64"}]},
        "additionalProperties": {
            "anyOf": [
                {"type": "string", "pattern": STRING},
                {"type": "integer", "minimum": SMALLEST, "maximum": LARGEST},
                {"type": ["boolean", "null"]},
            ]
        },
        "not": {"required": [*MEMBERS], "properties": {"data_base64": {"type": "string"}}},
    }
)
ExtendedEvent = Annotated[CloudEvent, _REST]
"""The same with attributes of extensions, and with data at most once."""
