"""Whether the totals of random days equal a recount of their raw rows."""

import random
from collections.abc import AsyncIterator

from statsd import program
from statsd.database.pool import Connection, in_time
from statsd.doctor.finding import Finding, fault, ok, warning
from statsd.ingest import recount
from statsd.streams import STREAMS

RECOUNT_SECONDS = 120.0  # of a stream
SHOWN = 3


async def totals(connection: Connection, days: int) -> AsyncIterator[Finding]:
    """Compare `days` random days of every stream."""
    wrong = False
    compared = 0
    for stream in STREAMS:
        all_days = await recount.days(connection, stream.name)
        chosen = sorted(random.sample(all_days, min(days, len(all_days))))
        compared += len(chosen)
        comparison = recount.differences(connection, stream.name, chosen)
        try:
            differences = await in_time(comparison, RECOUNT_SECONDS, set())
        except TimeoutError:
            text = f"{stream.name}: the recount of {len(chosen)} days took over {RECOUNT_SECONDS:g} s"
            yield warning("totals", text, "run it again with --days 1, when there is less load")
            return
        if differences:
            wrong = True
            some = "; ".join(f"{one.table} {one.key} is {one.stored}, not {one.counted}" for one in differences[:SHOWN])
            text = f"{stream.name}: {len(differences)} totals are not what the raw rows of their day say: {some}"
            yield fault("totals", text, f"{program()} aggregate --rebuild")
    if not wrong:
        yield ok("totals", f"the totals of {compared} random days, over all streams, equal a recount of the raw rows")
