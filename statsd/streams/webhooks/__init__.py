"""Webhooks: events that other services post, counted by type, minute, hour and day."""

from aiohttp import web

from statsd.streams.webhooks import post, post_preset, read, refused, socket
from statsd.streams.webhooks.stream import STREAM as STREAM

STREAMS = (STREAM,)
ROUTES = [
    web.get("/events/ws", socket.get_events_socket),
    web.post("/webhook", post.post_webhook),
    web.post("/webhook/{sender}", post_preset.post_preset),
    web.get("/webhooks", read.get_overview),
    web.get("/events", read.get_events),
    web.get("/events/refused", refused.get_refused),
    web.get("/events/stats", read.get_stats),
    web.get("/export/csv", read.export_csv),
    web.get("/export/json", read.export_json),
    web.get("/export/ndjson", read.export_ndjson),
]
WAYS = {post.post_webhook: post.way}
