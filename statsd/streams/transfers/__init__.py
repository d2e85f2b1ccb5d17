"""Transfers: items, their owners, and how many items are created and transferred over time.

Two streams, `items` and `transfers`, share one topic for the page. Their statistics per unit of time are topics of
their own, over server-sent events and `/ws`.
"""

from aiohttp import web

from statsd.streams.transfers import owners, post, read, series
from statsd.streams.transfers.stream import ITEMS as ITEMS
from statsd.streams.transfers.stream import TRANSFERS as TRANSFERS

STREAMS = (ITEMS, TRANSFERS)
ROUTES = [
    web.post("/items", post.post_item),
    web.put("/items/{item:[^/]+}/ownership", post.put_ownership),
    web.post("/base-items", owners.post_base_item),
    web.post("/owners", owners.post_owner),
    web.get("/transfers", read.get_overview),
    web.get("/items", read.get_items),
    web.get("/items/{item:[^/]+}", read.get_item),
    web.get("/base-items", read.get_base_items),
    web.get("/owners", read.get_owners),
    web.get("/statistics/item-creation/{unit:[^/]+}", series.get_creation_statistics),
    web.get("/statistics/transfers/{unit:[^/]+}", series.get_transfer_statistics),
]
WAYS = {post.post_item: post.items_way, post.put_ownership: post.ownership_way}
