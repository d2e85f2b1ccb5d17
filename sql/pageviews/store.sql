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

-- The same for rows of a file, which say when they were stored.
-- part: import
with fresh as (
    insert into page_events (site_id, id, event_type, path, user_id, "timestamp", created_at, folded)
    select site_id, id, event_type, path, user_id, "timestamp", coalesce(created_at, now()), true
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
        as given (id, site_id, event_type, path, user_id, "timestamp", created_at)
    on conflict (site_id, id) do nothing
    returning site_id, id, event_type, path, user_id, "timestamp"
)

-- Rows are picked without locks, which distributed tables do not have, and checked again when they are updated.
-- part: waiting
with waiting as (
    select site_id, id
    from page_events
    where not folded
    order by site_id, id
    limit 10000
)

-- part: sweep
, fresh as (
    update page_events
    set folded = true
    from waiting
    where page_events.site_id = waiting.site_id and page_events.id = waiting.id and coalesce(folded, true) = false
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
--
-- A new day of a user is a return from the user's previous day. If there are later days, the next one was a return from
-- that previous day, and is now one from the new day. All days of a user are in one row of page_visitors: the upsert
-- locks it, and returns them with those that other writers added before. Events on known days do none of this.
-- part: fold
, newcomers as (
    insert into page_user_days (site_id, day, user_id)
    select distinct site_id, ("timestamp" at time zone 'UTC')::date as day, user_id
    from fresh
    where user_id is not null
    order by site_id, day, user_id
    on conflict do nothing
    returning site_id, day, user_id
),
visitors as (
    insert into page_visitors as visitor (site_id, user_id, days)
    select site_id, user_id, range_agg(daterange(day, day + 1))
    from newcomers
    group by site_id, user_id
    order by site_id, user_id
    on conflict (site_id, user_id) do update
    set days = visitor.days + excluded.days
    returning site_id, user_id, days
),
visits as (
    select
        site_id, day,
        range_agg(days) over of_user as days,
        range_agg(new_day) over of_user as new_days
    from (
        select site_id, user_id, days, null::date as day, null::daterange as new_day
        from visitors
        union all
        select site_id, user_id, null, day, daterange(day, day + 1)
        from newcomers
    ) as merged
    window of_user as (partition by site_id, user_id)
),
neighbours as materialized (
    select
        site_id, day,
        upper(days * datemultirange(daterange(null, day))) - 1 as previous_day,
        case
            when upper(days) > day + 1 then lower((days - new_days) * datemultirange(daterange(day, null)))
        end as next_known_day
    from visits
    where day is not null
),
changes as (
    select site_id, change.day, change.previous_day, sum(users) as users
    from neighbours
    cross join lateral (
        values
            (day, previous_day, 1),
            (next_known_day, day, 1),
            (next_known_day, previous_day, -1)
    ) as change (day, previous_day, users)
    where change.day is not null and change.previous_day is not null
    group by site_id, change.day, change.previous_day
),
returns as (
    insert into page_returns as total (site_id, unit, previous_unit, day, previous_day, users)
    select
        site_id, unit, previous_unit,
        date_trunc(unit, day::timestamp)::date as first_day,
        date_trunc(previous_unit, previous_day::timestamp)::date as previous_first_day,
        sum(users)
    from changes
    cross join page_return_units
    group by site_id, unit, previous_unit, first_day, previous_first_day
    having sum(users) <> 0
    order by site_id, unit, previous_unit, first_day, previous_first_day
    on conflict (site_id, unit, previous_unit, day, previous_day) do update
    set users = total.users + excluded.users
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

-- Keeps the totals of days whose raw rows were pruned: these totals cannot be rebuilt. Returns are counted as if the
-- other days had never been: `fold` adds those days anew.
-- name: empty
with days as (
    delete from page_days as total
    where not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
),
paths as (
    delete from page_paths as total
    where not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
),
user_days as (
    delete from page_user_days as total
    where not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
),
pruned as (
    select site_id, range_agg(daterange(day, day + 1)) as days
    from page_pruned_days
    group by site_id
),
gone as (
    delete from page_visitors as visitor
    where not exists (select from pruned where pruned.site_id = visitor.site_id and pruned.days && visitor.days)
),
visitors as (
    update page_visitors as visitor
    set days = visitor.days * pruned.days
    from pruned
    where pruned.site_id = visitor.site_id and pruned.days && visitor.days
),
kept as (
    select site_id, unit, previous_unit, first_day, previous_first_day, sum(users)::bigint as users
    from (
        select
            site_id, unit, previous_unit,
            date_trunc(unit, day::timestamp)::date as first_day,
            date_trunc(previous_unit, previous_day::timestamp)::date as previous_first_day,
            count(*) as users
        from (
            select site_id, day, lag(day) over (partition by site_id, user_id order by day) as previous_day
            from page_user_days
            join page_pruned_days using (site_id, day)
        ) as visits
        cross join page_return_units
        where previous_day is not null
        group by site_id, unit, previous_unit, first_day, previous_first_day
        union all
        select site_id, unit, previous_unit, day, previous_day, users
        from pruned_page_returns
    ) as parts
    group by site_id, unit, previous_unit, first_day, previous_first_day
),
returns as (
    insert into page_returns (site_id, unit, previous_unit, day, previous_day, users)
    select site_id, unit, previous_unit, first_day, previous_first_day, users
    from kept
    on conflict (site_id, unit, previous_unit, day, previous_day) do update
    set users = excluded.users
)
update page_returns as total
set users = 0
where not exists (
    select from kept
    where (site_id, unit, previous_unit, first_day, previous_first_day)
        = (total.site_id, total.unit, total.previous_unit, total.day, total.previous_day)
)

-- The differences between the totals and a count of the folded rows, as in logins/store.sql, without the days whose raw
-- rows were pruned. The days of a user are compared with the rows; what follows from these days is compared with them,
-- on pruned days, too.
-- name: recount
with events as not materialized (
    select site_id, ("timestamp" at time zone 'UTC')::date as day, event_type, path, user_id
    from page_events
    where folded
        and "timestamp" >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and "timestamp" < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
        and not exists (
            select from page_pruned_days
            where (site_id, day) = (page_events.site_id, ("timestamp" at time zone 'UTC')::date)
        )
)
select 'page_days' as "table", row(site_id, day)::text as key, stored::text as stored, counted::text as counted
from (
    select *
    from page_days as total
    where day = coalesce($1::date, day)
        and not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
) as stored
full join (
    select site_id, day, count(*) filter (where event_type = 'page_view') as views, count(distinct user_id) as users
    from events
    where event_type = 'page_view' or user_id is not null
    group by site_id, day
) as counted using (site_id, day)
where stored::text is distinct from counted::text
union all
select 'page_paths', row(site_id, day, path)::text, stored::text, counted::text
from (
    select *
    from page_paths as total
    where day = coalesce($1::date, day)
        and not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
) as stored
full join (
    select site_id, day, path, count(*) as views
    from events
    where event_type = 'page_view'
    group by site_id, day, path
) as counted using (site_id, day, path)
where stored::text is distinct from counted::text
union all
select 'page_user_days', row(site_id, day, user_id)::text, stored::text, counted::text
from (
    select *
    from page_user_days as total
    where day = coalesce($1::date, day)
        and not exists (select from page_pruned_days where (site_id, day) = (total.site_id, total.day))
) as stored
full join (
    select distinct site_id, day, user_id
    from events
    where user_id is not null
) as counted using (site_id, day, user_id)
where stored::text is distinct from counted::text
union all
select 'page_visitors', row(site_id, user_id)::text, stored::text, counted::text
from (select * from page_visitors where $1::date is null) as stored
full join (
    select site_id, user_id, range_agg(daterange(day, day + 1)) as days
    from page_user_days
    where $1::date is null
    group by site_id, user_id
) as counted using (site_id, user_id)
where stored::text is distinct from counted::text
union all
select
    'page_returns', row(site_id, unit, previous_unit, day, previous_day)::text, stored::text, counted::text
from (select * from page_returns where $1::date is null and users <> 0) as stored
full join (
    select site_id, unit, previous_unit, day, previous_day, sum(users) as users
    from (
        select
            site_id, unit, previous_unit,
            date_trunc(unit, visit.day::timestamp)::date as day,
            date_trunc(previous_unit, visit.previous_day::timestamp)::date as previous_day,
            1 as users
        from (
            select site_id, day, lag(day) over (partition by site_id, user_id order by day) as previous_day
            from page_user_days
            where $1::date is null
        ) as visit
        cross join page_return_units
        where visit.previous_day is not null
        union all
        select site_id, unit, previous_unit, day, previous_day, users
        from pruned_page_returns
        where $1::date is null
    ) as parts
    group by site_id, unit, previous_unit, day, previous_day
) as counted using (site_id, unit, previous_unit, day, previous_day)
where stored::text is distinct from counted::text
order by "table", key
limit 1000

-- name: days
select distinct day
from page_days

-- One small step of retention: deletes rows that were received before the day $1, and marks their days as pruned.
-- name: prune
with old as (
    select site_id, id
    from page_events
    where created_at < $1::date::timestamp at time zone 'UTC'
        and ($2::timestamptz is null or created_at >= $2)
        and folded
    limit 5000
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
select count(*) as deleted, null::timestamptz as reached
from pruned

-- One small step of retention: forgets up to 1,000 users on the days before $1. Their numbers stay: the returns from
-- these days are kept apart, because nothing is left to count them from, and the days are marked as pruned. A user who
-- gets a day meanwhile is left for the next step. $2 is not used: a step finds its rows by itself.
-- name: forget
with old as materialized (
    select site_id, day, user_id
    from page_user_days
    where day < $1::date and ($2::text is null or true)
    limit 1000
),
users as materialized (
    select site_id, user_id, days
    from page_visitors
    join (select distinct site_id, user_id from old) as old using (site_id, user_id)
),
gone_users as (
    delete from page_visitors as visitor
    using users
    where (visitor.site_id, visitor.user_id, visitor.days) = (users.site_id, users.user_id, users.days)
        and visitor.days <@ datemultirange(daterange(null, $1::date))
    returning visitor.site_id, visitor.user_id
),
shortened as (
    update page_visitors as visitor
    set days = visitor.days * datemultirange(daterange($1::date, null))
    from users
    where (visitor.site_id, visitor.user_id, visitor.days) = (users.site_id, users.user_id, users.days)
        and not visitor.days <@ datemultirange(daterange(null, $1::date))
    returning visitor.site_id, visitor.user_id
),
user_days as materialized (
    select site_id, user_id, day::date as day
    from users
    join (
        select site_id, user_id
        from gone_users
        union all
        select site_id, user_id
        from shortened
    ) as changed using (site_id, user_id)
    cross join unnest(days) as span
    cross join generate_series(lower(span)::timestamp, upper(span)::timestamp - interval '1 day', interval '1 day') as day
),
kept_returns as (
    insert into pruned_page_returns as total (site_id, unit, previous_unit, day, previous_day, users)
    select
        site_id, unit, previous_unit,
        date_trunc(unit, day::timestamp)::date as first_day,
        date_trunc(previous_unit, previous_day::timestamp)::date as previous_first_day,
        count(*)
    from (
        select site_id, day, lag(day) over (partition by site_id, user_id order by day) as previous_day
        from user_days
    ) as visits
    cross join page_return_units
    where previous_day < $1::date
    group by site_id, unit, previous_unit, first_day, previous_first_day
    order by site_id, unit, previous_unit, first_day, previous_first_day
    on conflict (site_id, unit, previous_unit, day, previous_day) do update
    set users = total.users + excluded.users
),
gone_days as (
    delete from page_user_days as total
    using user_days
    where (total.site_id, total.day, total.user_id) = (user_days.site_id, user_days.day, user_days.user_id)
        and user_days.day < $1::date
    returning total.site_id, total.day
),
noted as (
    insert into page_pruned_days (site_id, day)
    select distinct site_id, day
    from gone_days
    order by site_id, day
    on conflict do nothing
)
select
    case when (select count(*) from gone_days) > 0 then '' end as reached,
    (select count(*) from gone_days) as page_user_days,
    (select count(*) from gone_users) as page_visitors

-- What retention would delete of rows from before the day $1.
-- name: overdue
select
    (
        select count(*)
        from page_events
        where created_at < $1::date::timestamp at time zone 'UTC' and folded
    ) as page_events,
    (select count(*) from page_user_days where day < $1::date) as page_user_days,
    (
        select count(*)
        from page_visitors
        where days <@ datemultirange(daterange(null, $1::date))
    ) as page_visitors

-- The events of user $1 that were received since $2.
-- name: person
select id
from page_events
where user_id = $1::text and created_at >= $2::text::timestamptz

-- Deletes the rows with the ids $1, and subtracts their views. Those that were never folded are in no total.
-- name: erase
with gone as (
    delete from page_events
    where id = any($1::uuid[])
    returning *
),
viewed as (
    select site_id, ("timestamp" at time zone 'UTC')::date as day, path
    from gone
    where folded and event_type = 'page_view'
),
of_days as (
    select site_id, day, count(*) as views
    from viewed
    group by site_id, day
),
of_paths as (
    select site_id, day, path, count(*) as views
    from viewed
    group by site_id, day, path
),
days as (
    update page_days as total
    set views = total.views - of_days.views
    from of_days
    where (total.site_id, total.day) = (of_days.site_id, of_days.day)
        and not (total.views = of_days.views and total.users = 0)
),
empty_days as (
    delete from page_days as total
    using of_days
    where (total.site_id, total.day) = (of_days.site_id, of_days.day)
        and total.views = of_days.views
        and total.users = 0
),
paths as (
    update page_paths as total
    set views = total.views - of_paths.views
    from of_paths
    where (total.site_id, total.day, total.path) = (of_paths.site_id, of_paths.day, of_paths.path)
        and total.views > of_paths.views
),
empty_paths as (
    delete from page_paths as total
    using of_paths
    where (total.site_id, total.day, total.path) = (of_paths.site_id, of_paths.day, of_paths.path)
        and total.views = of_paths.views
)
select count(*) as deleted, null::json as touched
from gone

-- After `erase`, with no events of user $1 left: takes the user out of the totals of all days. Rows of zero say nothing,
-- and a rebuild would not make them.
-- name: settle
with visitors as (
    delete from page_visitors
    where user_id = $1::text
    returning site_id, days
),
user_days as materialized (
    select site_id, day::date as day, lag(day::date) over (partition by site_id order by day) as previous_day
    from visitors
    cross join unnest(days) as span
    cross join generate_series(lower(span)::timestamp, upper(span)::timestamp - interval '1 day', interval '1 day') as day
),
gone_days as (
    delete from page_user_days as total
    using user_days
    where (total.site_id, total.day) = (user_days.site_id, user_days.day) and total.user_id = $1
    returning total.site_id, total.day
),
returns as (
    update page_returns as total
    set users = total.users - counted.users
    from (
        select
            site_id, unit, previous_unit,
            date_trunc(unit, user_days.day::timestamp)::date as first_day,
            date_trunc(previous_unit, user_days.previous_day::timestamp)::date as previous_first_day,
            count(*) as users
        from user_days
        cross join page_return_units
        where user_days.previous_day is not null
        group by site_id, unit, previous_unit, first_day, previous_first_day
    ) as counted
    where (total.site_id, total.unit, total.previous_unit, total.day, total.previous_day)
        = (counted.site_id, counted.unit, counted.previous_unit, counted.first_day, counted.previous_first_day)
),
counts as (
    update page_days as total
    set users = total.users - 1
    from gone_days
    where (total.site_id, total.day) = (gone_days.site_id, gone_days.day) and not (total.views = 0 and total.users = 1)
),
empty_days as (
    delete from page_days as total
    using gone_days
    where (total.site_id, total.day) = (gone_days.site_id, gone_days.day) and total.views = 0 and total.users = 1
)
select
    (select count(*) from visitors) as page_visitors,
    (select count(*) from gone_days) as page_user_days

-- Returns the stored events with the ids of the given ones, and whether each pair is the same event.
-- name: known
select
    given.number, stored.id,
    (given.site_id, given.event_type, given.path, given.user_id, given."timestamp")
        is not distinct from (stored.site_id, stored.event_type, stored.path, stored.user_id, stored."timestamp") as same
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    with ordinality as given (id, site_id, event_type, path, user_id, "timestamp", number)
join page_events as stored using (id)
