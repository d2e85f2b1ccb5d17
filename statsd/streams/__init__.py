"""The streams the program knows. A new one is added here and nowhere else in the program."""

from statsd.stream import Stream
from statsd.streams import logins, pageviews

STREAMS: tuple[Stream, ...] = (logins.STREAM, pageviews.STREAM)
