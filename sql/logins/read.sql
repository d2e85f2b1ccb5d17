-- The logins stream: reads.

-- name: newest
select
    id, user_id, login_time, logout_time, session_duration_seconds,
    ip_address, region, device_type, browser, created_at, updated_at
from user_logins
order by login_time desc, id desc
limit $1

-- Everything that the dashboard shows, at the time $1: one statement, so that no two numbers disagree. In login_summary
-- the row without a device type sums up all devices.
-- name: snapshot
with summary as (
    select *
    from login_summary
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
        'uniqueUsers', users
    ),
    'regionStats', (select coalesce(json_agg(region_rows), '[]') from region_rows),
    'browserStats', (select coalesce(json_agg(browser_rows), '[]') from browser_rows),
    'loginTrends', (select json_agg(trend_rows) from trend_rows),
    'peakHours', (select json_agg(hour_rows) from hour_rows),
    'totalSessions', logins,
    'totalUsers', users,
    'averageSessionDuration', average,
    'generatedAt', iso($1)
)
from summary
where device_type is null

-- All logins from $1 until before $2, as they are stored.
-- name: export
select
    id, user_id, login_time, logout_time, session_duration_seconds,
    ip_address, region, device_type, browser, created_at, updated_at
from user_logins
where login_time >= $1::timestamptz and login_time < $2::timestamptz
order by login_time, id
