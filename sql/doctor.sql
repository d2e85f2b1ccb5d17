-- What `doctor` asks PostgreSQL. Nothing here waits for a lock or changes anything.

-- Each setting that decides whether a commit is durable, and whether anything can be written.
-- name: settings
select name, setting
from pg_settings
where name in (
    'fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum', 'transaction_read_only', 'max_connections'
)
union all
select 'in_recovery', pg_is_in_recovery()::text
union all
select 'sessions', count(*)::text
from pg_stat_activity
where backend_type = 'client backend'
union all
select 'oldest_transaction', max(age(datfrozenxid))::text
from pg_database

-- Transactions older than $1 seconds, and how many sessions each of them makes wait. The own one is left out.
-- name: transactions
select
    pid, state, application_name, floor(extract(epoch from now() - xact_start))::bigint as seconds,
    (
        select count(*)
        from pg_stat_activity as waiting
        where waiting.wait_event_type = 'Lock' and sessions.pid = any(pg_blocking_pids(waiting.pid))
    ) as blocked
from pg_stat_activity as sessions
where datname = current_database()
    and backend_type = 'client backend'
    and pid <> pg_backend_pid()
    and xact_start < now() - $1::double precision * interval '1 second'
order by xact_start

-- Transactions prepared over $1 seconds ago: nothing ends them by itself.
-- name: prepared
select gid, floor(extract(epoch from now() - prepared))::bigint as seconds
from pg_prepared_xacts
where database = current_database() and prepared < now() - $1::double precision * interval '1 second'

-- Tables by size with their dead rows, and those that are not vacuumed by themselves.
-- name: tables
select
    stats.relname as name, n_live_tup as live, n_dead_tup as dead,
    pg_table_size(stats.relid) as bytes, pg_indexes_size(stats.relid) as index_bytes,
    coalesce('autovacuum_enabled=false' = any(reloptions), false) as is_never_vacuumed
from pg_stat_user_tables as stats
join pg_class on pg_class.oid = stats.relid
where schemaname = any(current_schemas(false))
order by bytes desc

-- name: invalid_indexes
select indexrelid::regclass::text as name
from pg_index
where not indisvalid
