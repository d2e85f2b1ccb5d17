"""Realistic webhook events, for the generator."""

import random
from datetime import UTC, datetime, timedelta

from statsd.streams.webhooks.event import WebhookEvent

# Event types, and below browsers, with their shares in per cent.
SHARES = {"page_view": 55, "log": 18, "user_message": 14, "user_joined": 8, "user_disconnect": 5}
PAGES = ("home", "profile", "settings", "dashboard")
BROWSERS = {"chrome": 64, "safari": 19, "edge": 9, "firefox": 8}
USERS = 2_000


def sample(rng: random.Random) -> WebhookEvent:
    """Return a realistic event of the last few seconds."""
    browser = rng.choices(list(BROWSERS), list(BROWSERS.values()))[0]
    return WebhookEvent(
        eventType=rng.choices(list(SHARES), list(SHARES.values()))[0],
        userId=str(1 + int(USERS * rng.random() ** 2)),
        timestamp=datetime.now(UTC) - timedelta(seconds=min(rng.expovariate(1.0), 30)),
        metadata={"page": rng.choice(PAGES), "browser": browser} if rng.random() < 0.9 else None,
    )
