"""Items and transfers as events: their fields, their rows, and the bodies of requests."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec

from statsd.ingest.order import CLOCK
from statsd.stream import Row
from statsd.streams.transfers.read import UUID_RULE
from statsd.web.decode import Single, label, text


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A new item; by default created now, and with a new id."""

    base_item_id: UUID
    item_id: UUID | None = None
    creation_time: datetime | None = None


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer of an item to an owner. Without a time it happens now, and only if the owner changes."""

    item_id: UUID
    owner_id: UUID
    time: datetime | None = None


def item_row(item: Item, id: UUID) -> Row:
    """Return the values of `ITEMS.columns`."""
    return (item.item_id or id, item.base_item_id, item.creation_time or datetime.now(UTC))


def transfer_row(transfer: Transfer, id: UUID) -> Row:
    """Return the values of `TRANSFERS.columns`."""
    return (id, transfer.time, transfer.owner_id, transfer.item_id)


def transfer_as_spooled(row: Row) -> Row:
    """Return the row with the current time if it has none: PostgreSQL would choose a later one after the outage."""
    id, when, *rest = row
    return (id, when or CLOCK.now(), *rest)


Id = msgspec.Meta(description=UUID_RULE)


class NewItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /items`."""

    base_item_id: Annotated[UUID, Id]


class Ownership(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /items/{id}/ownership`."""

    to: Annotated[UUID, Id]


class NewBaseItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /base-items`."""

    description: Annotated[str, text(500)]


class NewOwner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /owners`."""

    name: Annotated[str, label(200)] | None = None


NEW_ITEM = Single(NewItem)
OWNERSHIP = Single(Ownership)
NEW_BASE_ITEM = Single(NewBaseItem)
NEW_OWNER = Single(NewOwner)
