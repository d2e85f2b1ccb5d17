-- The page views stream: reads.

-- name: receipt
select 'stored' as state, created_at as since, null as reason
from page_events
where id = $1
union all
select 'dead', first_seen, reason
from dead_letters
where id = $1 and stream = 'pageviews'
limit 1

-- The report of site $1 from day $2 through day $3, with its $4 most viewed paths. Its unique users are those of its
-- days, less the returns from one day of the span to another. Returns are looked up for whole months, and for the
-- days before and after these.
-- name: report
with span as (
    select day, views, users
    from page_days
    where site_id = $1 and day between $2::date and $3::date
),
months as (
    select first_day, greatest(first_day, end_day) as end_day
    from (
        select
            date_trunc('month', $2::date + interval '1 month -1 day')::date as first_day,
            date_trunc('month', $3::date + interval '1 day')::date as end_day
    ) as bounds
),
parts as (
    select unit, part.first_day, last_day
    from months
    cross join lateral (
        values
            ('day', $2::date, least(first_day - 1, $3)),
            ('month', first_day, end_day - 1),
            ('day', end_day, $3)
    ) as part (unit, first_day, last_day)
),
returned as (
    select total.users
    from parts as part
    join parts as previous on previous.first_day <= part.first_day
    join page_returns as total
        on total.unit = part.unit
        and total.previous_unit = previous.unit
        and day between part.first_day and part.last_day
        and previous_day between previous.first_day and previous.last_day
    where site_id = $1
),
top_paths as (
    select path, sum(views)::bigint as views
    from page_paths
    where site_id = $1 and day between $2::date and $3::date
    group by path
    order by views desc, path
    limit $4::integer
),
series as (
    select day::date as date, coalesce(views, 0) as total_views, coalesce(users, 0) as unique_users
    from generate_series($2::date, $3::date, interval '1 day') as day
    left join span using (day)
    order by day
)
select
    coalesce((select sum(views) from span), 0)::bigint as total_views,
    (
        coalesce((select sum(users) from span), 0) - coalesce((select sum(users) from returned), 0)
    )::bigint as unique_users,
    coalesce((select json_agg(top_paths) from top_paths), '[]') as top_paths,
    (select json_agg(series) from series) as days

-- What the dashboard shows before a site is chosen, at the time $1: the 100 sites with the most views of the day.
-- name: snapshot
with today as (
    select site_id, views, users
    from page_days
    where day = ($1::timestamptz at time zone 'UTC')::date
),
largest as (
    select site_id, views, users
    from today
    order by views desc, site_id
    limit 100
)
select json_build_object(
    'today', ($1::timestamptz at time zone 'UTC')::date,
    'totalViews', coalesce((select sum(views) from today), 0),
    'totalUsers', coalesce((select sum(users) from today), 0),
    'siteCount', (select count(*) from today),
    'sites', (select coalesce(json_agg(largest), '[]') from largest),
    'generatedAt', iso($1)
)

-- All events from $1 until before $2, as they are stored.
-- name: export
select id, site_id, event_type, path, user_id, "timestamp", created_at
from page_events
where "timestamp" >= $1::timestamptz and "timestamp" < $2::timestamptz
order by site_id, id
