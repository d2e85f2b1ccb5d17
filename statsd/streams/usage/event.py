"""A click: what a page sends, and the row it becomes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from statsd.ingest.accept import KEY_CHARACTERS
from statsd.stream import Row
from statsd.web.decode import PRINTABLE, Decoder

FEATURE_CHARACTERS = 64
ALL = "All"
REQUIRED = "feature_name is required"

Name = msgspec.Meta(max_length=FEATURE_CHARACTERS, pattern=PRINTABLE, description="")
Key = msgspec.Meta(
    min_length=1, max_length=KEY_CHARACTERS, description=f"a string of 1 to {KEY_CHARACTERS} characters if provided"
)


class NewClick(msgspec.Struct, frozen=True, kw_only=True):
    """A click as clients send it, under one of two names; who and when is not theirs to say."""

    feature_name: Annotated[str, Name] | None = None
    featureName: Annotated[str, Name] | None = None  # noqa: N815 - the name on the wire
    event_id: Annotated[str, Key] | None = None

    @property
    def name(self) -> str:
        return self.feature_name or self.featureName or ""


class Click(msgspec.Struct, frozen=True, kw_only=True):
    """A click and the person as they were; `user_id` is None for clicks that no account made."""

    user_id: int | None
    feature_name: str
    timestamp: datetime
    age: int
    gender: str


def check(sent: NewClick) -> list[str]:
    """Return what is wrong with a click beyond the types of its fields."""
    if sent.name == ALL:
        return [f"feature_name must not be {ALL}: it stands for every feature"]
    return [] if sent.name else [REQUIRED]


def explain(name: str, given: Any) -> str | None:
    """The wording of the contract for a name that is none, and ours for one that cannot be shown."""
    if name == "event_id":
        return None
    if not isinstance(given, str) or not given.strip():
        return REQUIRED
    return f"{name} must be a string of 1 to {FEATURE_CHARACTERS} printable characters"


def row(click: Click, id: UUID) -> Row:
    """Return the values of `STREAM.columns`."""
    return (id, click.user_id, click.feature_name, click.timestamp, click.age, click.gender)


DECODER = Decoder(NewClick, check, explain)
