-- The items stream: writes and upkeep. Parts as in logins/store.sql.
-- table: items

-- part: insert
with fresh as (
    insert into items (id, base_item_id, created_at, folded)
    select *, true
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
    on conflict (id) do nothing -- not in `append`
    returning id, base_item_id, created_at
)

-- Counts by millisecond first: 5,000 new items share a few dozen, and only these are counted in all nine units.
-- part: fold
, milliseconds as (
    select date_trunc('millisecond', created_at, 'UTC') as millisecond, count(*) as events
    from fresh
    group by millisecond
),
binned as (
    insert into bins as total (stream, unit, bin, count)
    select 'items', unit, date_trunc(unit, millisecond, 'UTC') as bin, sum(events)
    from milliseconds
    join bin_units on millisecond >= kept_since
    where stream = 'items'
    group by unit, bin
    order by unit, bin
    on conflict (stream, unit, bin) do update
    set count = total.count + excluded.count
)

-- Notifies other programs and our servers in the transaction that stores the items.
-- part: stored
select
    id, base_item_id, created_at,
    pg_notify('item_creation', json_build_object('id', id)::text),
    pg_notify('statsd', 'items')
from fresh

-- part: swept
select count(*)
from (
    select pg_notify('item_creation', json_build_object('id', id)::text)
    from fresh
) as notified

-- name: empty
delete from bins
where stream = 'items'

-- Of the given items, those whose ids are stored, and whether they are the same.
-- name: known
select given.number, given.base_item_id = stored.base_item_id as same, stored.id, stored.base_item_id, stored.created_at
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
    with ordinality as given (id, base_item_id, created_at, number)
join items as stored using (id)

-- The base items of generated items.
-- name: fixtures
insert into base_items (id, description)
values
    ('00000000-0000-4000-8000-0000000000b0', 'a cargo bike'),
    ('00000000-0000-4000-8000-0000000000b1', 'a drill'),
    ('00000000-0000-4000-8000-0000000000b2', 'a tent for four'),
    ('00000000-0000-4000-8000-0000000000b3', 'a sewing machine')
on conflict do nothing
