-- Counts of events per unit of time stood in three tables, and how long each unit is kept in six queries. Both are here
-- once, for items, transfers, and webhook events of whatever type.

-- How many events of a stream there were in each unit of time, in UTC. The newest of any unit are read off the key.
create table bins (
    stream text,
    unit text,
    bin timestamptz,
    count bigint not null,
    primary key (stream, unit, bin)
) with (fillfactor = 50);

-- The units of time each stream is counted in, and when its oldest bins of that unit begin: older ones are deleted.
create view bin_units (stream, unit, kept_since) as
select stream, unit, kept_since
from (
    values
        ('items'),
        ('transfers')
) as streams (stream)
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
union all
select 'webhooks', unit, kept_since
from (
    values
        ('minute', date_trunc('hour', now(), 'UTC') - interval '2 hours'),
        ('hour', date_trunc('day', now(), 'UTC') - interval '48 hours'),
        ('day', '-infinity')
) as units (unit, kept_since);

-- A server of the version before, if one still runs, waits here, and keeps its events in its spool afterwards.
lock table item_bins, transfer_bins, webhook_bins in access exclusive mode;

insert into bins (stream, unit, bin, count)
select 'items', unit, bin, count
from item_bins
union all
select 'transfers', unit, bin, count
from transfer_bins
union all
select 'webhooks', unit, bin, events
from webhook_bins;

drop table item_bins, transfer_bins, webhook_bins;

-- An instant as clients read it, such as 2026-11-21T10:30:00.125Z.
create function iso(timestamptz) returns text
language sql
stable
parallel safe
return to_char($1 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- The median length of finished sessions, for each type of device and over all of them (null). It is the mean of the
-- lengths at the two middle positions, which are the same where the count is odd. Sessions are counted by minute to find
-- the minute of each position, and then by second within that minute alone.
create view login_medians as
with minutes as (
    select
        device_type,
        minute,
        sum(sessions) as sessions,
        sum(sum(sessions)) over (partition by device_type order by minute) as last_position,
        sum(sum(sessions)) over (partition by device_type) as all_sessions
    from login_minutes
    group by grouping sets ((device_type, minute), (minute))
),
middles as (
    select distinct device_type, minute, position, last_position - sessions as before
    from minutes
    cross join lateral (values (div(all_sessions + 1, 2)), (div(all_sessions + 2, 2))) as middle (position)
    where position > last_position - sessions and position <= last_position
),
middle_lengths as (
    select
        middles.device_type,
        position,
        seconds,
        before + sum(sum(login_durations.sessions)) over (
            partition by middles.device_type, position order by seconds
        ) as last_position
    from middles
    join login_durations
        on seconds >= minute * 60
        and seconds < minute * 60 + 60
        and (middles.device_type is null or login_durations.device_type = middles.device_type)
    group by middles.device_type, position, before, seconds
)
select
    device_type,
    (min(seconds) + min(seconds) filter (where position = last_middle)) / 2.0 as median
from (
    select *, max(position) over (partition by device_type) as last_middle
    from middle_lengths
    where last_position >= position
) as reached
group by device_type;

-- Logins and sessions for each type of device, and over all of them (null). A session is finished once its length is known.
create view login_summary as
with medians as materialized (
    select device_type, median
    from login_medians
)
select
    totals.device_type,
    coalesce(sum(logins), 0) as logins,
    coalesce(sum(sessions), 0) as sessions,
    coalesce(sum(logins) - sum(sessions), 0) as active,
    case
        when grouping(totals.device_type) = 0 then sum(users)
        else coalesce((select users from login_user_count), 0)
    end as users,
    coalesce(round(sum(seconds) / nullif(sum(sessions), 0), 2), 0) as average,
    coalesce(min(shortest), 0) as shortest,
    coalesce(max(longest), 0) as longest,
    coalesce(
        (select round(median, 1) from medians where medians.device_type is not distinct from totals.device_type), 0
    ) as median
from login_devices as totals
group by grouping sets ((totals.device_type), ());
