"""Webhook events as a stream."""

from datetime import datetime
from uuid import UUID

from statsd.stream import Stream, View
from statsd.streams.webhooks.event import people
from statsd.streams.webhooks.sample import WIRE, sample, sample_row

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
    row=sample_row,
    people=people,
    sample=sample,
    views={"refusals": View("webhooks refused", query="refused", file="webhooks", arguments=())},
    wire=WIRE,
    share=25,
)
