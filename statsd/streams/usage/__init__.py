"""Usage: which features of the dashboard are clicked, on which days, and by users of which age and gender."""

from aiohttp import web

from statsd.streams.usage import event, features, post, read, sample
from statsd.streams.usage.stream import STREAM

STREAMS = (STREAM,)
ROUTES = [
    web.post("/track", post.post_track),
    web.get("/analytics", read.get_analytics),
    web.get("/usage", read.get_overview),
]
CONTEXTS = (features.known_features, read.known_zones)

__all__ = ["CONTEXTS", "ROUTES", "STREAM", "STREAMS", "event", "features", "post", "read", "sample"]
