"""Realistic logins, for the generator."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from statsd.stream import Delivery, Wire
from statsd.streams.logins.event import Login
from statsd.streams.moments import DAYS, moment

# Shares are percentages; a region also has its offset from UTC in hours.
REGIONS = {
    "USA": (24, -5), "India": (16, 5), "Brazil": (10, -3), "Germany": (9, 1), "UK": (8, 0), "Nigeria": (7, 1),
    "France": (7, 1), "Japan": (6, 9), "Canada": (5, -5), "Australia": (4, 10), "Estonia": (4, 2),
}  # fmt: skip
DEVICE_SHARES = {"Mobile": 52, "Desktop": 40, "Tablet": 8}
BROWSER_SHARES = {
    "Desktop": {"Chrome": 62, "Edge": 15, "Firefox": 11, "Safari": 10, "Opera": 2},
    "Mobile": {"Chrome": 63, "Safari": 30, "Firefox": 3, "Opera": 3, "Edge": 1},
    "Tablet": {"Safari": 52, "Chrome": 42, "Firefox": 4, "Edge": 2},
}
MEDIAN_MINUTES = {"Desktop": 28.0, "Mobile": 7.5, "Tablet": 16.0}
USERS = 5_000


def sample(rng: random.Random, days: int = DAYS) -> Login:
    """Return a realistic login of the last `days` days: most users return, from the same region and device.

    With 0 days it is a login of now that brings the length of its session.
    """
    # One user in a hundred makes a fifth of the logins. The user's id seeds the region, the device and the address.
    user = 1 + int(USERS * rng.random() ** 3)
    person = random.Random(user)
    region = person.choices(list(REGIONS), [share for share, _ in REGIONS.values()])[0]
    usual = person.choices(list(DEVICE_SHARES), list(DEVICE_SHARES.values()))[0]
    device = usual if rng.random() < 0.8 else rng.choices(list(DEVICE_SHARES), list(DEVICE_SHARES.values()))[0]
    browsers = BROWSER_SHARES[device]
    start = moment(rng, REGIONS[region][1], days)
    seconds = max(5, min(86_400, int(rng.lognormvariate(0, 0.9) * 60 * MEDIAN_MINUTES[device])))
    end = start + timedelta(seconds=seconds)
    # The rest closed the window without logging out.
    finished = rng.random() < 0.97 and (not days or end <= datetime.now(UTC))
    return Login(
        user_id=user,
        login_time=start,
        logout_time=end if finished and days else None,
        session_duration_seconds=seconds if finished else None,
        ip_address=f"203.0.113.{person.randint(1, 254)}" if user % 2 else f"198.51.100.{person.randint(1, 254)}",
        region=region,
        device_type=device,
        browser=rng.choices(list(browsers), list(browsers.values()))[0],
    )


def deliveries(logins: Sequence[Login], run: str) -> Iterator[Delivery]:
    """Yield a request for each login: only a single one may have a key."""
    for login in logins:
        yield Delivery("/logins", msgspec.json.encode(login), key=f"{run}-{uuid4()}")


WIRE = Wire(deliveries=deliveries, keeps_time=True)
