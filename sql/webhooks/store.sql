-- The webhooks stream: writes and upkeep. Parts as in logins/store.sql. All times are UTC, and all bins go by
-- `received_at`. `bins` counts every event. The totals by type count only the types that are named on their day, 1,000
-- at most, so that no read grows with the number of types.
-- table: webhook_events

-- part: insert
with fresh as (
    insert into webhook_events (id, event_type, user_id, "timestamp", metadata, received_at, folded)
    select id, event_type, user_id, "timestamp", metadata, received_at, true
    from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[], $6::timestamptz[])
        as given (id, event_type, user_id, "timestamp", metadata, received_at)
    on conflict (id) do nothing -- not in `append`
    returning id, event_type, received_at
)

-- part: rebuild
with fresh as (
    select id, event_type, received_at
    from webhook_events
    where (received_at at time zone 'UTC')::date not in (select day from webhook_pruned_days)
)

-- part: fold
, received as (
    select
        date_trunc('minute', received_at, 'UTC') as minute,
        (received_at at time zone 'UTC')::date as day,
        event_type,
        count(*) as events
    from fresh
    group by minute, day, event_type
),
types_of_days as (
    select day, event_type, sum(events) as events
    from received
    group by day, event_type
),
-- A day that is full in our snapshot gets no more names, so only days with room left are looked at.
unknown as (
    select day, array_agg(event_type order by events desc, event_type) as candidates
    from types_of_days
    left join webhook_rooms as room using (day)
    where (room.names is null or room.names < 1000)
        and not exists (
            select
            from webhook_names as named
            where named.day = types_of_days.day and named.event_type = types_of_days.event_type
        )
    group by day
),
named as materialized (
    select day, event_type
    from types_of_days
    join webhook_names using (day, event_type)
    union all
    select day, admitted.event_type
    from (select day, candidates from unknown order by day) as in_order
    cross join webhook_admit(day, candidates) as admitted (event_type)
),
binned as (
    insert into bins as total (stream, unit, bin, count)
    select 'webhooks', unit, date_trunc(unit, minute, 'UTC') as bin, sum(events)
    from received
    join bin_units on minute >= kept_since
    where stream = 'webhooks'
    group by unit, bin
    order by unit, bin
    on conflict (stream, unit, bin) do update
    set count = total.count + excluded.count
),
type_bins as (
    insert into webhook_type_bins as total (unit, bin, event_type, events)
    select unit, date_trunc(unit, minute, 'UTC') as bin, event_type, sum(events)
    from received
    join named using (day, event_type)
    join bin_units on minute >= kept_since
    where stream = 'webhooks'
    group by unit, bin, event_type
    order by unit, bin, event_type
    on conflict (unit, bin, event_type) do update
    set events = total.events + excluded.events
),
types as (
    insert into webhook_types as total (event_type, events)
    select event_type, sum(events)
    from types_of_days
    join named using (day, event_type)
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

-- part: stored
select id
from fresh

-- part: appended
select
from fresh
limit 0

-- Keeps the bins of pruned days, and their share in the totals over all time. Also keeps the names: they were chosen in
-- the order in which events arrived.
-- name: empty
with pruned as (
    select day::timestamp at time zone 'UTC' as bin
    from webhook_pruned_days
),
emptied as (
    delete from bins as total
    where stream = 'webhooks'
        and not exists (select from pruned where pruned.bin = date_trunc('day', total.bin, 'UTC'))
),
type_bins as (
    delete from webhook_type_bins as total
    where not exists (select from pruned where pruned.bin = date_trunc('day', total.bin, 'UTC'))
),
kept as (
    select event_type, sum(events)::bigint as events
    from webhook_type_bins
    join pruned using (bin)
    where unit = 'day'
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
)
update webhook_count
set events = coalesce((
    select sum(count)
    from bins
    join pruned using (bin)
    where stream = 'webhooks' and unit = 'day'
), 0)

-- The differences between the totals and a count of the folded rows, as in logins/store.sql, without the days whose raw
-- rows were pruned. The totals over all time are compared with the bins of days, which are kept. A type without a name is
-- a difference if its day has room for more names.
-- name: recount
with received as materialized (
    select
        date_trunc('minute', received_at, 'UTC') as minute,
        (received_at at time zone 'UTC')::date as day,
        event_type,
        count(*) as events
    from webhook_events
    where folded
        and received_at >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and received_at < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
        and (received_at at time zone 'UTC')::date not in (select day from webhook_pruned_days)
    group by minute, day, event_type
),
whole as (
    select stream, unit, greatest(kept_since, $1::date::timestamp at time zone 'UTC') as since
    from bin_units
    where stream = 'webhooks'
)
select
    'bins' as "table", row(unit, bin)::text as key, stored.count::text as stored, counted.count::text as counted
from (
    select unit, bin, count
    from bins
    join whole using (stream, unit)
    where bin >= since
        and bin < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
        and (bin at time zone 'UTC')::date not in (select day from webhook_pruned_days)
) as stored
full join (
    select unit, date_trunc(unit, minute, 'UTC') as bin, sum(events) as count
    from received
    join whole on minute >= since
    group by unit, bin
) as counted using (unit, bin)
where stored.count is distinct from counted.count
union all
select
    'webhook_type_bins', row(unit, bin, event_type)::text, stored.events::text, counted.events::text
from (
    select unit, bin, event_type, events
    from webhook_type_bins
    join whole using (unit)
    where bin >= since
        and bin < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
        and (bin at time zone 'UTC')::date not in (select day from webhook_pruned_days)
) as stored
full join (
    select unit, date_trunc(unit, minute, 'UTC') as bin, received.event_type, sum(events) as events
    from received
    join whole on minute >= since
    left join webhook_names as named on (named.day, named.event_type) = (received.day, received.event_type)
    left join webhook_rooms as room on room.day = received.day
    where named.day is not null or coalesce(room.names, 0) < 1000
    group by unit, bin, received.event_type
) as counted using (unit, bin, event_type)
where stored.events is distinct from counted.events
union all
select 'webhook_types', event_type, stored.events::text, counted.events::text
from (select * from webhook_types where $1::date is null) as stored
full join (
    select event_type, sum(events) as events
    from webhook_type_bins
    where unit = 'day' and $1::date is null
    group by event_type
) as counted using (event_type)
where stored.events is distinct from counted.events
union all
select 'webhook_count', only_row::text, stored.events::text, counted.events::text
from (select * from webhook_count where $1::date is null) as stored
full join (
    select true as only_row, sum(count) as events
    from bins
    where stream = 'webhooks' and unit = 'day' and $1::date is null
    having count(*) > 0
) as counted using (only_row)
where coalesce(stored.events, 0) is distinct from coalesce(counted.events, 0)
union all
select 'webhook_rooms', day::text, stored.names::text, counted.names::text
from (select * from webhook_rooms where day = coalesce($1::date, day)) as stored
full join (
    select day, count(*) as names
    from webhook_names
    where day = coalesce($1::date, day)
    group by day
) as counted using (day)
where coalesce(stored.names, 0) is distinct from coalesce(counted.names, 0)
order by "table", key
limit 1000

-- name: days
select distinct (bin at time zone 'UTC')::date as day
from bins
where stream = 'webhooks' and unit = 'day'

-- One small step: deletes bins by type that are older than their unit is kept. The lateral subquery is as in bins.sql.
-- name: expire
with old as (
    select oldest.*
    from bin_units
    cross join lateral (
        select unit, bin, event_type
        from webhook_type_bins as total
        where total.unit = bin_units.unit and bin < kept_since
        order by bin
        limit 5000
        for update skip locked
    ) as oldest
    where stream = 'webhooks'
    limit 5000
),
expired as (
    delete from webhook_type_bins as total
    using old
    where total.unit = old.unit and total.bin = old.bin and total.event_type = old.event_type
    returning 1
)
select count(*)
from expired

-- One small step of retention: deletes rows that were received since $2 and before the day $1, and marks their days as
-- pruned.
-- name: prune
with old as (
    select id
    from webhook_events
    where received_at < $1::date::timestamp at time zone 'UTC'
        and ($2::timestamptz is null or received_at >= $2)
        and folded
    order by received_at
    limit 5000
),
pruned as (
    delete from webhook_events
    using old
    where webhook_events.id = old.id
    returning received_at, (received_at at time zone 'UTC')::date as day
),
noted as (
    insert into webhook_pruned_days (day)
    select distinct day
    from pruned
    order by day
    on conflict do nothing
)
select count(*) as deleted, max(received_at) as reached
from pruned

-- What retention would delete of rows from before the day $1.
-- name: overdue
select
    (
        select count(*)
        from webhook_events
        where received_at < $1::date::timestamp at time zone 'UTC' and folded
    ) as webhook_events,
    (
        select count(*)
        from refused_deliveries
        where refused_at < $1::date::timestamp at time zone 'UTC'
    ) as refused_deliveries

-- The events of user $1 that were received since $2, and those whose metadata names the user in one of its own fields.
-- name: person
select id
from webhook_events
where received_at >= $2::text::timestamptz
    and (
        user_id = $1::text
        or exists (
            select
            from jsonb_each_text(metadata) as field
            where field.value = $1 and lower(replace(field.key, '_', '')) in ('user', 'userid', 'username', 'subject')
        )
    )

-- After `erase`: rows of zero say nothing, and a rebuild would not make them.
-- name: settle
with binned as (delete from bins where stream = 'webhooks' and count = 0 and $1::text is not null),
type_bins as (delete from webhook_type_bins where events = 0),
types as (delete from webhook_types where events = 0)
select
where false

-- Of the given events, those whose ids are stored: when the stored event was received, and whether it is the same. A
-- missing timestamp is stored as the time of receipt, so two deliveries without one are the same.
-- name: known
-- SDKs add a charset to the content type of a CloudEvent in binary mode, and name it where the event does not. That
-- makes no other event of it: content types are compared without parameters, and a missing one is JSON.
select
    given.number, stored.id, stored.received_at,
    (given.event_type, given.user_id, given.metadata - 'datacontenttype')
        is not distinct from (stored.event_type, stored.user_id, stored.metadata - 'datacontenttype')
        and lower(rtrim(split_part(coalesce(given.metadata ->> 'datacontenttype', 'application/json'), ';', 1)))
        = lower(rtrim(split_part(coalesce(stored.metadata ->> 'datacontenttype', 'application/json'), ';', 1)))
        and (
            given."timestamp" = stored."timestamp"
            or given."timestamp" = given.received_at and stored."timestamp" = stored.received_at
        ) as same
from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[], $6::timestamptz[])
    with ordinality as given (id, event_type, user_id, "timestamp", metadata, received_at, number)
join webhook_events as stored using (id)

-- name: refuse
insert into webhook_refusals as total (day, events)
values ($1::date, $2::bigint)
on conflict (day) do update
set events = total.events + excluded.events

-- Keeps the refused deliveries $1, an array of their rows, and of all the latest hundred.
-- name: keep_refused
with fresh as (
    insert into refused_deliveries (id, refused_at, address, path, status, reasons)
    select id, refused_at, address, path, status, reasons
    from json_to_recordset($1::json)
        as given (id uuid, refused_at timestamptz, address text, path text, status smallint, reasons text[])
    on conflict (id) do nothing
    returning id, refused_at
),
every as (
    select id, refused_at
    from refused_deliveries
    union all
    select id, refused_at
    from fresh
)
delete from refused_deliveries
where id not in (
    select id
    from every
    order by refused_at desc, id desc
    limit 100
)

-- Deletes the refused deliveries from before the day $1; there are a hundred at most. $2 is null: there is one step.
-- name: forget
with gone as (
    delete from refused_deliveries
    where refused_at < $1::date::timestamp at time zone 'UTC' and $2::text is null
    returning id
)
select count(*) as refused_deliveries, null::text as reached
from gone
