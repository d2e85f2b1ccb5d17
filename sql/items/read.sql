-- The items stream: reads.

-- The $1 newest items, or the $1 before the item $2. No page exceeds the inner limit. Without it PostgreSQL would plan
-- the statement each time: it takes an unknown limit for a tenth of the table.
-- name: page
with page as (
    select *
    from (
        select id, base_item_id, created_at, owner_id, owned_since
        from items
        where (created_at, id) < (
            select created_at, id
            from items
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
)
select page.*, base_items.description, owners.name as owner_name
from page
join base_items on base_items.id = page.base_item_id
left join owners on owners.id = page.owner_id
order by page.created_at desc, page.id desc

-- Whether the item $1 exists.
-- name: find
select id
from items
where id = $1

-- The item $1 with its $2 newest transfers, folded or not: one row for each, newest first; without transfers, one row
-- with nulls.
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

-- All items that were created or transferred from $1 until before $2: an export has the items of its transfers.
-- name: export
select id, base_item_id, created_at
from items
where (created_at >= $1::timestamptz and created_at < $2::timestamptz)
    or exists (
        select
        from transfers
        where item_id = items.id and "timestamp" >= $1 and "timestamp" < $2
    )
order by created_at, id
