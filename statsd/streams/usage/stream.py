"""The stream of clicks."""

from datetime import datetime
from uuid import UUID

from statsd.stream import Stream, is_integer
from statsd.streams.usage.event import row
from statsd.streams.usage.sample import WIRE, sample

STREAM = Stream(
    name="usage",
    columns={"id": UUID, "user_id": int | None, "feature_name": str, "timestamp": datetime, "age": int, "gender": str},
    row=row,
    people=lambda row: (str(row[1]),) if row[1] is not None else (),
    is_person=is_integer,
    sample=sample,
    wire=WIRE,
    share=10,
)
