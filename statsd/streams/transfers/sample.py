"""Realistic items and transfers, for the generator."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

from statsd.streams.moments import moment
from statsd.streams.transfers.event import Item, Transfer

# What the generator draws from, as the queries `fixtures` store it.
BASE_ITEMS = tuple(UUID(f"00000000-0000-4000-8000-0000000000b{n}") for n in range(4))
OWNERS = tuple(UUID(f"00000000-0000-4000-8000-0000000000a{n}") for n in range(10))
THERE_ALREADY = tuple(UUID(f"00000000-0000-4000-8000-0000000000c{n}") for n in range(10))
BASE_ITEM_SHARES = (40, 30, 20, 10)
IN_CIRCULATION = 200  # whoever has an item keeps it in the end
NOW_SHARE = 0.5  # the rest spreads over the last 30 days


@dataclass
class Held:
    """An item that samples move: who has it, and since when."""

    item: UUID
    since: datetime
    owner: UUID | None = None


_circulation: WeakKeyDictionary[random.Random, deque[Held]] = WeakKeyDictionary()
"""The latest items made from each source of chance: what transfers drawn from it move."""


def _held(rng: random.Random) -> deque[Held]:
    if rng not in _circulation:
        since = datetime.now(UTC) - timedelta(days=30)
        _circulation[rng] = deque([Held(item, since) for item in THERE_ALREADY], maxlen=IN_CIRCULATION)
    return _circulation[rng]


def sample_item(rng: random.Random) -> Item:
    """Return an item that was made just now or in the last 30 days."""
    when = datetime.now(UTC) if rng.random() < NOW_SHARE else moment(rng, 1)
    id = UUID(int=rng.getrandbits(128), version=4)
    _held(rng).append(Held(id, when))
    return Item(base_item_id=rng.choices(BASE_ITEMS, BASE_ITEM_SHARES)[0], item_id=id, creation_time=when)


def sample_transfer(rng: random.Random) -> Transfer:
    """Return a transfer of an item that was made before, most often of a recent one, to somebody who has it not."""
    items = _held(rng)
    held = items[-1 - int(len(items) * rng.random() ** 2)]
    now = datetime.now(UTC)
    when = now if rng.random() < NOW_SHARE else held.since + (now - held.since) * rng.random()
    held.since = max(
        when, held.since + timedelta(microseconds=1)
    )  # of two at once, chance would say which is the later
    held.owner = rng.choice([owner for owner in OWNERS if owner != held.owner])
    return Transfer(item_id=held.item, owner_id=held.owner, time=held.since)
