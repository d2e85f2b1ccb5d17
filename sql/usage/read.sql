-- The usage stream: reads.

-- The two charts from day $1 through day $2 in the time zone $6, for the gender $3 and the age group $4; the line chart
-- for the feature $5. A local day differs from the UTC day by at most one day. So the UTC days inside the span are summed
-- as a whole, and the days at its edges from bins of 15 minutes. $7 is the width of the edges in days: 0 in UTC, else 1.
-- name: analytics
with matching as (
    select feature_name, clicks, first_click
    from usage_days
    where gender = $3::text
        and age_group = $4::text
        and day between $1::date + $7::integer and $2::date - $7::integer
    union all
    select feature_name, clicks, first_click
    from usage_bins
    where $7::integer = 1
        and gender = $3::text
        and age_group = $4::text
        and (
            bin >= ($1::date - 1)::timestamp at time zone 'UTC' and bin < ($1::date + 1)::timestamp at time zone 'UTC'
            or bin >= $2::date::timestamp at time zone 'UTC' and bin < ($2::date + 2)::timestamp at time zone 'UTC'
        )
        and (bin at time zone $6::text)::date between $1::date and $2::date
),
bars as (
    select feature_name as feature, sum(clicks) as count
    from matching
    group by feature_name
    order by sum(clicks) desc, min(first_click), feature_name
    limit 1000
),
of_feature as (
    select day, clicks
    from usage_days
    where $7::integer = 0
        and feature_name = $5::text
        and gender = $3::text
        and age_group = $4::text
        and day between $1::date and $2::date
    union all
    select (bin at time zone $6::text)::date as day, clicks
    from usage_bins
    where $7::integer = 1
        and feature_name = $5::text
        and gender = $3::text
        and age_group = $4::text
        and bin >= ($1::date - 1)::timestamp at time zone 'UTC'
        and bin < ($2::date + 2)::timestamp at time zone 'UTC'
),
line as (
    select day as date, sum(clicks) as count
    from of_feature
    where day between $1::date and $2::date
    group by day
    order by day
)
select json_build_object(
    'barChartData', (select coalesce(json_agg(bars), '[]') from bars),
    'lineChartData', (select coalesce(json_agg(line), '[]') from line)
)

-- The names of PostgreSQL's time zones. The program keeps them, because PostgreSQL reads a file for each.
-- name: zones
select name
from pg_timezone_names
where name !~ '^(posix|right)/'

-- What needs no login, at the time $1: the numbers of clicks, but no names of features.
-- name: snapshot
select json_build_object(
    'totalClicks', (select coalesce(sum(clicks), 0) from usage_features),
    'featureCount', (select count(*) from usage_features),
    'today', (
        select json_build_object('date', today, 'totalClicks', coalesce(sum(clicks), 0))
        from (select ($1::timestamptz at time zone 'UTC')::date as today) as moment
        left join usage_days on day = today and gender = 'All' and age_group = 'All'
        group by today
    ),
    'generatedAt', iso($1)
)

-- All clicks from $1 until before $2, as they are stored.
-- name: export
select id, user_id, feature_name, "timestamp", age, gender
from feature_clicks
where "timestamp" >= $1::timestamptz and "timestamp" < $2::timestamptz
order by id
