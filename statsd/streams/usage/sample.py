"""Realistic clicks, for the generator."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import uuid4

import msgspec

from statsd.stream import Delivery, Wire
from statsd.streams.moments import DAYS, moment
from statsd.streams.usage.event import Click

FEATURES = (
    "date_filter", "gender_filter", "age_filter", "bar_chart_zoom", "line_chart_hover", "export_data", "refresh_data",
)  # fmt: skip
SHARES = (24, 14, 13, 22, 17, 4, 6)
PEOPLE = (
    ("user1", 16, "Male"),
    ("user2", 25, "Female"),
    ("user3", 32, "Male"),
    ("user4", 45, "Female"),
    ("user5", 55, "Other"),
    ("user6", 17, "Female"),
    ("user7", 28, "Male"),
    ("user8", 38, "Female"),
    ("user9", 50, "Male"),
    ("user10", 22, "Other"),
)
"""Name, age and gender of each sample account."""
REGISTERED = [{"age": age, "gender": gender} for _, age, gender in PEOPLE[2:6]]
"""People that a run over HTTP registers: few, but of every age group and gender."""


def sample(rng: random.Random, days: int = DAYS) -> Click:
    """Return a realistic click of the last `days` days, with the age and gender of a sample account but not its id."""
    _, age, gender = rng.choice(PEOPLE)
    feature = rng.choices(FEATURES, SHARES)[0]
    return Click(user_id=None, feature_name=feature, timestamp=moment(rng, 0, days), age=age, gender=gender)


def deliveries(clicks: Sequence[Click], run: str) -> Iterator[Delivery]:
    """Yield a request for each of the users; the server dates clicks when it receives them."""
    bodies: dict[int, list[dict[str, str]]] = defaultdict(list)
    for click in clicks:
        sent = {"feature_name": click.feature_name, "event_id": f"{run}-{uuid4()}"}
        bodies[click.age % len(REGISTERED)].append(sent)
    for person, body in bodies.items():
        yield Delivery("/track", msgspec.json.encode(body), len(body), person=person)


WIRE = Wire(deliveries=deliveries, people=REGISTERED)
