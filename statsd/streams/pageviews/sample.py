"""Realistic page views, for the generator."""

import random
from collections.abc import Iterator, Sequence
from uuid import uuid4

import msgspec

from statsd.stream import Delivery, Wire
from statsd.streams.moments import DAYS, moment
from statsd.streams.pageviews.event import VIEW, PageEvent

# Shares are percentages; a site also has its visitors' offset from UTC in hours.
SITES = {"shop.example": (55, -5), "blog.example": (30, 1), "docs.example": (15, 9)}
PAGES = {
    "shop.example": {"/": 30, "/products": 22, "/products/lamp": 12, "/products/chair": 9, "/cart": 14, "/checkout": 8,
                     "/about": 3, "/contact": 2},
    "blog.example": {"/": 34, "/posts/hello": 21, "/posts/measuring": 17, "/posts/why-sql": 13, "/archive": 9,
                     "/feed": 6},
    "docs.example": {"/": 22, "/start": 31, "/install": 18, "/reference": 16, "/reference/settings": 8, "/faq": 5},
}  # fmt: skip
TYPES = {VIEW: 93, "click": 5, "search": 2}
VISITORS = 3_000


def sample(rng: random.Random, days: int = DAYS) -> PageEvent:
    """Return a realistic event of the last `days` days. A few visitors come often, and some have no id."""
    site = rng.choices(list(SITES), [share for share, _ in SITES.values()])[0]
    pages = PAGES[site]
    visitor = 1 + int(VISITORS * rng.random() ** 2)
    return PageEvent(
        site_id=site,
        event_type=rng.choices(list(TYPES), list(TYPES.values()))[0],
        path=rng.choices(list(pages), list(pages.values()))[0],
        user_id=f"visitor-{visitor}" if rng.random() < 0.92 else None,
        timestamp=moment(rng, SITES[site][1], days),
    )


def deliveries(events: Sequence[PageEvent], run: str) -> Iterator[Delivery]:
    """Yield one request; each event has a key of its own."""
    keyed = [msgspec.structs.replace(event, event_id=f"{run}-{uuid4()}") for event in events]
    yield Delivery("/event", msgspec.json.encode(keyed), len(keyed))


WIRE = Wire(deliveries=deliveries, keeps_time=True)
