"""How fast PostgreSQL takes rows over one connection, with nothing before it.

    straight.py MODE SIZE SECONDS, in a database named by PGHOST and the like

`totals` inserts arrays through `unnest` and adds them to exact totals in the same statement, `unnest` only inserts
them, `copy` copies them. Prints the number of statements, the seconds, the 99th percentile in ms, and
the seconds of CPU time.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from itertools import cycle

import asyncpg

BODIES = 40
COLUMNS = ("site_id", "event_type", "path", "user_id", "timestamp")

SCHEMA = """
create table if not exists events (
    site_id text not null,
    id uuid not null default uuidv7(),
    event_type text not null,
    path text not null,
    user_id text,
    "timestamp" timestamptz not null,
    created_at timestamptz not null default now(),
    primary key (site_id, id)
);
create index if not exists events_id on events (id);
create table if not exists days (site_id text, day date, views bigint, users bigint, primary key (site_id, day));
create table if not exists paths (site_id text, day date, path text, views bigint, primary key (site_id, day, path));
create table if not exists users (site_id text, day date, user_id text, primary key (site_id, day, user_id));
"""

UNNEST = """
insert into events (site_id, event_type, path, user_id, "timestamp")
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
"""

TOTALS = f"""
with fresh as (
    {UNNEST}
    returning site_id, ("timestamp" at time zone 'UTC')::date as day, path, user_id
),
newcomers as (
    insert into users (site_id, day, user_id)
    select distinct site_id, day, user_id from fresh order by site_id, day, user_id
    on conflict do nothing
    returning site_id, day
),
paths_of_fresh as (
    insert into paths as total (site_id, day, path, views)
    select site_id, day, path, count(*) from fresh group by site_id, day, path order by site_id, day, path
    on conflict (site_id, day, path) do update set views = total.views + excluded.views
)
insert into days as total (site_id, day, views, users)
select site_id, day, sum(views), sum(users)
from (
    select site_id, day, 1 as views, 0 as users from fresh
    union all
    select site_id, day, 0, 1 from newcomers
) as counted
group by site_id, day
order by site_id, day
on conflict (site_id, day) do update set views = total.views + excluded.views, users = total.users + excluded.users
"""


def rows(body: int, size: int) -> list[tuple[str, str, str, str, datetime]]:
    now = datetime.now(UTC)
    numbers = range(body * size, (body + 1) * size)
    return [(f"site-{n % 3}", "page_view", f"/page/{n % 50}", f"user-{n}", now) for n in numbers]


async def main(mode: str, size: int, seconds: float) -> None:
    connection = await asyncpg.connect()
    await connection.execute(SCHEMA)
    bodies = [rows(body, size) for body in range(BODIES)]
    columns = [[list(column) for column in zip(*body, strict=True)] for body in bodies]
    statement = await connection.prepare(TOTALS if mode == "totals" else UNNEST)
    times = []
    begin, cpu = time.perf_counter(), time.process_time()
    for body, arrays in cycle(zip(bodies, columns, strict=True)):
        started = time.perf_counter()
        if mode == "copy":
            await connection.copy_records_to_table("events", records=body, columns=COLUMNS)
        else:
            await statement.fetch(*arrays)
        times.append(time.perf_counter() - started)
        if time.perf_counter() - begin > seconds:
            break
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    times.sort()
    await connection.close()
    print(len(times), took, times[int(len(times) * 0.99)] * 1e3, cpu)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
