"""Usage: which features of the dashboard are clicked, on which days, and by users of which age and gender."""

from aiohttp import web

from statsd.streams.usage import post, read
from statsd.streams.usage.stream import STREAM as STREAM

STREAMS = (STREAM,)
ROUTES = [
    web.post("/track", post.post_track),
    web.get("/analytics", read.get_analytics),
    web.get("/usage", read.get_overview),
]
WAYS = {post.post_track: post.way}
