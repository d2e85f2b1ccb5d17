-- The page views stream: writes and upkeep. Parts as in logins/store.sql.
-- table: page_events

-- part: insert
with fresh as (
    insert into page_events (site_id, id, event_type, path, user_id, "timestamp", folded)
    select site_id, id, event_type, path, user_id, "timestamp", true
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
        as given (id, site_id, event_type, path, user_id, "timestamp")
    on conflict (site_id, id) do nothing -- not in `append`
    returning site_id, id, event_type, path, user_id, "timestamp"
)

-- part: waiting
with waiting as (
    select site_id, id
    from page_events
    where not folded
    order by site_id, id
    limit 10000
    for update skip locked
)

-- part: sweep
, fresh as (
    update page_events
    set folded = true
    from waiting
    where page_events.site_id = waiting.site_id and page_events.id = waiting.id
    returning page_events.*
)

-- part: rebuild
with fresh as (
    select *
    from page_events
    where not exists (
        select from page_pruned_days
        where (site_id, day) = (page_events.site_id, ("timestamp" at time zone 'UTC')::date)
    )
)

-- Only events of the type page_view count as views. Events of any type count their user.
-- part: fold
, newcomers as (
    insert into page_users (site_id, day, user_id)
    select distinct site_id, ("timestamp" at time zone 'UTC')::date as day, user_id
    from fresh
    where user_id is not null
    order by site_id, day, user_id
    on conflict do nothing
    returning site_id, day
),
seen as (
    select site_id, day, sum(views)::bigint as views, sum(users)::bigint as users
    from (
        select site_id, ("timestamp" at time zone 'UTC')::date as day, 1 as views, 0 as users
        from fresh
        where event_type = 'page_view'
        union all
        select site_id, day, 0, 1
        from newcomers
    ) as counted
    group by site_id, day
),
days as (
    insert into page_days as total (site_id, day, views, users)
    select site_id, day, views, users
    from seen
    order by site_id, day
    on conflict (site_id, day) do update
    set views = total.views + excluded.views,
        users = total.users + excluded.users
),
paths as (
    insert into page_paths as total (site_id, day, path, views)
    select site_id, ("timestamp" at time zone 'UTC')::date as day, path, count(*)
    from fresh
    where event_type = 'page_view'
    group by site_id, day, path
    order by site_id, day, path
    on conflict (site_id, day, path) do update
    set views = total.views + excluded.views
)

-- part: stored
select id
from fresh

-- part: appended
select
from fresh
limit 0

-- Keeps the totals of days whose raw rows were pruned: these totals cannot be rebuilt.
-- name: empty
with days as (
    delete from page_days as total
    where not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
),
paths as (
    delete from page_paths as total
    where not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
)
delete from page_users as total
where not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))

-- One small step of retention: deletes rows that were received before $1, and marks their days as pruned.
-- name: prune
with old as (
    select site_id, id
    from page_events
    where created_at < $1 and folded
    limit 5000
    for update skip locked
),
pruned as (
    delete from page_events
    using old
    where page_events.site_id = old.site_id and page_events.id = old.id
    returning page_events.site_id, ("timestamp" at time zone 'UTC')::date as day
),
noted as (
    insert into page_pruned_days (site_id, day)
    select distinct site_id, day
    from pruned
    order by site_id, day
    on conflict do nothing
)
select count(*)
from pruned

-- Returns the stored events with the ids of the given ones, and whether each pair is the same event.
-- name: known
select
    given.number, stored.id,
    (given.site_id, given.event_type, given.path, given.user_id, given."timestamp")
        is not distinct from (stored.site_id, stored.event_type, stored.path, stored.user_id, stored."timestamp") as same
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    with ordinality as given (id, site_id, event_type, path, user_id, "timestamp", number)
join page_events as stored using (id)
