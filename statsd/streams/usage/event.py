"""A click: what a page sends, and the row it becomes."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from statsd.ingest.accept import EVENT_ID
from statsd.stream import Row
from statsd.web.decode import Decoder
from statsd.web.texts import PRINTABLE

FEATURE_CHARACTERS = 64
ALL = "All"
REQUIRED = "feature_name is required"

Name = msgspec.Meta(max_length=FEATURE_CHARACTERS, pattern=PRINTABLE, description="")


class NewClick(msgspec.Struct, frozen=True, kw_only=True):
    """A click as clients send it, with the feature in one of two fields. The server adds the user and the time."""

    feature_name: Annotated[str, Name] | None = None
    featureName: Annotated[str, Name] | None = None  # noqa: N815 - a name on the wire
    event_id: Annotated[str, EVENT_ID] | None = None

    @property
    def name(self) -> str:
        return self.feature_name or self.featureName or ""


class Click(msgspec.Struct, frozen=True, kw_only=True):
    """A click with the age and gender of its user at that time. `user_id` is None for a generated click."""

    user_id: int | None
    feature_name: str
    timestamp: datetime
    age: int
    gender: str


def check(click: NewClick) -> list[str]:
    """Return the faults of a click that the types of its fields do not show."""
    if click.name == ALL:
        return [f"feature_name must not be {ALL}: it stands for every feature"]
    return [] if click.name else [REQUIRED]


def explain(name: str, value: Any) -> str | None:
    """Return the fault of a feature's name in the words that clients expect; None for the usual words."""
    if name == "event_id":
        return None
    if not isinstance(value, str) or not value.strip():
        return REQUIRED
    return f"{name} must be a string of 1 to {FEATURE_CHARACTERS} printable characters"


def row(click: Click, id: UUID) -> Row:
    """Return the values of `STREAM.columns`."""
    return (id, click.user_id, click.feature_name, click.timestamp, click.age, click.gender)


DECODER = Decoder(NewClick, check, explain)
