"""The streams the program knows. A new one is added here and nowhere else in the program."""

from statsd.stream import Stream
from statsd.streams import logins, pageviews, usage, webhooks

STREAMS: tuple[Stream, ...] = (logins.STREAM, webhooks.STREAM, usage.STREAM, pageviews.STREAM)
