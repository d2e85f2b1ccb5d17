"""Clicks in files: with the id, and the age and gender that their user had."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from statsd.settings import Settings
from statsd.stream import Row
from statsd.streams.raw import Id, Raw
from statsd.streams.usage.event import ALL, FEATURE_CHARACTERS, Name
from statsd.streams.usage.stream import STREAM
from statsd.web.decode import When
from statsd.web.times import utc

Feature = msgspec.Meta(
    max_length=FEATURE_CHARACTERS,
    pattern=Name.pattern,
    description=f"a string of 1 to {FEATURE_CHARACTERS} printable characters",
)
User = msgspec.Meta(ge=-(2**31), le=2**31 - 1, description="an integer of 32 bits if provided")
Age = msgspec.Meta(ge=0, le=150, description="an integer from 0 to 150 if provided")
Gender = msgspec.Meta(description="Male, Female or Other if provided")


class RawClick(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored click; without a time it happens now."""

    id: Id | None = None
    user_id: Annotated[int, User] | None = None
    feature_name: Annotated[str, Feature]
    timestamp: When | None = None
    age: Annotated[int, Age] | None = None
    gender: Annotated[Literal["Male", "Female", "Other"], Gender] | None = None


def check(click: RawClick) -> list[str]:
    """Return the faults of a click that the types of its fields do not show."""
    return [f"feature_name must not be {ALL}: it stands for every feature"] if click.feature_name == ALL else []


def raw_row(click: RawClick, id: UUID, settings: Settings) -> Row:
    """Return the values of `STREAM.columns`."""
    when = utc(click.timestamp) if click.timestamp else datetime.now(UTC)
    return (id, click.user_id, click.feature_name, when, click.age, click.gender)


RAW = (Raw(STREAM, RawClick, check, raw_row, received="timestamp"),)
