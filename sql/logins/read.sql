-- The logins stream: what is asked.

-- name: find
select
    id, user_id, login_time, logout_time, session_duration_seconds,
    ip_address, region, device_type, browser, created_at, updated_at
from user_logins
where id = any($1::uuid[])

-- name: newest
select
    id, user_id, login_time, logout_time, session_duration_seconds,
    ip_address, region, device_type, browser, created_at, updated_at
from user_logins
order by login_time desc, id desc
limit $1

-- Everything the dashboard shows, out of one snapshot, so that no two numbers can disagree. Rows without a device are
-- those over all devices. The median is the mean of the sessions at the two middle positions (one, where the count is
-- odd); each is looked up in the minute that holds it. $1 is the moment it is made for.
-- name: snapshot
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
),
medians as materialized (
    select
        device_type,
        (min(seconds) + min(seconds) filter (where position = last_middle)) / 2.0 as median
    from (
        select *, max(position) over (partition by device_type) as last_middle
        from middle_lengths
        where last_position >= position
    ) as reached
    group by device_type
),
summary as (
    select
        totals.device_type,
        coalesce(sum(logins), 0) as logins,
        coalesce(sum(sessions), 0) as sessions,
        coalesce(sum(logins) - sum(sessions), 0) as active,
        sum(users) as users,
        coalesce(round(sum(seconds) / nullif(sum(sessions), 0), 2), 0) as average,
        coalesce(min(shortest), 0) as shortest,
        coalesce(max(longest), 0) as longest,
        coalesce(
            (select round(median, 1) from medians where medians.device_type is not distinct from totals.device_type), 0
        ) as median
    from login_devices as totals
    group by grouping sets ((totals.device_type), ())
),
overall as (
    select summary.*, coalesce((select users from login_user_count), 0) as distinct_users
    from summary
    where device_type is null
),
device_rows as (
    select
        device_type,
        logins as count,
        users as unique_users,
        round(100.0 * logins / sum(logins) over (), 2) as percentage,
        average as avg_session_duration_seconds
    from summary
    where device_type is not null
    order by logins desc, device_type
    limit 50
),
session_rows as (
    select
        device_type,
        sessions as "totalSessions",
        average as "averageDuration",
        shortest as "minDuration",
        longest as "maxDuration",
        median as "medianDuration",
        sessions as total_sessions,
        average as avg_duration_seconds,
        active as active_sessions
    from summary
    where device_type is not null
    order by logins desc, device_type
    limit 50
),
region_rows as (
    select region, sum(logins) as count
    from login_regions
    group by region
    order by count desc, region
    limit 300
),
region_device_rows as (
    select
        region,
        device_type,
        logins as count,
        region_rows.count as region_total,
        coalesce(round(seconds::numeric / nullif(sessions, 0), 2), 0) as avg_session_duration_seconds
    from region_rows
    join login_regions using (region)
    order by region_total desc, region, count desc, device_type
    limit 1500
),
browser_rows as (
    select browser, logins as count
    from login_browsers
    order by count desc, browser
    limit 100
),
trend_rows as (
    select day::date as date, coalesce(logins, 0) as "loginCount"
    from generate_series(
        ($1::timestamptz at time zone 'UTC')::date - 29, ($1::timestamptz at time zone 'UTC')::date, interval '1 day'
    ) as day
    left join login_days using (day)
    order by day
),
hour_rows as (
    select hour, coalesce(logins, 0) as "loginCount"
    from generate_series(0, 23) as hour
    left join login_hours using (hour)
    order by hour
)
select json_build_object(
    'deviceStats', (select coalesce(json_agg(device_rows), '[]') from device_rows),
    'regionDeviceStats', (select coalesce(json_agg(region_device_rows), '[]') from region_device_rows),
    'sessionStats', (select coalesce(json_agg(session_rows), '[]') from session_rows),
    'sessionSummary', json_build_object(
        'totalSessions', sessions,
        'averageDuration', average,
        'minDuration', shortest,
        'maxDuration', longest,
        'medianDuration', median,
        'activeSessions', active,
        'totalLogins', logins,
        'uniqueUsers', distinct_users
    ),
    'regionStats', (select coalesce(json_agg(region_rows), '[]') from region_rows),
    'browserStats', (select coalesce(json_agg(browser_rows), '[]') from browser_rows),
    'loginTrends', (select json_agg(trend_rows) from trend_rows),
    'peakHours', (select json_agg(hour_rows) from hour_rows),
    'totalSessions', logins,
    'totalUsers', distinct_users,
    'averageSessionDuration', average,
    'generatedAt', iso($1)
)
from overall
