-- What the probes and the metrics ask the database about itself.

-- Writes one row and syncs it, so that a read-only server counts as away.
-- name: write
insert into stream_moments (stream, stored_at)
values ('', now())
on conflict (stream) do update
set stored_at = excluded.stored_at

-- Takes 0.7 MB of the disk and gives them back: a row that is updated in its own page proves nothing on a full disk.
-- name: allocate
create temporary table probe_space on commit drop as
select generate_series(1, 20000) as number

-- name: reading
select
    (
        select bool_and(setting = 'on')
        from pg_settings
        where name in ('fsync', 'full_page_writes', 'synchronous_commit')
    ) as durable,
    pg_database_size(current_database()) as bytes

-- Keeps when streams last stored an event, at the latest that any server knows.
-- name: keep_moments
insert into stream_moments as moment (stream, stored_at)
select stream, stored_at
from unnest($1::text[], $2::timestamptz[]) as latest (stream, stored_at)
order by stream
on conflict (stream) do update
set stored_at = greatest(moment.stored_at, excluded.stored_at)

-- name: moments
select stream, stored_at
from stream_moments
where stream not in ('', 'demo', 'demo history')
