"""Logins: who logged in from which device and region, and for how long."""

from aiohttp import web

from statsd.streams.logins import post, read, socket
from statsd.streams.logins.stream import STREAM as STREAM

STREAMS = (STREAM,)
ROUTES = [
    web.get("/ws", socket.get_socket),
    web.post("/logins", post.post_logins),
    web.get("/logins", read.get_logins),
    web.get("/logins/stats", read.get_stats),
]
WAYS = {post.post_logins: post.way}
