"""The stream of page events."""

from datetime import datetime
from uuid import UUID

from statsd.stream import Stream
from statsd.streams.pageviews.event import row
from statsd.streams.pageviews.sample import WIRE, sample

STREAM = Stream(
    name="pageviews",
    columns={"id": UUID, "site_id": str, "event_type": str, "path": str, "user_id": str | None, "timestamp": datetime},
    lanes_by="site_id",
    row=row,
    people=lambda row: (row[4],) if row[4] is not None else (),
    sample=sample,
    wire=WIRE,
    share=35,
)
