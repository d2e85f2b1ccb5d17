-- The transfers stream: reads.

-- The dashboard's view at the time $1, without the series. Owners have no total, so they are counted, up to 10,000.
-- name: snapshot
with newest_items as (
    select id, base_item_id, created_at, owner_id, owned_since
    from items
    order by created_at desc, id desc
    limit 50
),
item_rows as (
    select
        newest.id, base_item_id, description, iso(newest.created_at) as created_at,
        owner_id, owners.name as owner_name, iso(owned_since) as owned_since
    from newest_items as newest
    join base_items on base_items.id = base_item_id
    left join owners on owners.id = owner_id
    order by newest.created_at desc, newest.id desc
),
newest_transfers as (
    select id, item_id, owner_id, "timestamp"
    from transfers
    order by "timestamp" desc, id desc
    limit 50
),
transfer_rows as (
    select
        newest.id, item_id, description,
        newest.owner_id, owners.name as owner_name, iso("timestamp") as "timestamp"
    from newest_transfers as newest
    join items on items.id = item_id
    join base_items on base_items.id = base_item_id
    join owners on owners.id = newest.owner_id
    order by newest."timestamp" desc, newest.id desc
),
owner_rows as (
    select id, name
    from owners
    order by created_at desc, id desc
    limit 100
),
base_item_rows as (
    select id, description
    from base_items
    order by created_at desc, id desc
    limit 100
)
select json_build_object(
    'itemCount', (select coalesce(sum(count), 0) from bins where stream = 'items' and unit = 'year'),
    'transferCount', (select coalesce(sum(count), 0) from bins where stream = 'transfers' and unit = 'year'),
    'items', (select coalesce(json_agg(item_rows), '[]') from item_rows),
    'transfers', (select coalesce(json_agg(transfer_rows), '[]') from transfer_rows),
    'owners', (select coalesce(json_agg(owner_rows), '[]') from owner_rows),
    'ownerCount', (select nullif(count(*), 10001) from (select from owners limit 10001) as counted),
    'baseItems', (select coalesce(json_agg(base_item_rows), '[]') from base_item_rows),
    'generatedAt', iso($1)
)

-- name: owner
select id, name, created_at
from owners
where id = $1

-- name: base_item
select id, description, created_at
from base_items
where id = $1

-- The $1 newest owners, or the $1 before the owner $2. The inner limit is as in items/read.sql.
-- name: owners
select *
from (
    select id, name, created_at
    from owners
    where (created_at, id) < (
        select created_at, id
        from owners
        where id = $2::uuid
        union all
        select 'infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff'
        where $2::uuid is null
    )
    order by created_at desc, id desc
    limit 1001
) as newest
order by created_at desc, id desc
limit $1::integer

-- The $1 newest base items, or the $1 before the base item $2. The inner limit is as in items/read.sql.
-- name: base_items
select *
from (
    select id, description, created_at
    from base_items
    where (created_at, id) < (
        select created_at, id
        from base_items
        where id = $2::uuid
        union all
        select 'infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff'
        where $2::uuid is null
    )
    order by created_at desc, id desc
    limit 1001
) as newest
order by created_at desc, id desc
limit $1::integer

-- All transfers from $1 until before $2, as they are stored.
-- name: export
select id, item_id, owner_id, "timestamp"
from transfers
where "timestamp" >= $1::timestamptz and "timestamp" < $2::timestamptz
order by "timestamp", id

-- Owners and base items are exported whole: items and transfers of any time may refer to them.
-- name: export_owners
select id, name, created_at
from owners
order by created_at, id

-- name: export_base_items
select id, description, created_at
from base_items
order by created_at, id
