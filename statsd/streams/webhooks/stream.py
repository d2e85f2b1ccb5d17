"""Webhook events as a stream."""

from datetime import datetime
from uuid import UUID

from statsd.stream import Stream, View
from statsd.streams.webhooks.event import people, row
from statsd.streams.webhooks.sample import sample

STREAM = Stream(
    name="webhooks",
    columns={
        "id": UUID,
        "event_type": str,
        "user_id": str,
        "timestamp": datetime,
        "metadata": str | None,
        "received_at": datetime,
    },
    lanes_by="id",
    row=row,
    people=people,
    sample=sample,
    views={"refusals": View("webhooks refused", query="refused", file="webhooks", arguments=())},
)
