-- The webhooks stream. Heads, fold and tail as in logins.sql. All times are UTC, and all bins go by `received_at`.

-- name: insert
with fresh as (
    insert into webhook_events (id, event_type, user_id, "timestamp", metadata, received_at, folded)
    select id, event_type, user_id, "timestamp", metadata, received_at, true
    from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[], $6::timestamptz[])
        as given (id, event_type, user_id, "timestamp", metadata, received_at)
    on conflict (id) do nothing
    returning id, event_type, received_at
)

-- name: sweep
with waiting as (
    select id
    from webhook_events
    where not folded
    order by id
    limit 10000
    for update skip locked
),
fresh as (
    update webhook_events
    set folded = true
    from waiting
    where webhook_events.id = waiting.id
    returning webhook_events.id, event_type, received_at
)

-- name: rebuild
with fresh as (
    select id, event_type, received_at
    from webhook_events
    where not exists (
        select from webhook_pruned_days as pruned
        where pruned.day = (received_at at time zone 'UTC')::date
    )
)

-- name: fold
, minutes as (
    insert into webhook_minutes as total (minute, event_type, events)
    select date_trunc('minute', received_at, 'UTC') as minute, event_type, count(*)
    from fresh
    group by minute, event_type
    order by minute, event_type
    on conflict (minute, event_type) do update
    set events = total.events + excluded.events
),
hours as (
    insert into webhook_hours as total (hour, event_type, events)
    select date_trunc('hour', received_at, 'UTC') as hour, event_type, count(*)
    from fresh
    group by hour, event_type
    order by hour, event_type
    on conflict (hour, event_type) do update
    set events = total.events + excluded.events
),
days as (
    insert into webhook_days as total (day, event_type, events)
    select (received_at at time zone 'UTC')::date as day, event_type, count(*)
    from fresh
    group by day, event_type
    order by day, event_type
    on conflict (day, event_type) do update
    set events = total.events + excluded.events
),
types as (
    insert into webhook_types as total (event_type, events)
    select event_type, count(*)
    from fresh
    group by event_type
    order by event_type
    on conflict (event_type) do update
    set events = total.events + excluded.events
),
counted as (
    insert into webhook_count as total (events)
    select count(*)
    from fresh
    having count(*) > 0
    on conflict (only_row) do update
    set events = total.events + excluded.events
)

-- name: stored
select id
from fresh

-- name: lock
lock table webhook_events in share row exclusive mode

-- What was pruned stays: its minutes, hours and days as they are, and of the sums over all time what came from them.
-- name: empty
with minutes as (
    delete from webhook_minutes as total
    where not exists (
        select from webhook_pruned_days as pruned where pruned.day = (total.minute at time zone 'UTC')::date
    )
),
hours as (
    delete from webhook_hours as total
    where not exists (
        select from webhook_pruned_days as pruned where pruned.day = (total.hour at time zone 'UTC')::date
    )
),
days as (
    delete from webhook_days as total
    where not exists (select from webhook_pruned_days as pruned where pruned.day = total.day)
),
kept as (
    select event_type, sum(events)::bigint as events
    from webhook_days
    join webhook_pruned_days using (day)
    group by event_type
),
gone as (
    delete from webhook_types as total
    where not exists (select from kept where kept.event_type = total.event_type)
),
types as (
    update webhook_types as total
    set events = kept.events
    from kept
    where kept.event_type = total.event_type
),
uncounted as (
    delete from webhook_count
    where not exists (select from kept)
)
update webhook_count
set events = (select sum(events) from kept)
where exists (select from kept)

-- One small step of retention: deletes rows received before $1 and notes their days, in one statement.
-- name: prune
with old as (
    select id
    from webhook_events
    where received_at < $1 and folded
    order by received_at
    limit 5000
    for update skip locked
),
pruned as (
    delete from webhook_events
    using old
    where webhook_events.id = old.id
    returning (received_at at time zone 'UTC')::date as day
),
noted as (
    insert into webhook_pruned_days (day)
    select distinct day
    from pruned
    order by day
    on conflict do nothing
)
select count(*)
from pruned

-- Which of the given events are stored already, when they were received, and whether they are as what is given now:
-- a timestamp that was left out is the time of receipt, and differs from one delivery to the next.
-- name: known
select
    given.place,
    stored.id,
    stored.received_at,
    (given.event_type, given.user_id, given.metadata)
        is not distinct from (stored.event_type, stored.user_id, stored.metadata)
        and (
            given."timestamp" = stored."timestamp"
            or given."timestamp" = given.received_at and stored."timestamp" = stored.received_at
        ) as same
from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[], $6::timestamptz[])
    with ordinality as given (id, event_type, user_id, "timestamp", metadata, received_at, place)
join webhook_events as stored using (id)

-- name: refuse
insert into webhook_refusals as total (day, events)
values ($1::date, $2::bigint)
on conflict (day) do update
set events = total.events + excluded.events

-- A page of events from $1 on, newest first, below the event that ended the page before: ($2, $3), or no end at all.
-- name: page
select id, event_type, user_id, "timestamp", metadata, received_at
from webhook_events
where received_at >= $1::timestamptz and (received_at, id) < ($2::timestamptz, $3::uuid)
order by received_at desc, id desc
limit $4::integer

-- All events from $1 on, newest first, read through a cursor.
-- name: export
select id, event_type, user_id, "timestamp", metadata, received_at
from webhook_events
where received_at >= $1::timestamptz
order by received_at desc, id desc

-- What happened in the window $1 (hour, day or week) that began at $2: by type the 1,000 largest, and all of it.
-- name: statistics
with counted as (
    select event_type, events
    from webhook_minutes
    where $1::text = 'hour' and minute >= $2::timestamptz
    union all
    select event_type, events
    from webhook_hours
    where $1 = 'day' and hour >= $2
    union all
    select event_type, events
    from webhook_days
    where $1 = 'week' and day >= ($2 at time zone 'UTC')::date
),
types as (
    select event_type, sum(events)::bigint as events
    from counted
    group by event_type
),
largest as (
    select event_type, events
    from types
    order by events desc, event_type
    limit 1000
)
select
    coalesce((select sum(events) from types), 0)::bigint as total,
    coalesce((select sum(events) from webhook_refusals), 0)::bigint as invalid,
    coalesce((select json_object_agg(event_type, events order by events desc, event_type) from largest), '{}')
        as statistics

-- Everything the dashboard shows at the moment $1, out of one snapshot. A window is its bins and nothing else: the
-- running minute and the 59 before it, the running hour and 23, the running day and 6. Bins after $1 (the clock of
-- another server may be ahead) count in the running one.
-- name: snapshot
with began as (
    select
        date_trunc('minute', $1::timestamptz, 'UTC') - interval '59 minutes' as hour_began,
        date_trunc('hour', $1::timestamptz, 'UTC') - interval '23 hours' as day_began,
        ($1::timestamptz at time zone 'UTC')::date - 6 as week_began
),
recent as (
    select 'hour' as segment, least(minute, date_trunc('minute', $1::timestamptz, 'UTC')) as bin, event_type, events
    from webhook_minutes, began
    where minute >= hour_began
    union all
    select 'day', least(hour, date_trunc('hour', $1::timestamptz, 'UTC')), event_type, events
    from webhook_hours, began
    where hour >= day_began
    union all
    select
        'week',
        least(day, ($1::timestamptz at time zone 'UTC')::date)::timestamp at time zone 'UTC',
        event_type,
        events
    from webhook_days, began
    where day >= week_began
),
bins as (
    select 'hour' as segment, hour_began + n * interval '1 minute' as bin
    from began, generate_series(0, 59) as n
    union all
    select 'day', day_began + n * interval '1 hour'
    from began, generate_series(0, 23) as n
    union all
    select 'week', (week_began + n)::timestamp at time zone 'UTC'
    from began, generate_series(0, 6) as n
),
counted as (
    select segment, bin, sum(events)::bigint as events
    from recent
    group by segment, bin
),
series as (
    select
        segment,
        json_agg(
            json_build_object(
                'timestamp', to_char(bin at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'count', coalesce(events, 0)
            )
            order by bin
        ) as rows
    from bins
    left join counted using (segment, bin)
    group by segment
),
largest as (
    select 'all' as segment, event_type, events, (select events from webhook_count) as whole
    from (select event_type, events from webhook_types order by events desc, event_type limit 5) as first
    union all
    select segment, event_type, events, whole
    from (
        select
            segment,
            event_type,
            sum(events)::bigint as events,
            sum(sum(events)) over (partition by segment) as whole,
            row_number() over (partition by segment order by sum(events) desc, event_type) as place
        from recent
        group by segment, event_type
    ) as ranked
    where place <= 5
),
tops as (
    select
        segment,
        json_agg(
            json_build_object(
                'type', event_type, 'count', events, 'percentage', round(100.0 * events / whole, 2)
            )
            order by events desc, event_type
        ) as rows
    from largest
    group by segment
)
select json_build_object(
    'totalEvents', coalesce((select events from webhook_count), 0),
    'invalidEvents', coalesce((select sum(events) from webhook_refusals), 0),
    'eventsThisMinute', coalesce((
        select events
        from counted
        where segment = 'hour' and bin = date_trunc('minute', $1::timestamptz, 'UTC')
    ), 0),
    'topEventTypes', coalesce((select rows from tops where segment = 'all'), '[]'),
    'eventsPerMinute', (select rows from series where segment = 'hour'),
    'segmentedData', (select json_object_agg(segment, rows order by segment) from series),
    'segmentedTopEventTypes', json_build_object(
        'hour', coalesce((select rows from tops where segment = 'hour'), '[]'),
        'day', coalesce((select rows from tops where segment = 'day'), '[]'),
        'week', coalesce((select rows from tops where segment = 'week'), '[]')
    ),
    'generatedAt', to_char($1::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
)
