"""Realistic clicks, for the generator."""

from __future__ import annotations

import random

from statsd.streams.moments import moment
from statsd.streams.usage.event import Click

SAMPLES = (
    "date_filter", "gender_filter", "age_filter", "bar_chart_zoom", "line_chart_hover", "export_data", "refresh_data",
)  # fmt: skip
AGES = (16, 25, 32, 45, 55, 17, 28, 38, 50, 22)
PEOPLE = tuple(
    (f"user{number}", age, gender)
    for number, (age, gender) in enumerate(
        zip(
            AGES,
            ["Male", "Female", "Male", "Female", "Other", "Female", "Male", "Female", "Male", "Other"],
            strict=True,
        ),
        start=1,
    )
)
"""The ten people of contracts.md §3.1: name, age, gender."""


def sample(rng: random.Random) -> Click:
    """Return a realistic click of the last 30 days by one of the ten people; no account is said to have made it."""
    _, age, gender = rng.choice(PEOPLE)
    feature = rng.choices(SAMPLES, [24, 14, 13, 22, 17, 4, 6])[0]
    return Click(user_id=None, feature_name=feature, timestamp=moment(rng, 0), age=age, gender=gender)
