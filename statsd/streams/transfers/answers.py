"""The bodies of answers about items, owners and transfers, with examples from the rows of `seed --transfers`."""

from uuid import UUID

import msgspec

from statsd.web.answers import Instant


class CreatedItem(msgspec.Struct):
    """A new item."""

    id: UUID
    base_item_id: UUID
    created_at: Instant


class ListedItem(CreatedItem):
    """An item and its owner, if any."""

    owner_id: UUID | None
    owned_since: Instant | None
    description: str
    owner_name: str | None


class Move(msgspec.Struct):
    """A transfer of the item: the new owner and the time."""

    id: UUID
    owner_id: UUID
    owner_name: str | None
    timestamp: Instant


class ItemWithHistory(msgspec.Struct):
    """An item, its owner and its newest transfers."""

    id: UUID
    base_item_id: UUID
    description: str
    created_at: Instant
    owner_id: UUID | None
    owner_name: str | None
    owned_since: Instant | None
    history: list[Move]


class OverviewOwner(msgspec.Struct):
    """An owner of items."""

    id: UUID
    name: str | None


class Owner(OverviewOwner):
    """An owner of items, and when it was added."""

    created_at: Instant


class OverviewBaseItem(msgspec.Struct):
    """A kind of item."""

    id: UUID
    description: str


class BaseItem(OverviewBaseItem):
    """A kind of item, and when it was added."""

    created_at: Instant


class ItemPage(msgspec.Struct):
    """A page of items; `next` is the `before` of the next page, null on the last page."""

    items: list[ListedItem]
    next: UUID | None


class OwnerPage(msgspec.Struct):
    """A page of owners; `next` is the `before` of the next page, null on the last page."""

    owners: list[Owner]
    next: UUID | None


class BaseItemPage(msgspec.Struct):
    """A page of base items; `next` is the `before` of the next page, null on the last page."""

    base_items: list[BaseItem]
    next: UUID | None


class SpooledTransfer(msgspec.Struct):
    """A transfer that waits on disk for the database."""

    id: UUID
    item_id: UUID
    owner_id: UUID


class OverviewTransfer(msgspec.Struct):
    """A transfer and the kind of item."""

    id: UUID
    item_id: UUID
    description: str
    owner_id: UUID
    owner_name: str | None
    timestamp: Instant


class TransfersOverview(msgspec.Struct, rename="camel"):
    """The newest 50 items and transfers, and 100 owners and base items; `ownerCount` is null above 10,000."""

    item_count: int
    transfer_count: int
    items: list[ListedItem]
    transfers: list[OverviewTransfer]
    owners: list[OverviewOwner]
    owner_count: int | None
    base_items: list[OverviewBaseItem]
    generated_at: Instant


class Bin(msgspec.Struct):
    """The number of items or transfers in the unit of time that begins at `time`."""

    time: Instant
    count: int


WHEN = "2026-11-21T10:30:00.000Z"
BIKE = BaseItem(UUID("8645a131-a7ae-4569-bb3c-1f1c7ae86829"), "a bike", WHEN)
ADA = Owner(UUID("30f6df32-03cf-4779-833b-aef9b1e3f61f"), "Ada", WHEN)
ITEM = UUID("850bbe50-4686-4026-9de0-94ba4b8bafa7")
TRANSFER = UUID("01a2105e-a6a6-781b-95ab-5b9788c5ad59")
CREATED = CreatedItem(ITEM, BIKE.id, WHEN)
OWNED = ListedItem(ITEM, BIKE.id, WHEN, ADA.id, WHEN, BIKE.description, ADA.name)
