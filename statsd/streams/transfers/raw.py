"""Base items, owners, items and transfers in files, in this order: each refers to those before it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from asyncpg.pgproto import pgproto

from statsd.settings import Settings
from statsd.stream import Row
from statsd.streams.raw import Id, Raw, time_or_none
from statsd.streams.transfers.stream import ITEMS, TRANSFERS
from statsd.web.decode import When, label, text
from statsd.web.times import utc


class RawBaseItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored base item."""

    kind: Literal["base_item"] = "base_item"
    id: Id
    description: Annotated[str, text(500)]
    created_at: When | None = None


class RawOwner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored owner."""

    kind: Literal["owner"] = "owner"
    id: Id
    name: Annotated[str, label(200)] | None = None
    created_at: When | None = None


class RawItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored item."""

    kind: Literal["item"] = "item"
    id: Id
    base_item_id: Id
    created_at: When | None = None


class RawTransfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored transfer. It is history: without its time, nothing could say which one was the latest."""

    kind: Literal["transfer"] = "transfer"
    id: Id | None = None
    item_id: Id
    owner_id: Id
    timestamp: When


def base_item_row(item: RawBaseItem, id: UUID, settings: Settings) -> Row:
    return (id, item.description, time_or_none(item.created_at))


def owner_row(owner: RawOwner, id: UUID, settings: Settings) -> Row:
    return (id, owner.name, time_or_none(owner.created_at))


def item_row(item: RawItem, id: UUID, settings: Settings) -> Row:
    return (id, pgproto.UUID(item.base_item_id), time_or_none(item.created_at) or datetime.now(UTC))


def transfer_row(transfer: RawTransfer, id: UUID, settings: Settings) -> Row:
    return (id, utc(transfer.timestamp), pgproto.UUID(transfer.owner_id), pgproto.UUID(transfer.item_id))


PLAIN = replace(TRANSFERS, lanes_by="", ordered_by="", sent=lambda rows: ())
"""For rows without an order and without totals, whose statement needs nothing but their columns."""
BASE_ITEMS = replace(
    PLAIN,
    insert="import_base_items",
    ordered_by="",
    sent=lambda rows: (),
    columns={"id": UUID, "description": str, "created_at": datetime | None},
)
OWNERS = replace(
    PLAIN,
    insert="import_owners",
    ordered_by="",
    sent=lambda rows: (),
    columns={"id": UUID, "name": str | None, "created_at": datetime | None},
)
RAW = (
    Raw(BASE_ITEMS, RawBaseItem, lambda _: [], base_item_row, kind="base_item", export="export_base_items"),
    Raw(OWNERS, RawOwner, lambda _: [], owner_row, kind="owner", export="export_owners"),
    Raw(ITEMS, RawItem, lambda _: [], item_row, kind="item", received="created_at"),
    Raw(TRANSFERS, RawTransfer, lambda _: [], transfer_row, kind="transfer", received="timestamp"),
)
