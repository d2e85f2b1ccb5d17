"""What became of the events in a ledger: what is stored, lost or doubled, and whether totals equal a recount."""

from collections import Counter
from dataclasses import dataclass

from statsd.database import sql
from statsd.database.pool import Connection
from statsd.ingest import recount
from statsd.prove.ledger import Account, Ledger
from statsd.streams import STREAMS


@dataclass(frozen=True)
class Finding:
    """The result for one stream."""

    stream: str
    tried: int
    acknowledged: int
    stored: int
    lost: int
    doubled: int
    differences: list[recount.Difference]
    """Between totals and a recount, the first 1,000."""
    unexpected: dict[str, int]
    """Answers that no fault explains, and their number."""

    @property
    def is_right(self) -> bool:
        return not (self.lost or self.doubled or self.differences or self.unexpected)


async def audit(connection: Connection, ledger: Ledger) -> list[Finding]:
    """Return what became of the events of each stream. Call it when nothing waits in a spool any more."""
    return [await _audit(connection, stream.name, ledger.accounts[stream.name]) for stream in STREAMS]


async def _audit(connection: Connection, stream: str, account: Account) -> Finding:
    rows = await connection.fetch(sql.load("prove")[stream], timeout=recount.RECOUNT_SECONDS)
    ids = {str(row["id"]) for row in rows if row["mark"] in account.sent}
    stored = Counter(row["mark"] for row in rows if row["mark"] in account.sent)
    return Finding(
        stream=stream,
        tried=account.sent.total(),
        acknowledged=account.acknowledged.total(),
        stored=stored.total(),
        lost=max(len(account.ids - ids), (account.acknowledged - stored).total()),
        doubled=(stored - account.sent).total(),
        differences=await recount.differences(connection, stream),
        unexpected=dict(account.unexpected),
    )
