"""The table `statsd_migrations`, which says what was applied to the schema, and what else the schema holds.

Earlier programs named it `schema_migrations`, as Rails, Ecto and golang-migrate do theirs. One that is ours is moved. A
view of the old name stays then, so that an earlier program still finds a database newer than itself, and stops. One of
another program is left alone.
"""

import re
from collections.abc import Iterable

from statsd.database.pool import Connection
from statsd.database.search_path import MARK

NAME, OLD_NAME = "statsd_migrations", "schema_migrations"
COLUMNS = ["applied_at", "checksum", "name", "number"]

_TABLES = """
    select pg_class.relname as name, array_agg(attname::text order by attname::text) as columns
    from pg_class
    join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
    where relnamespace = quote_ident(current_schema())::regnamespace
        and relkind in ('r', 'p')
        and relname = any($1::text[])
    group by pg_class.oid
"""
_STRANGE = "select exists (select from schema_migrations where name !~ '^[0-9]{4}_')"
_TAKEN = """
    select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
            when 'i' then 'index' when 'c' then 'type' else 'table' end as kind, relname::text as name
    from pg_class
    where relnamespace = quote_ident(current_schema())::regnamespace and relname = any($1::text[])
    union
    select 'type', typname::text
    from pg_type
    where typnamespace = quote_ident(current_schema())::regnamespace and typname = any($1::text[]) and typrelid = 0
    union
    select 'function', proname::text
    from pg_proc
    where pronamespace = quote_ident(current_schema())::regnamespace and proname = any($1::text[])
    order by name, kind
"""
IN_PUBLIC = """
    select exists (
        select
        from pg_class
        where relnamespace = to_regnamespace('public') and relname in ('statsd_migrations', 'user_logins')
    )
"""
"""Whether the schema `public` has an installation of ours."""
_CREATED = re.compile(
    r"""
    ^\s*create\ (?:or\ replace\ )?(?:unlogged\ |unique\ |materialized\ )*
        (?:table|view|function|sequence|index|type)\ (?:if\ not\ exists\ )?(\w+)
    | ^alter\ table\ .*\ rename\ to\ (\w+)
    | \bconstraint\ (\w+)\ (?:unique|primary\ key)
    """,
    re.MULTILINE | re.VERBOSE,
)


async def find(connection: Connection) -> str | None:
    """Return the name of our table in the current schema, or None if there is none."""
    tables = {row["name"]: row["columns"] for row in await connection.fetch(_TABLES, [NAME, OLD_NAME])}
    if {*COLUMNS} <= {*tables.get(NAME, [])}:
        return NAME
    if tables.get(OLD_NAME) != COLUMNS:
        return None
    return None if await connection.fetchval(_STRANGE) else OLD_NAME


async def applied(connection: Connection, table: str) -> list[tuple[int, str, str]]:
    """Return number, name and checksum of each applied migration, in order."""
    rows = await connection.fetch(f"select number, name, checksum from {table} order by number")  # noqa: S608
    return [tuple(row) for row in rows]


async def create(connection: Connection, marked: bool) -> None:
    """Create the table; `marked`: in a schema that the URL names (`search_path.py`)."""
    await connection.execute(f"""
        create table {NAME} (
            number integer primary key,
            name text not null,
            checksum text not null,
            applied_at timestamptz not null default now()
        )
        """)
    if marked:
        await connection.execute(f"comment on table {NAME} is '{MARK}'")


async def move(connection: Connection) -> None:
    """Give our table its name of today. One statement each: distributed PostgreSQL accepts no more at a time."""
    await connection.execute(f"alter table {OLD_NAME} rename to {NAME}")
    await connection.execute(f"alter index if exists {OLD_NAME}_pkey rename to {NAME}_pkey")
    await connection.execute(f"create view {OLD_NAME} as select * from {NAME}")  # noqa: S608


async def add(connection: Connection, number: int, name: str, checksum: str) -> None:
    query = f"insert into {NAME} (number, name, checksum) values ($1, $2, $3)"  # noqa: S608
    await connection.execute(query, number, name, checksum)


async def taken(connection: Connection, names: set[str]) -> list[str]:
    """Return what the current schema holds under these names, each with its kind, such as `table users`."""
    return [f"{row['kind']} {row['name']}" for row in await connection.fetch(_TAKEN, sorted(names))]


def created(texts: Iterable[str]) -> set[str]:
    """Return the names that the statements of migrations give to tables, indexes, views, functions and types."""
    return {name for text in texts for found in _CREATED.findall(text) for name in found if name}
