"""Which schema a connection uses where neither the role nor the URL says: `public`.

PostgreSQL's own search path begins with the schema that has the role's name. One that STATS_SCHEMA=statsd made would
take over all connections of a role `statsd`, also those of an installation in `public`. So the table of migrations in
such a schema is marked, and the connections of others pass it by.
"""

MARK = "in a schema of its own: STATS_SCHEMA"

PUBLIC = f"""
    select 'public' as path
    where current_setting('search_path') = '"$user", public'
        and not exists (
            select
            from pg_namespace
            left join pg_class on relnamespace = pg_namespace.oid and relname = 'statsd_migrations'
            where nspname = current_user and obj_description(pg_class.oid, 'pg_class') is distinct from '{MARK}'
        )
"""  # noqa: S608
"""One row if the search path has to be `public`; none if it stays as it is."""

USE_PUBLIC = f"select set_config('search_path', path, false) from ({PUBLIC}) as found"  # noqa: S608
