"""A page event as sites send it. The clock of a visitor may be years off: `sent_at` tells how far."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from statsd.streams.pageviews.event import PageEvent, When, check, explain
from statsd.web.decode import Decoder
from statsd.web.times import utc

MINUTE = timedelta(minutes=1)


class SentEvent(PageEvent, frozen=True, kw_only=True):
    """What a visitor did on a site. `event_id` is the sender's own id of the event: a repeat under it counts once.

    `sent_at` is when it is sent, by the clock that gave the `timestamp`: what that clock is off is taken away.
    """

    sent_at: Annotated[datetime, When] | None = None


def by_our_clock(timestamp: datetime, sent_at: datetime, now: datetime) -> datetime:
    """Return when an event happened, if the sender's clock said `sent_at` a moment before `now` (as in Segment's API).

    Whole minutes are corrected: a clock that is right changes nothing, and a repeat has the time of the first one.
    """
    sent_at = sent_at if sent_at.tzinfo else sent_at.replace(tzinfo=UTC)
    try:
        return timestamp + round((now - sent_at) / MINUTE) * MINUTE
    except OverflowError:
        return timestamp


def check_sent(event: SentEvent) -> list[str]:
    """Correct the time of an event, and return its faults as a whole."""
    if event.sent_at:
        try:
            utc(event.sent_at)
        except ValueError:
            return [f"sent_at must be {When.description}", *check(event)]
        when = by_our_clock(event.timestamp, event.sent_at, datetime.now(UTC))
        msgspec.structs.force_setattr(event, "timestamp", when)
    return check(event)


DECODER = Decoder(SentEvent, check_sent, explain)
