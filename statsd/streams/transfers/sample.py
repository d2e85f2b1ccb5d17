"""Realistic items and transfers, for the generator."""

import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

import msgspec

from statsd.ingest.ids import id_of
from statsd.stream import Delivery, Wire
from statsd.streams.moments import DAYS, moment
from statsd.streams.transfers.event import Item, Transfer

# What samples refer to: the queries `fixtures` store it, under these ids.
BASE_ITEMS = {
    UUID(f"00000000-0000-4000-8000-0000000000b{n}"): description
    for n, description in enumerate(("a cargo bike", "a drill", "a tent for four", "a sewing machine"))
}
OWNERS = {
    UUID(f"00000000-0000-4000-8000-0000000000a{n}"): name
    for n, name in enumerate(("Amal", "Bo", "Chidi", "Dora", "Emre", "Fatou", "Goro", "Hana", "Ivo", "Jaana"))
}
FIXTURE_ITEMS = tuple(UUID(f"00000000-0000-4000-8000-0000000000c{n}") for n in range(10))
BASE_ITEM_SHARES = (40, 30, 20, 10)
MOST_MOVING = 200  # only the latest items are transferred


@dataclass
class Held:
    """An item that samples transfer: since when there is one, and its transfers in the order of their times."""

    item: UUID
    since: datetime
    moves: list[tuple[datetime, UUID]] = field(default_factory=list)

    def move(self, when: datetime, choose: Callable[[list[UUID]], UUID]) -> UUID:
        """Add a transfer and return its owner: neither the one before it nor the one after it."""
        place = bisect_right(self.moves, when, key=itemgetter(0))
        neighbours = {owner for _, owner in self.moves[max(0, place - 1) : place + 1]}
        owner = choose([owner for owner in OWNERS if owner not in neighbours])
        self.moves.insert(place, (when, owner))
        return owner


_moving: WeakKeyDictionary[random.Random, deque[Held]] = WeakKeyDictionary()
"""The latest items of each random generator."""


def _held(rng: random.Random, days: int) -> deque[Held]:
    if rng not in _moving:
        since = datetime.now(UTC) - timedelta(days=days)
        _moving[rng] = deque([Held(item, since) for item in FIXTURE_ITEMS], maxlen=MOST_MOVING)
    return _moving[rng]


def sample_item(rng: random.Random, days: int = DAYS) -> Item:
    """Return an item that was created in the last `days` days."""
    when = moment(rng, 1, days)
    id = UUID(int=rng.getrandbits(128), version=4)
    items = _held(rng, days)
    if days and items[0].item in FIXTURE_ITEMS:
        items.clear()  # they are of today
    items.append(Held(id, when))
    base_item = rng.choices(list(BASE_ITEMS), BASE_ITEM_SHARES)[0]
    return Item(base_item_id=base_item, item_id=id, creation_time=when)


def sample_transfer(rng: random.Random, days: int = DAYS) -> Transfer:
    """Return a transfer of a sample item, most often a recent one, to another owner.

    With 0 days it comes after the item's latest one, else at any time after the item was made.
    """
    items = _held(rng, days)
    held = items[-1 - int(len(items) * rng.random() ** 2)]
    when, share = moment(rng, 1, days), rng.random()
    if when <= held.since:
        when = held.since + max((datetime.now(UTC) - held.since) * share, timedelta(microseconds=1))
    owner = held.move(when, rng.choice)
    if not days:
        held.since, held.moves = when, held.moves[-1:]  # the next one is later
    return Transfer(item_id=held.item, owner_id=owner, time=when)


# Over HTTP the server makes the ids. They follow from the keys: those of base items and owners are the same in every
# run, and each run has items of its own.


def item_fixtures(run: str) -> Iterator[Delivery]:
    """Yield the requests for the base items."""
    for id, description in BASE_ITEMS.items():
        yield Delivery("/base-items", msgspec.json.encode({"description": description}), key=f"sample-{id}")


def transfer_fixtures(run: str) -> Iterator[Delivery]:
    """Yield the requests for the base item and the owners, and for the first items."""
    yield next(item_fixtures(run))
    for id, name in OWNERS.items():
        yield Delivery("/owners", msgspec.json.encode({"name": name}), key=f"sample-{id}")
    first = next(iter(BASE_ITEMS))
    yield from item_deliveries([Item(base_item_id=first, item_id=id) for id in FIXTURE_ITEMS], run)


def item_deliveries(items: Sequence[Item], run: str) -> Iterator[Delivery]:
    """Yield a request for each item."""
    for item in items:
        body = {"base_item_id": id_of("base_item", f"sample-{item.base_item_id}")}
        yield Delivery("/items", msgspec.json.encode(body), key=f"{run}-{item.item_id}")


def transfer_deliveries(transfers: Sequence[Transfer], run: str) -> Iterator[Delivery]:
    """Yield a request for each transfer; those of one item in their order."""
    for transfer in transfers:
        item = id_of("items", f"{run}-{transfer.item_id}")
        body = msgspec.json.encode({"to": id_of("owner", f"sample-{transfer.owner_id}")})
        path = f"/items/{item}/ownership"
        yield Delivery(path, body, key=f"{run}-{uuid4()}", method="PUT", after=item)


ITEMS_WIRE = Wire(deliveries=item_deliveries, fixtures=item_fixtures)
TRANSFERS_WIRE = Wire(deliveries=transfer_deliveries, fixtures=transfer_fixtures)
