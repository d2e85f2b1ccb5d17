"""Page events in files: an event as sites send it, with its id and when it was stored."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from statsd.ingest.ids import id_of
from statsd.settings import Settings
from statsd.stream import Row
from statsd.streams.pageviews.event import PageEvent, check_stored, explain, row
from statsd.streams.pageviews.stream import STREAM
from statsd.streams.raw import Id, Raw, time_or_none
from statsd.web.decode import When


class RawPageEvent(PageEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stored event."""

    id: Id | None = None
    created_at: When | None = None


def raw_row(event: RawPageEvent, id: UUID, settings: Settings) -> Row:
    """Return the values of the columns of `import`. The sender's own id counts as on the way in."""
    if event.event_id and not event.id:
        id = id_of(STREAM.name, f"{event.site_id}\n{event.event_id}")
    return (*row(event, id), time_or_none(event.created_at))


IMPORTED = replace(STREAM, insert="import", columns={**STREAM.columns, "created_at": datetime | None})
RAW = (Raw(IMPORTED, RawPageEvent, check_stored, raw_row, explain=explain, received="created_at"),)
