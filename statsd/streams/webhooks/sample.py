"""Realistic webhook events, for the generator."""

import random
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import msgspec

from statsd.stream import Delivery, Row, Wire
from statsd.streams.moments import DAYS, moment
from statsd.streams.webhooks.event import WebhookEvent, row

# Event types, and below browsers, with their shares in per cent.
SHARES = {"page_view": 55, "log": 18, "user_message": 14, "user_joined": 8, "user_disconnect": 5}
PAGES = ("home", "profile", "settings", "dashboard")
BROWSERS = {"chrome": 64, "safari": 19, "edge": 9, "firefox": 8}
USERS = 2_000


def sample(rng: random.Random, days: int = DAYS) -> WebhookEvent:
    """Return a realistic event of the last `days` days."""
    browser = rng.choices(list(BROWSERS), list(BROWSERS.values()))[0]
    return WebhookEvent(
        eventType=rng.choices(list(SHARES), list(SHARES.values()))[0],
        userId=str(1 + int(USERS * rng.random() ** 2)),
        timestamp=moment(rng, 0, days),
        metadata={"page": rng.choice(PAGES), "browser": browser} if rng.random() < 0.9 else None,
    )


def sample_row(event: WebhookEvent, id: UUID) -> Row:
    """Return the row of a sample: it was received when it happened, so that it counts then."""
    return row(event, id, event.timestamp)


def deliveries(events: Sequence[WebhookEvent], run: str) -> Iterator[Delivery]:
    """Yield one request; the server counts events when it receives them."""
    yield Delivery("/webhook", msgspec.json.encode(events), len(events), key=f"{run}-{uuid4()}")


WIRE = Wire(deliveries=deliveries)
