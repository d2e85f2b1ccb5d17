-- The webhooks stream: reads. All times are UTC, and all bins go by `received_at`.

-- A page of $4 events (null: all) received from $1 on, newest first, after the last event of the previous page (received
-- at $2, with the id $3).
-- name: page
select id, event_type, user_id, "timestamp", metadata, received_at
from webhook_events
where received_at >= $1::timestamptz and (received_at, id) < ($2::timestamptz, $3::uuid)
order by received_at desc, id desc
limit $4::integer

-- The window $1 (hour, day or week) that began at $2: its total, and the counts of its 1,000 largest types.
-- name: statistics
with units as (
    select case $1::text when 'hour' then 'minute' when 'day' then 'hour' else 'day' end as unit
),
largest as (
    select event_type, sum(events)::bigint as events
    from webhook_type_bins
    where unit = (select unit from units) and bin >= $2::timestamptz
    group by event_type
    order by events desc, event_type
    limit 1000
)
select
    coalesce((
        select sum(count)
        from bins
        where stream = 'webhooks' and unit = (select unit from units) and bin >= $2
    ), 0)::bigint as total,
    coalesce((select sum(events) from largest), 0)::bigint as named,
    coalesce((select sum(events) from webhook_refusals), 0)::bigint as invalid,
    coalesce((select json_object_agg(event_type, events order by events desc, event_type) from largest), '{}')
        as statistics

-- The dashboard's view at the time $1. A window consists of whole bins: the current minute and the 59 before it, the
-- current hour and the 23 before it, the current day and the 6 before it. Bins after $1 count in the current one: the
-- clock of another server may be ahead.
-- name: snapshot
with windows as (
    select segment, unit, running, step, running - (bins - 1) * step as began
    from (
        values
            ('hour', 'minute', date_trunc('minute', $1::timestamptz, 'UTC'), interval '1 minute', 60),
            ('day', 'hour', date_trunc('hour', $1::timestamptz, 'UTC'), interval '1 hour', 24),
            ('week', 'day', date_trunc('day', $1::timestamptz, 'UTC'), interval '24 hours', 7)
    ) as windows (segment, unit, running, step, bins)
),
counted as (
    select segment, least(total.bin, running) as bin, sum(count)::bigint as events
    from windows
    join bins as total using (unit)
    where total.stream = 'webhooks' and total.bin >= began
    group by segment, least(total.bin, running)
),
series as (
    select
        segment,
        json_agg(json_build_object('timestamp', iso(bin), 'count', coalesce(events, 0)) order by bin) as rows
    from windows
    cross join generate_series(began, running, step) as bin
    left join counted using (segment, bin)
    group by segment
),
largest as (
    select 'all' as segment, event_type, events, (select events from webhook_count) as whole
    from (select event_type, events from webhook_types order by events desc, event_type limit 5) as first
    union all
    select segment, event_type, first.events, (select sum(events) from counted where counted.segment = windows.segment)
    from windows
    cross join lateral (
        select event_type, sum(events)::bigint as events
        from webhook_type_bins as total
        where total.unit = windows.unit and total.bin >= began
        group by event_type
        order by sum(events) desc, event_type
        limit 5
    ) as first
),
tops as (
    select
        segment,
        json_agg(
            json_build_object('type', event_type, 'count', events, 'percentage', round(100.0 * events / whole, 2))
            order by events desc, event_type
        ) as rows
    from largest
    group by segment
)
select json_build_object(
    'totalEvents', coalesce((select events from webhook_count), 0),
    'invalidEvents', coalesce((select sum(events) from webhook_refusals), 0),
    'eventsThisMinute', coalesce((
        select events from counted join windows using (segment) where segment = 'hour' and bin = running
    ), 0),
    'topEventTypes', coalesce((select rows from tops where segment = 'all'), '[]'),
    'eventsPerMinute', (select rows from series where segment = 'hour'),
    'segmentedData', (select json_object_agg(segment, rows order by segment) from series),
    'segmentedTopEventTypes', (
        select json_object_agg(segment, coalesce(rows, '[]') order by began desc)
        from windows
        left join tops using (segment)
    ),
    'generatedAt', iso($1)
)

-- All events received from $1 until before $2, as they are stored, in the order in which types get their names.
-- name: export
select id, event_type, user_id, "timestamp", metadata, received_at
from webhook_events
where received_at >= $1::timestamptz and received_at < $2::timestamptz
order by received_at, id

-- The answer of GET /events/refused, which the topic `refusals` brings as well: the latest hundred, newest first.
-- name: refused
with latest as (
    select iso(refused_at) as "refusedAt", address, path, status, reasons
    from refused_deliveries
    order by refused_at desc, id desc
    limit 100
)
select json_build_object(
    'success', true,
    'data', json_build_object('refusals', coalesce(json_agg(latest), '[]'), 'count', count(*))
)
from latest
