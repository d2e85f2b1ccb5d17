"""Items and their transfers, as two streams."""

from datetime import datetime
from uuid import UUID

from statsd.ingest.order import CLOCK
from statsd.stream import Stream, is_uuid
from statsd.streams.transfers import sample, series
from statsd.streams.transfers.event import item_row, transfer_as_spooled, transfer_row

ITEMS = Stream(
    name="items",
    part_of="transfers",
    columns={"id": UUID, "base_item_id": UUID, "created_at": datetime},
    ordered_by="id",
    row=item_row,
    sample=sample.sample_item,
    wire=sample.ITEMS_WIRE,
    share=3,
    fixtures=([*sample.BASE_ITEMS], [*sample.BASE_ITEMS.values()]),
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
    sample=sample.sample_transfer,
    wire=sample.TRANSFERS_WIRE,
    share=12,
    fixtures=(
        *next(iter(sample.BASE_ITEMS.items())),
        [*sample.OWNERS],
        [*sample.OWNERS.values()],
        [*sample.FIXTURE_ITEMS],
    ),
    follows=frozenset({ITEMS.name}),
    views=series.views(series.TRANSFERS, "transfers"),
)
