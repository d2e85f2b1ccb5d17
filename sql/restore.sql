-- What a restore finds in the schema before it begins. What belongs to an extension is left alone.

-- name: objects
-- Tables, views, sequences and functions, each with the statement that drops it. Tables come first: they take along what
-- depends on them.
select
    relname as name,
    relkind in ('r', 'p') as is_table,
    format(
        'drop %s if exists %I.%I cascade',
        case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end,
        current_schema(), relname
    ) as statement
from pg_class
where relnamespace = quote_ident(current_schema())::regnamespace
    and relkind in ('r', 'p', 'v', 'm', 'S')
    and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype in ('e', 'a', 'i'))
union all
select proname, false, format('drop routine if exists %s cascade', pg_proc.oid::regprocedure)
from pg_proc
where pronamespace = quote_ident(current_schema())::regnamespace
    and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e')
order by is_table desc, name

-- name: servers
-- Connections of our servers to this database.
select count(*)
from pg_stat_activity
where datname = current_database()
    and application_name = 'statsd-live'
    and pid <> pg_backend_pid()
