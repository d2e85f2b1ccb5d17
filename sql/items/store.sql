-- The items stream, items that were made: what is stored. Parts as in logins/store.sql.

-- part: insert
with fresh as (
    insert into items (id, base_item_id, created_at, folded)
    select *, true
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
    on conflict (id) do nothing
    returning id, base_item_id, created_at
)

-- part: sweep
with waiting as (
    select id
    from items
    where not folded
    order by id
    limit 10000
    for no key update skip locked
),
fresh as (
    update items
    set folded = true
    from waiting
    where items.id = waiting.id
    returning items.id, base_item_id, created_at
)

-- part: rebuild
with fresh as (
    select id, base_item_id, created_at
    from items
)

-- part: fold
, bins as (
    insert into item_bins as total (unit, bin, count)
    select unit, date_trunc(unit, created_at, 'UTC') as bin, count(*)
    from fresh
    cross join (
        values
            ('millisecond', date_trunc('hour', now(), 'UTC') - interval '1 hour'),
            ('second', date_trunc('hour', now(), 'UTC') - interval '1 day'),
            ('minute', '-infinity'),
            ('hour', '-infinity'),
            ('day', '-infinity'),
            ('week', '-infinity'),
            ('month', '-infinity'),
            ('quarter', '-infinity'),
            ('year', '-infinity')
    ) as units (unit, kept_since)
    where created_at >= kept_since
    group by unit, bin
    order by unit, bin
    on conflict (unit, bin) do update
    set count = total.count + excluded.count
)

-- Other programs, and our servers, are told in the transaction that stored them.
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
) as told

-- name: empty
delete from item_bins

-- name: lock
lock table items in share row exclusive mode

-- One small step: deletes bins so fine that they are kept for an hour or a day only.
-- name: expire
with old as (
    select unit, bin
    from item_bins
    where (unit = 'millisecond' and bin < date_trunc('hour', now(), 'UTC') - interval '1 hour')
        or (unit = 'second' and bin < date_trunc('hour', now(), 'UTC') - interval '1 day')
    limit 5000
    for update skip locked
),
expired as (
    delete from item_bins
    using old
    where item_bins.unit = old.unit and item_bins.bin = old.bin
    returning 1
)
select count(*)
from expired

-- name: known
select given.place, given.base_item_id = stored.base_item_id as same, stored.id, stored.base_item_id, stored.created_at
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
    with ordinality as given (id, base_item_id, created_at, place)
join items as stored using (id)

-- Kinds of items for samples to be of.
-- name: scenery
insert into base_items (id, description)
values
    ('00000000-0000-4000-8000-0000000000b0', 'a cargo bike'),
    ('00000000-0000-4000-8000-0000000000b1', 'a drill'),
    ('00000000-0000-4000-8000-0000000000b2', 'a tent for four'),
    ('00000000-0000-4000-8000-0000000000b3', 'a sewing machine')
on conflict do nothing
