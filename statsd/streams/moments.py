"""Realistic times of events, for the samples of every stream."""

import random
from datetime import UTC, datetime, timedelta

DAYS = 30
RHYTHM = (2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 11, 10, 9, 10, 11, 11, 10, 10, 11, 13, 14, 13, 9, 5)
"""The relative number of events in each local hour of the day."""
DAY = timedelta(days=1)


def moment(rng: random.Random, utc_offset: int, days: int = DAYS) -> datetime:
    """Return a random time of the last `days` days; with 0 the current time.

    Daytime at `utc_offset` hours and recent days are more likely.
    """
    now = datetime.now(UTC)
    if not days:
        return now
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    hour = (rng.choices(range(24), RHYTHM)[0] - utc_offset) % 24
    days_ago = int(days * (1 - rng.random() ** 0.8))
    when = today + timedelta(hours=hour, seconds=rng.uniform(0, 3600))
    return when - (days_ago if when <= now else days_ago + 1) * DAY  # a day is the 24 hours up to now
