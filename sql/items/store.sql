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
    pg_notify(:channel, 'items')
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
select id, description
from unnest($1::uuid[], $2::text[]) as kinds (id, description)
on conflict do nothing

-- The differences between the bins and a count of the folded rows, as in logins/store.sql: of the UTC day $1 only bins of
-- a day or less.
-- name: recount
with milliseconds as (
    select date_trunc('millisecond', created_at, 'UTC') as millisecond, count(*) as events
    from items
    where folded
        and created_at >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and created_at < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
    group by millisecond
),
counted as (
    select unit, date_trunc(unit, millisecond, 'UTC') as bin, sum(events)::bigint as count
    from milliseconds
    join bin_units on millisecond >= kept_since
    where stream = 'items'
    group by unit, bin
),
stored as (
    select unit, bin, count
    from bins
    join bin_units using (stream, unit)
    where stream = 'items'
        and bin >= kept_since
        and bin >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and bin < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
)
select 'bins' as "table", row(unit, bin)::text as key, stored.count::text as stored, counted.count::text as counted
from stored
full join counted using (unit, bin)
where stored.count is distinct from counted.count
    and ($1::date is null or unit not in ('week', 'month', 'quarter', 'year'))
order by key
limit 1000

-- name: days
select distinct (bin at time zone 'UTC')::date as day
from bins
where stream = 'items' and unit = 'day'
