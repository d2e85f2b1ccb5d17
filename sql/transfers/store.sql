-- The transfers stream: writes and upkeep. Parts as in logins/store.sql.
-- table: transfers

-- A transfer with a timestamp is history, and is stored as it is. A transfer without one happens now, and is stored
-- only if it changes the owner. Its time and its effect are decided while the item's row is locked: the time is later
-- than that of the previous transfer, even if clocks differ, and of two concurrent transfers to the same owner only one
-- is stored. The item's row holds the latest transfer that is folded; a newer one of another program is looked up in
-- the table.
--
-- Now is $5: when the server sent the statement, by its own clock, which rows in its spool have their times from, too.
-- A statement that a lock or a frozen PostgreSQL delays may commit long after its rows went to the spool, and newer
-- transfers of the same items behind them. These must stay the later ones.
--
-- Each step finds its rows by an index. PostgreSQL has one plan for batches of any size: a join of two steps, which
-- have no index, would be planned for ten rows and take seconds for 5,000.
--
-- An item that this statement does not see may exist: another program stored it while this statement waited for locks.
-- The foreign key sees it, but `fold` does not, so its transfer is stored unfolded, for the sweep.
-- part: insert
with given as (
    select distinct on (id) *
    from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[])
        with ordinality as given (id, "timestamp", owner_id, item_id, number)
    where (select true from transfers where transfers.id = given.id) is null
    order by id, number
),
held as materialized (
    select given.*, items.owner_id as folded_owner_id, owned_since, transfer_id
    from given
    join items on items.id = given.item_id
    order by items.id, number
    for no key update of items
),
offered as (
    select
        held.id, held."timestamp", held.owner_id, item_id, number,
        latest.owner_id as present_owner_id,
        latest."timestamp" as owned_since,
        true as item_is_seen
    from held
    left join lateral (
        select folded_owner_id as owner_id, owned_since as "timestamp", transfer_id as id
        where owned_since is not null
        union all
        (
            select owner_id, "timestamp", id
            from transfers
            where item_id = held.item_id
            order by "timestamp" desc, id desc
            limit 1
        )
        order by "timestamp" desc, id desc
        limit 1
    ) as latest on true
    union all
    select id, "timestamp", owner_id, item_id, number, null, null, false
    from given
    where (select true from items where items.id = given.item_id) is null
),
moves as (
    select
        id,
        coalesce(
            "timestamp", greatest($5::timestamptz, owned_since) + number * interval '1 microsecond'
        ) as "timestamp",
        owner_id, item_id, item_is_seen,
        "timestamp" is not null
            or owner_id is distinct from lag(owner_id, 1, present_owner_id) over (
                partition by item_id, "timestamp" is null order by number
            ) as changes_owner
    from offered
),
added as (
    insert into transfers (id, "timestamp", owner_id, item_id, folded)
    select id, "timestamp", owner_id, item_id, item_is_seen
    from moves
    where changes_owner
    on conflict (id) do nothing
    returning id, "timestamp", owner_id, item_id, folded
),
fresh as (
    select id, "timestamp", owner_id, item_id
    from added
    where folded
)

-- An item's owner is that of its latest transfer; of two at the same time, the one with the greater id is the latest.
-- PostgreSQL runs the last step first, so rows of items are locked before rows of bins, as in `insert`. Bins are
-- counted as in items/store.sql.
-- part: fold
, milliseconds as (
    select date_trunc('millisecond', "timestamp", 'UTC') as millisecond, count(*) as events
    from fresh
    group by millisecond
),
binned as (
    insert into bins as total (stream, unit, bin, count)
    select 'transfers', unit, date_trunc(unit, millisecond, 'UTC') as bin, sum(events)
    from milliseconds
    join bin_units on millisecond >= kept_since
    where stream = 'transfers'
    group by unit, bin
    order by unit, bin
    on conflict (stream, unit, bin) do update
    set count = total.count + excluded.count
),
latest as (
    select distinct on (item_id) item_id, owner_id, "timestamp", id
    from fresh
    order by item_id, "timestamp" desc, id desc
),
moved as materialized (
    select items.id, latest.owner_id, "timestamp", latest.id as by_transfer_id
    from latest
    join items on items.id = latest.item_id
    order by items.id
    for no key update of items
),
owned as (
    update items
    set owner_id = moved.owner_id,
        owned_since = moved."timestamp",
        transfer_id = moved.by_transfer_id
    from moved
    where items.id = moved.id
        and (owned_since is null or (owned_since, transfer_id) < (moved."timestamp", moved.by_transfer_id))
)

-- Notifies other programs (on the channel and on its older name) and our servers in the transaction that stores the
-- transfers, so that a server killed after the commit cannot lose a notification. The sweep notifies of unfolded ones.
-- part: stored
select
    id, "timestamp", owner_id, item_id,
    case when folded then pg_notify('transfer_update', json_build_object('id', id)::text) end,
    case when folded then pg_notify('item_transfer', json_build_object('id', id)::text) end,
    case when folded then pg_notify(:channel, 'transfers') end
from added

-- part: swept
select count(*)
from (
    select
        pg_notify('transfer_update', json_build_object('id', id)::text),
        pg_notify('item_transfer', json_build_object('id', id)::text)
    from fresh
) as notified

-- name: empty
with emptied as (
    delete from bins
    where stream = 'transfers'
)
update items
set owner_id = null,
    owned_since = null,
    transfer_id = null
where owner_id is not null

-- The differences between the totals and a count of the folded rows, as in logins/store.sql. An item's owner is checked
-- only if $1 is null.
-- name: recount
with milliseconds as (
    select date_trunc('millisecond', "timestamp", 'UTC') as millisecond, count(*) as events
    from transfers
    where folded
        and "timestamp" >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and "timestamp" < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
    group by millisecond
),
counted as (
    select unit, bin, sum(events)::bigint as count
    from (
        select unit, date_trunc(unit, millisecond, 'UTC') as bin, events
        from milliseconds
        join bin_units on millisecond >= kept_since
        where stream = 'transfers'
        union all
        select unit, bin, count
        from pruned_bins
        where stream = 'transfers'
            and bin >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
            and bin < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
    ) as parts
    group by unit, bin
),
stored as (
    select unit, bin, count
    from bins
    join bin_units using (stream, unit)
    where stream = 'transfers'
        and bin >= kept_since
        and bin >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and bin < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
),
latest as (
    select distinct on (item_id) item_id, owner_id, "timestamp", id
    from transfers
    where folded and $1::date is null
    order by item_id, "timestamp" desc, id desc
)
select 'bins' as "table", row(unit, bin)::text as key, stored.count::text as stored, counted.count::text as counted
from stored
full join counted using (unit, bin)
where stored.count is distinct from counted.count
    and ($1::date is null or unit not in ('week', 'month', 'quarter', 'year'))
union all
select
    'items', items.id::text,
    row(items.owner_id, owned_since, transfer_id)::text, row(latest.owner_id, "timestamp", latest.id)::text
from items
left join latest on latest.item_id = items.id
where $1::date is null
    and (items.owner_id, owned_since, transfer_id) is distinct from (latest.owner_id, "timestamp", latest.id)
order by "table", key
limit 1000

-- name: days
select distinct (bin at time zone 'UTC')::date as day
from bins
where stream = 'transfers' and unit = 'day'

-- Not the latest transfer of an item: it says who has the item now.
-- part: aged
with aged as (
    select transfers.id, "timestamp"
    from transfers
    join items on items.id = item_id
    where "timestamp" < $1::date::timestamp at time zone 'UTC'
        and ($2::timestamptz is null or "timestamp" >= $2)
        and transfers.folded
        and transfer_id <> transfers.id
    order by "timestamp"
    limit 5000
)

-- part: pruned
select
    (select count(*) from fresh) as deleted,
    (select max("timestamp") from aged) as reached

-- What retention would delete of rows from before the day $1.
-- name: overdue
select count(*) as transfers
from transfers
join items on items.id = item_id
where "timestamp" < $1::date::timestamp at time zone 'UTC' and transfers.folded and transfer_id <> transfers.id

-- Puts the totals of pruned rows back, after `empty`.
-- name: refill
insert into bins
select *
from pruned_bins
where stream = 'transfers'

-- The transfers to owner $1 since $2.
-- name: person
select id
from transfers
where owner_id = $1::text::uuid and "timestamp" >= $2::text::timestamptz

-- An item needs an owner, so transfers are not deleted: the erased owner takes the place of the person. Counts of
-- transfers do not change.
-- name: erase
with erased_owner as (
    insert into owners (id, name)
    values ('00000000-0000-0000-0000-000000000000', 'erased')
    on conflict do nothing
),
gone as (
    update transfers
    set owner_id = '00000000-0000-0000-0000-000000000000'
    where id = any($1::uuid[])
    returning 1
)
select count(*) as deleted, null::json as touched
from gone

-- name: settle
with owned as (
    update items
    set owner_id = '00000000-0000-0000-0000-000000000000'
    where owner_id = $1::text::uuid
    returning 1
),
person as (
    delete from owners
    where id = $1::text::uuid
    returning 1
)
select
    (select count(*) from owned) as items,
    (select count(*) from person) as owners

-- Of the given transfers, those whose ids are stored, and whether they are the same. A null timestamp matches any.
-- name: known
select
    given.number, stored.id,
    (given.owner_id, given.item_id) = (stored.owner_id, stored.item_id)
        and (given."timestamp" is null or given."timestamp" = stored."timestamp") as same
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[])
    with ordinality as given (id, "timestamp", owner_id, item_id, number)
join transfers as stored using (id)

-- Owners and base items are added rarely, so each one notifies the servers.
-- name: add_owner
insert into owners (id, name)
values ($1::uuid, $2::text)
on conflict (id) do nothing
returning id, name, created_at, pg_notify(:channel, 'transfers')

-- name: add_base_item
insert into base_items (id, description)
values ($1::uuid, $2::text)
on conflict (id) do nothing
returning id, description, created_at, pg_notify(:channel, 'transfers')

-- name: import_owners
insert into owners (id, name, created_at)
select id, name, coalesce(created_at, now())
from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as given (id, name, created_at)
on conflict (id) do nothing
returning id

-- name: import_base_items
insert into base_items (id, description, created_at)
select id, description, coalesce(created_at, now())
from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as given (id, description, created_at)
on conflict (id) do nothing
returning id

-- Rows with well-known ids, which pages and tests refer to.
-- name: seed
with bases as (
    insert into base_items (id, description)
    values
        ('8645a131-a7ae-4569-bb3c-1f1c7ae86829', 'a bike'),
        ('77a09016-e314-419d-a779-274daa77281f', 'a LEGO set')
    on conflict do nothing
    returning id
),
people as (
    insert into owners (id, name)
    values
        ('30f6df32-03cf-4779-833b-aef9b1e3f61f', 'Ada'),
        ('d29fcf2a-9611-44bf-8c78-4c939c96539c', 'Grace')
    on conflict do nothing
    returning id
),
things as (
    insert into items (id, base_item_id)
    values
        ('850bbe50-4686-4026-9de0-94ba4b8bafa7', '8645a131-a7ae-4569-bb3c-1f1c7ae86829'),
        ('84e57c17-7ae0-4ef7-baea-ca0b9a598ab8', '77a09016-e314-419d-a779-274daa77281f')
    on conflict do nothing
    returning id
)
select
    (select count(*) from bases) as "base items",
    (select count(*) from people) as owners,
    (select count(*) from things) as items

-- The owners of generated transfers, and the first ten items.
-- name: fixtures
with bases as (
    insert into base_items (id, description)
    values ($1::uuid, $2::text)
    on conflict do nothing
),
people as (
    insert into owners (id, name)
    select id, name
    from unnest($3::uuid[], $4::text[]) as people (id, name)
    on conflict do nothing
)
insert into items (id, base_item_id)
select id, $1::uuid
from unnest($5::uuid[]) as id
on conflict do nothing
