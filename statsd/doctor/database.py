"""What is checked in PostgreSQL: version, schema, clock, durability, LISTEN, dead letters, bloat, transactions.

Each check is one or two short queries over a connection whose statements have timeouts.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

from statsd import __version__, program
from statsd.database import ledger, sql
from statsd.database.migrations import OLDEST_VERSION, migrations
from statsd.database.pool import Connection, connect
from statsd.doctor.finding import Finding, fault, ok, warning
from statsd.live.channel import NOTIFY, POOLED
from statsd.settings import Settings
from statsd.web.addresses import is_loopback

QUERIES = sql.load("doctor")
SKEW_SECONDS, WORST_SKEW_SECONDS = 1.0, 30.0  # between two clocks: an event is dated wrong by as much
ARRIVAL_SECONDS = 5.0
LONG_SECONDS = 300.0  # a transaction this long keeps dead rows from being removed
DEAD_ROWS = 10_000  # fewer are of no account
FULL_SHARE = 0.8  # of the connections
OLD_TRANSACTIONS, OLDEST_TRANSACTIONS = 1_000_000_000, 1_800_000_000  # PostgreSQL stops at 2,147 million
BIGGEST = 3


async def versions(connection: Connection) -> AsyncIterator[Finding]:
    """Check the versions of PostgreSQL and of the schema."""
    version = connection.get_server_version()
    known = {migration.number: migration for migration in migrations()}
    table = await ledger.find(connection)
    rows = await ledger.applied(connection, table) if table else []
    applied = {number: checksum for number, _, checksum in rows}
    newer = sorted(applied.keys() - known.keys())
    changed = [
        known[number].name for number in applied.keys() & known.keys() if known[number].checksum != applied[number]
    ]
    missing = sorted(known.keys() - applied.keys())
    if version.major < OLDEST_VERSION:
        text = f"PostgreSQL {version.major} is too old: the program needs {OLDEST_VERSION} or newer"
        yield fault("versions", text, "upgrade PostgreSQL")
    if newer:
        text = f"the database has the migrations {', '.join(map(str, newer))} of a newer program"
        yield fault("versions", text, "start the newer program")
    if changed:
        text = f"{', '.join(changed)} was applied with another text than its file has now"
        yield fault("versions", text, "restore the file in sql/migrations, and put the change into a new migration")
    if missing:
        text = f"{len(missing)} migrations are not applied yet"
        yield warning("versions", text, f"{program()} serve applies them when it starts")
    if not (newer or changed or missing):
        python = ".".join(map(str, sys.version_info[:3]))
        number = f"{version.major}.{version.minor}"
        yield ok("versions", f"statsd-live {__version__}, Python {python}, PostgreSQL {number}, schema {max(applied)}")


async def clock(connection: Connection) -> AsyncIterator[Finding]:
    """Compare the clock of this machine with that of the database."""
    before = time.monotonic()
    there: datetime = await connection.fetchval("select clock_timestamp()")
    half = (time.monotonic() - before) / 2
    skew = abs((datetime.now(UTC) - there).total_seconds() - half)  # the answer was under way for half of the time
    if skew <= SKEW_SECONDS:
        yield ok("clock", f"this machine and the database differ by {skew:.3f} s")
        return
    level = fault if skew > WORST_SKEW_SECONDS else warning
    text = f"the clocks of this machine and of the database differ by {skew:,.1f} s"
    yield level("clock", text, "let a time server set both (timedatectl set-ntp true)")


async def durability(connection: Connection) -> AsyncIterator[Finding]:
    """Check what PostgreSQL's settings promise, and whether there is room for more."""
    values = {row["name"]: row["setting"] for row in await connection.fetch(QUERIES["settings"])}
    weak = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if values[name] == "off"]
    for name in weak:
        mend = f"alter system set {name} = on; select pg_reload_conf();"
        yield fault("durability", f"{name} is off: a power loss may lose or break what was committed", mend)
    if values["in_recovery"] == "true" or values["transaction_read_only"] == "on":
        text = "the database is read-only: every event goes to the spool"
        yield fault("durability", text, "use the primary's URL, or set default_transaction_read_only = off")
    elif not weak:
        yield ok("durability", "what is committed is on disk: fsync, full_page_writes and synchronous_commit are on")
    if values["autovacuum"] == "off":
        text = "autovacuum is off: tables grow without end"
        yield fault("bloat", text, "alter system set autovacuum = on; select pg_reload_conf();")
    used, most = int(values["sessions"]), int(values["max_connections"])
    if used > FULL_SHARE * most:
        mend = "raise max_connections, or put PgBouncer in between"
        yield warning("connections", f"{used} of {most} connections are in use", mend)
    age = int(values["oldest_transaction"])
    if age > OLD_TRANSACTIONS:
        level = fault if age > OLDEST_TRANSACTIONS else warning
        mend = "end long transactions, then: vacuum freeze;"
        yield level("bloat", f"the oldest transaction id is {age:,} back: PostgreSQL stops at 2.1 billion", mend)


async def listen(connection: Connection, settings: Settings, dsn: str) -> AsyncIterator[Finding]:
    """Send a notification through the pool's URL, and wait for it at the URL of LISTEN."""
    arrived = asyncio.Event()
    token = f"doctor {uuid4()}"
    listening = await connect(settings.listen_url or dsn)
    try:
        name = await connection.fetchval(f"select {sql.CHANNEL}")
        if name is None:
            yield fault("listen", "the schema that the URL leads into does not exist", f"{program()} serve creates it")
            return
        await listening.add_listener(name, lambda _c, _pid, _channel, text: arrived.set() if text == token else None)
        await connection.execute(NOTIFY, [token])
        await asyncio.wait_for(arrived.wait(), ARRIVAL_SECONDS)
    except TimeoutError:
        yield fault("listen", "a NOTIFY does not arrive where the server listens", POOLED)
    else:
        yield ok("listen", "a NOTIFY arrives: every page hears of every change")
    finally:
        listening.terminate()


async def letters(connection: Connection) -> AsyncIterator[Finding]:
    """Check for accepted events that PostgreSQL refused."""
    number = await connection.fetchval(sql.load("dead_letters")["number"])
    if number:
        mend = f"{program()} dead-letters list shows why; then retry all, or drop"
        yield fault(
            "dead letters", f"{number:,} accepted events are not in the statistics: PostgreSQL refused them", mend
        )
    else:
        yield ok("dead letters", "none")


async def accounts(connection: Connection, settings: Settings) -> AsyncIterator[Finding]:
    """Check for accounts whose password everybody knows."""
    number = await connection.fetchval(sql.load("accounts")["samples"])
    if number and not is_loopback(settings.host):
        mend = f"{program()} user remove NAME, or user passwd NAME, for user1 to user10"
        yield fault("accounts", f"{number} sample accounts have a public password", mend)


async def bloat(connection: Connection) -> AsyncIterator[Finding]:
    """Check tables for dead rows, and say which are the largest."""
    tables = await connection.fetch(QUERIES["tables"])
    wrong = False
    for table in tables:
        if table["is_never_vacuumed"]:
            wrong = True
            mend = f"alter table {table['name']} reset (autovacuum_enabled);"
            yield fault("bloat", f"autovacuum is off for {table['name']}: it grows without end", mend)
        if table["dead"] > max(DEAD_ROWS, table["live"]):
            wrong = True
            text = f"{table['name']} has {table['dead']:,} dead rows beside {table['live']:,} live ones"
            mend = f"vacuum {table['name']}; (autovacuum does it too, unless a long transaction holds it up)"
            yield warning("bloat", text, mend)
    for index in await connection.fetch(QUERIES["invalid_indexes"]):
        wrong = True
        yield fault("bloat", f"the index {index['name']} is invalid and not used", f"reindex index {index['name']};")
    if not wrong:
        sizes = [f"{table['name']} {_mib(table['bytes'] + table['index_bytes'])}" for table in tables[:BIGGEST]]
        whole = sum(table["bytes"] + table["index_bytes"] for table in tables)
        yield ok("bloat", f"all tables {_mib(whole)}; the largest: {', '.join(sizes)}")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


async def transactions(connection: Connection, long_seconds: float | None = None) -> AsyncIterator[Finding]:
    """Check for transactions that hold up others, or the removal of dead rows."""
    seconds = LONG_SECONDS if long_seconds is None else long_seconds
    wrong = False
    for row in await connection.fetch(QUERIES["transactions"], seconds):
        wrong = True
        name = row["application_name"] or "an unnamed program"
        text = f"a transaction of {name} (pid {row['pid']}, {row['state']}) is open for {row['seconds']:,} s"
        level = fault if row["blocked"] else warning
        blocks = f" and makes {row['blocked']} sessions wait" if row["blocked"] else ""
        yield level("locks", text + blocks, f"end that program, or: select pg_terminate_backend({row['pid']});")
    for row in await connection.fetch(QUERIES["prepared"], seconds):
        wrong = True
        text = f"the prepared transaction {row['gid']} is open for {row['seconds']:,} s: nothing ends it by itself"
        yield fault("locks", text, f"rollback prepared '{row['gid']}';")
    if not wrong:
        yield ok("locks", f"no transaction is open for more than {seconds:g} s")
