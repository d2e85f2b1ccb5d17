"""Items and their transfers, as two streams."""

from datetime import datetime
from uuid import UUID

from statsd.ingest.order import CLOCK
from statsd.stream import Stream, is_uuid
from statsd.streams.transfers import series
from statsd.streams.transfers.event import item_row, transfer_as_spooled, transfer_row
from statsd.streams.transfers.sample import sample_item, sample_transfer

ITEMS = Stream(
    name="items",
    part_of="transfers",
    columns={"id": UUID, "base_item_id": UUID, "created_at": datetime},
    ordered_by="id",
    row=item_row,
    sample=sample_item,
    views=series.views(series.CREATIONS, "items"),
)
TRANSFERS = Stream(
    name="transfers",
    columns={"id": UUID, "timestamp": datetime | None, "owner_id": UUID, "item_id": UUID},
    ordered_by="item_id",
    sent=lambda rows: (CLOCK.now(rows),),
    row=transfer_row,
    people=lambda row: (str(row[2]),),
    is_person=is_uuid,
    as_spooled=transfer_as_spooled,
    sample=sample_transfer,
    follows=frozenset({ITEMS.name}),
    views=series.views(series.TRANSFERS, "transfers"),
)
