"""The plan: which faults come, in which order, and how long the load runs undisturbed before each. A seed makes it."""

import random
from dataclasses import dataclass

from statsd.prove.faults import FAULTS, LONG_FREEZE_SECONDS, Fault

PAUSE_SECONDS = (0.5, 2.0)
MANY_SECONDS = 4 * LONG_FREEZE_SECONDS
"""A run must be this long for the faults that take half a minute."""


@dataclass(frozen=True)
class Step:
    """A fault, and the seconds before it."""

    pause: float
    fault: Fault


def plan(seed: int, seconds: float) -> list[Step]:
    """Return the steps for a run of about so many seconds: all faults in random order, again and again."""
    rng = random.Random(seed)
    faults = [fault for fault in FAULTS.values() if fault.seconds < LONG_FREEZE_SECONDS or seconds >= MANY_SECONDS]
    steps: list[Step] = []
    left = seconds
    while True:
        for fault in rng.sample(faults, len(faults)):
            step = Step(round(rng.uniform(*PAUSE_SECONDS), 2), fault)
            left -= step.pause + fault.seconds
            if left < 0 and steps:
                return steps
            steps.append(step)
