"""The streams the program knows; what others refer to stands before them. A new one is added here and nowhere else."""

from statsd.stream import Stream
from statsd.streams import logins, pageviews, transfers, usage, webhooks

STREAMS: tuple[Stream, ...] = (
    logins.STREAM,
    webhooks.STREAM,
    usage.STREAM,
    transfers.ITEMS,
    transfers.TRANSFERS,
    pageviews.STREAM,
)
