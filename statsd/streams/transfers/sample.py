"""Realistic items and transfers, for the generator."""

import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

from statsd.streams.moments import moment
from statsd.streams.transfers.event import Item, Transfer

# The ids of the rows that the queries `fixtures` store.
BASE_ITEMS = tuple(UUID(f"00000000-0000-4000-8000-0000000000b{n}") for n in range(4))
OWNERS = tuple(UUID(f"00000000-0000-4000-8000-0000000000a{n}") for n in range(10))
FIXTURE_ITEMS = tuple(UUID(f"00000000-0000-4000-8000-0000000000c{n}") for n in range(10))
BASE_ITEM_SHARES = (40, 30, 20, 10)
MOST_MOVING = 200  # only the latest items are transferred
NOW_SHARE = 0.5  # of the events; the rest is spread over the last 30 days


@dataclass
class Held:
    """An item that samples transfer: its owner, and since when."""

    item: UUID
    since: datetime
    owner: UUID | None = None


_moving: WeakKeyDictionary[random.Random, deque[Held]] = WeakKeyDictionary()
"""The latest items of each random generator."""


def _held(rng: random.Random) -> deque[Held]:
    if rng not in _moving:
        since = datetime.now(UTC) - timedelta(days=30)
        _moving[rng] = deque([Held(item, since) for item in FIXTURE_ITEMS], maxlen=MOST_MOVING)
    return _moving[rng]


def sample_item(rng: random.Random) -> Item:
    """Return an item that was created now or in the last 30 days."""
    when = datetime.now(UTC) if rng.random() < NOW_SHARE else moment(rng, 1)
    id = UUID(int=rng.getrandbits(128), version=4)
    _held(rng).append(Held(id, when))
    return Item(base_item_id=rng.choices(BASE_ITEMS, BASE_ITEM_SHARES)[0], item_id=id, creation_time=when)


def sample_transfer(rng: random.Random) -> Transfer:
    """Return a transfer of a sample item, most often a recent one, to another owner."""
    items = _held(rng)
    held = items[-1 - int(len(items) * rng.random() ** 2)]
    now = datetime.now(UTC)
    when = now if rng.random() < NOW_SHARE else held.since + (now - held.since) * rng.random()
    held.since = max(when, held.since + timedelta(microseconds=1))  # two at the same time have no clear order
    held.owner = rng.choice([owner for owner in OWNERS if owner != held.owner])
    return Transfer(item_id=held.item, owner_id=held.owner, time=held.since)
