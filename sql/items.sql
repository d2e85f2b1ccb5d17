-- The items stream: items that were made. Heads, fold and tail as in logins.sql.

-- name: insert
with fresh as (
    insert into items (id, base_item_id, created_at, folded)
    select *, true
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
    on conflict (id) do nothing
    returning id, base_item_id, created_at
)

-- name: sweep
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

-- name: rebuild
with fresh as (
    select id, base_item_id, created_at
    from items
)

-- name: fold
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
-- name: stored
select
    id, base_item_id, created_at,
    pg_notify('item_creation', json_build_object('id', id)::text),
    pg_notify('statsd', 'items')
from fresh

-- name: swept
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

-- The newest bins of unit $1, up to the present as far as clocks agree on it: rows that are dated in the future count in
-- the totals, but a thousand bins of them would hide all that happens.
-- name: series
select coalesce(
    json_agg(
        json_build_object(
            'time', to_char(bin at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'count', count
        )
        order by bin desc
    ),
    '[]'
)
from (
    select bin, count
    from item_bins
    where unit = $1::text
        and bin <= now() + interval '1 minute'
    order by bin desc
    limit 1000
) as newest

-- Kinds of items for samples to be of.
-- name: scenery
insert into base_items (id, description)
values
    ('00000000-0000-4000-8000-0000000000b0', 'a cargo bike'),
    ('00000000-0000-4000-8000-0000000000b1', 'a drill'),
    ('00000000-0000-4000-8000-0000000000b2', 'a tent for four'),
    ('00000000-0000-4000-8000-0000000000b3', 'a sewing machine')
on conflict do nothing

-- The newest items, or those before the item $2; $1 at most.
-- name: page
with edge as (
    select created_at, id
    from items
    where id = $2::uuid
    union all
    select 'infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    where $2::uuid is null
),
page as (
    select id, base_item_id, created_at, owner_id, owned_since
    from items
    where (created_at, id) < ((select created_at from edge), (select id from edge))
    order by created_at desc, id desc
    limit $1::integer
)
select page.*, base_items.description, owners.name as owner_name
from page
join base_items on base_items.id = page.base_item_id
left join owners on owners.id = page.owner_id
order by page.created_at desc, page.id desc

-- name: find
select id
from items
where id = $1

-- The item $1 with its newest transfers, $2 at most: a row for each, the newest first; one row with nulls where there is
-- none. What is not folded yet is among them.
-- name: history
select
    items.id, base_item_id, description, items.created_at,
    moved.id as transfer_id, moved.owner_id, owners.name as owner_name, "timestamp"
from items
join base_items on base_items.id = base_item_id
left join lateral (
    select transfers.id, transfers.owner_id, "timestamp"
    from transfers
    where item_id = items.id
    order by "timestamp" desc, transfers.id desc
    limit $2
) as moved on true
left join owners on owners.id = moved.owner_id
where items.id = $1
order by "timestamp" desc, moved.id desc
