"""A database that other programs use too: what is theirs stays theirs, and what is ours has names of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from databases import renamed
from program import Program

from statsd.database import ledger, migrations, sql
from statsd.database.pool import Connection, open_pool
from statsd.errors import DatabaseAway, DatabaseError, SchemaTooNew
from statsd.libpq.forms import in_schema

_numbers = count(1)
EVERYTHING = """
    select pg_class.oid::bigint, relname::text, relkind::text from pg_class
    where relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
    union all
    select pg_proc.oid::bigint, proname::text, 'function' from pg_proc where pronamespace = 'public'::regnamespace
    union all
    select pg_namespace.oid::bigint, nspname::text, 'schema' from pg_namespace where nspname not like 'pg_%'
    order by 1
"""


@pytest.fixture
async def database(server_dsn: str) -> AsyncIterator[tuple[str, Connection]]:
    """An empty database: its URL, and a connection of its owner."""
    name = f"others_{next(_numbers)}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f"create database {name}")
    url = renamed(server_dsn, name)
    owner = await asyncpg.connect(url)
    yield url, owner
    await owner.close()
    await admin.execute(f"drop database {name} with (force)")
    await admin.execute("drop role if exists app")
    await admin.close()


Database = tuple[str, Connection]


async def login_of(url: str, owner: Connection) -> str:
    """Create the role `app`, which owns nothing, and return its URL."""
    await owner.execute("create role app login password 'app'")
    return url.replace(url[: url.index("@")], "postgresql://app:app")


FOREIGN = """
    create table users (id bigint);
    create view items as select 1 as id;
    create sequence transfers;
    create type page_views as (a int);
    create type bins as enum ('a');
    create function iso(text) returns text language sql return $1;
    create materialized view owners as select 1 as id;
    create table other (id int);
    create index items_newest on other (id);
"""


async def test_everything_under_our_names_is_said_at_once_and_nothing_is_made(database: Database) -> None:
    url, owner = database
    await owner.execute(FOREIGN)
    before = await owner.fetch(EVERYTHING)
    with pytest.raises(DatabaseError) as caught:
        await migrations.migrate(url)
    assert (
        "the schema public holds what another program made under our names: type bins, function iso, view items,"
        " index items_newest, materialized view owners, sequence transfers, table users."
    ) in str(caught.value)
    assert "STATS_SCHEMA=statsd gives this program a schema of its own" in str(caught.value)
    assert await owner.fetch(EVERYTHING) == before


async def test_table_of_another_program_under_the_name_of_ours_is_refused(database: Database) -> None:
    url, owner = database
    await owner.execute("create table statsd_migrations (version bigint)")
    with pytest.raises(DatabaseError, match=r"under our names: table statsd_migrations\. Nothing was changed"):
        await migrations.migrate(url)


async def test_tables_of_others_under_other_names_are_no_obstacle(database: Database) -> None:
    url, owner = database
    await owner.execute("create table orders (id int); create table schema_version (installed_rank int)")
    assert await migrations.migrate(url)
    assert await owner.fetchval("select count(*) from orders") == 0


async def test_a_schema_of_its_own_is_the_way_out(database: Database) -> None:
    url, owner = database
    await owner.execute(FOREIGN)
    assert len(await migrations.migrate(in_schema(url, "statsd"))) == len(migrations.migrations())
    assert await migrations.migrate(in_schema(url, "statsd")) == []
    assert await owner.fetchval("select count(*) from statsd.users") == 0
    assert await owner.fetchval("select to_regclass('public.user_logins')") is None


@pytest.mark.parametrize(
    "theirs",
    [
        "create table schema_migrations (version varchar primary key)",  # Rails
        "create table schema_migrations (version bigint primary key, inserted_at timestamp)",  # Ecto
        "create table schema_migrations (version bigint primary key, dirty boolean not null)",  # golang-migrate
        "create view schema_migrations as select 1 as number, 'x' as name, 'y' as checksum, now() as applied_at",
        "create table schema_migrations (number int, name text, checksum text, applied_at timestamptz);"
        " insert into schema_migrations values (1, 'create users', 'x', now())",
    ],
)
async def test_schema_migrations_of_another_program_is_left_alone(database: Database, theirs: str) -> None:
    url, owner = database
    await owner.execute(theirs)
    before = await owner.fetch("select * from schema_migrations")
    assert await migrations.migrate(url)
    assert await migrations.migrate(url) == []
    assert [row["version"] if "version" in row else row["number"] for row in before] == [
        row["version"] if "version" in row else row["number"]
        for row in await owner.fetch("select * from schema_migrations")
    ]


async def as_before(owner: Connection, schema: str = "public") -> None:
    """Name the table of migrations as earlier programs did."""
    await owner.execute(f'alter table "{schema}".statsd_migrations rename to schema_migrations')
    await owner.execute(f'alter index "{schema}".statsd_migrations_pkey rename to schema_migrations_pkey')


async def test_table_of_earlier_programs_is_moved_by_the_first_of_several_servers(database: Database) -> None:
    url, owner = database
    await migrations.migrate(url)
    rows = await owner.fetch("select * from statsd_migrations order by number")
    await as_before(owner)
    assert await asyncio.gather(*(migrations.migrate(url) for _ in range(4))) == [[]] * 4
    assert await owner.fetch("select * from statsd_migrations order by number") == rows
    assert await owner.fetchval("select relkind from pg_class where relname = 'schema_migrations'") == b"v"
    assert await owner.fetchval("select to_regclass('statsd_migrations_pkey')") == "statsd_migrations_pkey"


async def test_missing_migrations_are_applied_to_a_table_that_is_moved(database: Database) -> None:
    url, owner = database
    await migrations.migrate(url)
    await as_before(owner)
    await owner.execute("delete from schema_migrations where number = 9")
    await owner.execute("alter table owners drop constraint created_between_1970_and_2100")
    await owner.execute("alter table base_items drop constraint created_between_1970_and_2100")
    assert await migrations.migrate(url) == ["0009_possible_years"]


EARLIER = """
    create table if not exists schema_migrations (
        number integer primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default now()
    )
"""


async def test_earlier_program_finds_a_moved_database_newer_than_itself(database: Database) -> None:
    """It creates its table unless that exists, and reads what was applied: more than it knows."""
    url, owner = database
    await migrations.migrate(url)
    await as_before(owner)
    await migrations.migrate(url)
    await owner.execute(EARLIER)
    rows = await owner.fetch("select number, name, checksum from schema_migrations order by number")
    assert [row["number"] for row in rows] == [migration.number for migration in migrations.migrations()]


async def test_earlier_program_fails_on_a_new_database_and_leaves_nothing(database: Database) -> None:
    url, owner = database
    await migrations.migrate(url)
    before = await owner.fetch(EVERYTHING)
    first = (sql.FOLDER / "migrations" / "0001_logins.sql").read_text()
    with pytest.raises(asyncpg.DuplicateTableError, match="user_logins"):
        await owner.execute(f"begin; {EARLIER}; {first}")
    await owner.execute("rollback")
    assert await owner.fetch(EVERYTHING) == before


async def test_newer_database_is_refused_under_the_old_name_too(database: Database) -> None:
    url, owner = database
    await migrations.migrate(url)
    await as_before(owner)
    await owner.execute("insert into schema_migrations values (9999, '9999_future', 'x')")
    with pytest.raises(SchemaTooNew, match="9999_future"):
        await migrations.migrate(url)
    assert await owner.fetchval("select to_regclass('statsd_migrations')") is None


async def test_first_migrations_are_one_transaction(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    url, owner = database
    before = await owner.fetch(EVERYTHING)
    broken = migrations.Migration(9_000, "9000_broken", "create table last_of_all (id int);\nselect no_such_column;\n")
    every = [*migrations.migrations(), broken]
    monkeypatch.setattr(migrations, "migrations", lambda: every)
    with pytest.raises(DatabaseError, match="no_such_column"):
        await migrations.migrate(url)
    assert await owner.fetch(EVERYTHING) == before


async def test_later_migration_looks_for_its_names_first_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, owner = database
    await migrations.migrate(url)
    await owner.execute("create table newcomer (id int)")
    new = migrations.Migration(9_000, "9000_newcomer", "create table newcomer (id int);\n")
    every = [*migrations.migrations(), new]
    monkeypatch.setattr(migrations, "migrations", lambda: every)
    with pytest.raises(DatabaseError, match="under our names: table newcomer"):
        await migrations.migrate(url)


def test_every_name_that_a_migration_gives_is_known() -> None:
    """Also of a table that a later migration renames or drops."""
    names = ledger.created(migration.text for migration in migrations.migrations())
    assert {"users", "page_users", "webhook_minutes", "login_summary", "iso", "username_once", "items_newest"} <= names
    text = "create unique index concurrently_not on a (b);\ncreate type mood as enum ();\ncreate sequence s;\n"
    assert ledger.created([text]) == {"concurrently_not", "mood", "s"}


async def test_all_names_are_found_that_an_installation_has(database: Database) -> None:
    url, owner = database
    await migrations.migrate(url)
    made = await owner.fetch("""
        select relname::text as name from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm')
        union select proname::text from pg_proc where pronamespace = 'public'::regnamespace
    """)
    names = ledger.created(migration.text for migration in migrations.migrations()) | {ledger.NAME}
    assert {row["name"] for row in made} <= names


# ---- what a role may do

GRANTS = [
    "grant connect on database {database} to app",
    "grant usage on schema public to app",
    "grant select, insert, update, delete on all tables in schema public to app",
]


async def test_role_that_may_only_read_and_write_uses_a_current_schema(database: Database) -> None:
    url, owner = database
    await migrations.migrate(url)
    app = await login_of(url, owner)
    name = await owner.fetchval("select current_database()")
    for grant in GRANTS:
        await owner.execute(grant.format(database=name))
    assert await migrations.migrate(app) == []
    async with await open_pool(app) as pool:
        assert await pool.fetchval("select current_user") == "app"
        await pool.execute(sql.load("transfers")["seed"])


async def test_role_that_may_not_change_the_schema_is_told_what_is_pending(database: Database) -> None:
    url, owner = database
    await migrations.migrate(url)
    app = await login_of(url, owner)
    await owner.execute("grant select, insert, update, delete on all tables in schema public to app")
    await owner.execute("delete from statsd_migrations where number = 9")
    with pytest.raises(DatabaseError) as caught:
        await migrations.migrate(app)
    said = str(caught.value)
    assert (
        "the role app may not change the schema (must be owner of table owners); pending: 0009_possible_years." in said
    )
    assert "python -m statsd aggregate --database-url URL" in said
    await as_before(owner)
    with pytest.raises(
        DatabaseError, match=r"must be owner of table schema_migrations\); pending: 0009_possible_years"
    ):
        await migrations.migrate(app)


async def test_role_that_may_create_nothing_is_told_so_in_an_empty_database(database: Database) -> None:
    url, owner = database
    app = await login_of(url, owner)
    with pytest.raises(DatabaseError, match=r"permission denied for schema public\); pending: all migrations"):
        await migrations.migrate(app)
    with pytest.raises(
        DatabaseError, match=r'may not create the schema statsd .*create schema "statsd" authorization app'
    ):
        await migrations.migrate(in_schema(app, "statsd"))
    await owner.execute("create schema statsd")
    with pytest.raises(DatabaseError, match=r'may not use the schema statsd: grant usage on schema "statsd" to app'):
        await migrations.migrate(in_schema(app, "statsd"))
    await owner.execute("drop schema statsd; create schema statsd authorization app")
    assert await migrations.migrate(in_schema(app, "statsd"))


async def test_read_only_database_is_said(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    url, owner = database
    read_only = f"{url}&options=-c%20default_transaction_read_only%3Don"
    with pytest.raises(DatabaseAway, match=r"the database is read-only \(a standby.*use the primary's URL"):
        await migrations.migrate(read_only)
    await migrations.migrate(url)
    assert await migrations.migrate(read_only) == []
    assert "the database is read-only" in caplog.text
    assert await owner.fetchval("select count(*) from statsd_migrations") > 0


# ---- schemas


@pytest.mark.parametrize("name", ["statsd", "weird-Name", 'a"b c', "back\\slash", "schön", "x" * 63])
async def test_schema_of_any_name_is_created_once_by_several_servers(database: Database, name: str) -> None:
    url, owner = database
    applied = await asyncio.gather(*(migrations.migrate(in_schema(url, name)) for _ in range(4)))
    assert sum(map(len, applied)) == len(migrations.migrations())
    assert await owner.fetchval("select count(*) from pg_tables where schemaname = $1", name) > 30
    async with await open_pool(in_schema(url, name)) as pool:
        assert await pool.fetchval("select current_schema()") == name


async def test_schema_that_the_role_or_the_url_names_is_used_as_ever(database: Database) -> None:
    url, owner = database
    await owner.execute("create schema app")
    await owner.execute("create schema second")
    assert await migrations.migrate(f"{url}&search_path=app,public")
    assert await migrations.migrate(f"{url}&options={quote('-c search_path=second')}")
    schemas = "select array_agg(schemaname::text order by 1) from pg_tables where tablename = 'statsd_migrations'"
    assert await owner.fetchval(schemas) == ["app", "second"]
    with pytest.raises(DatabaseError, match="the search path has no schema that exists"):
        await migrations.migrate(f"{url}&search_path=gone,lost")


async def test_schema_of_the_role_s_name_is_used_if_its_owner_made_it(database: Database) -> None:
    url, owner = database
    await owner.execute("create schema statsd authorization statsd")
    assert await migrations.migrate(url)
    assert await migrations.migrate(url) == []
    assert await owner.fetchval("select to_regclass('statsd.user_logins') is not null")
    assert await owner.fetchval("select to_regclass('public.user_logins')") is None


async def test_installation_in_public_is_not_used_and_the_log_says_so(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    url, _ = database
    await migrations.migrate(url)
    assert await migrations.migrate(in_schema(url, "statsd"))
    assert "the tables of statsd-live in the schema public stay as they are, and are not used" in caplog.text


async def test_refusal_is_one_sentence_with_exit_code_4(database: Database, run: Any) -> None:
    url, owner = database
    await owner.execute("create table users (id bigint)")
    program: Program = run("serve", "--port", "0", DATABASE_URL=url)
    assert await program.ended() == 4
    assert program.stderr.startswith(
        "statsd: the schema public holds what another program made under our names: table users"
    )
    program = run("serve", "--port", "0", DATABASE_URL=f"{url}&colour=red")
    assert await program.ended() == 3


WRITING = [
    ("aggregate",), ("generate", "--count", "5"), ("import", "logins", "/dev/null"), ("erase", "--user", "7"),
    ("token", "add", "x", "--scope", "read"),
]  # fmt: skip


@pytest.mark.parametrize("only", ["a read-only database", "a role that may only read"])
async def test_command_that_stores_something_ends_with_a_sentence(database: Database, run: Any, only: str) -> None:
    url, owner = database
    await migrations.migrate(url)
    if only == "a read-only database":
        url = f"{url}&options=-c%20default_transaction_read_only%3Don"
    else:
        url = await login_of(url, owner)
        await owner.execute("grant select on all tables in schema public to app")
    programs: list[Program] = [run(*words, DATABASE_URL=url) for words in WRITING]
    for program in programs:
        assert await program.ended() == 4, program.stderr
        assert re.search(
            r"^statsd: the (database is read-only|role app may only|database refuses)", program.stderr, re.M
        )
        assert "Traceback" not in program.stderr
