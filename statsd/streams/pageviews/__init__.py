"""Page views: which pages of which site are viewed, and by how many people."""

from aiohttp import web

from statsd.streams.pageviews import post, read
from statsd.streams.pageviews.stream import STREAM as STREAM

STREAMS = (STREAM,)
ROUTES = [
    web.post("/event", post.post_event),
    web.get("/jobs/{job}", read.get_job),
    web.get("/stats", read.get_stats),
    web.get("/pageviews", read.get_overview),
]
WAYS = {post.post_event: post.way}
