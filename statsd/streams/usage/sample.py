"""Realistic clicks, for the generator."""

import random

from statsd.streams.moments import moment
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


def sample(rng: random.Random) -> Click:
    """Return a realistic click of the last 30 days, with the age and gender of a sample account but not its id."""
    _, age, gender = rng.choice(PEOPLE)
    feature = rng.choices(FEATURES, SHARES)[0]
    return Click(user_id=None, feature_name=feature, timestamp=moment(rng, 0), age=age, gender=gender)
