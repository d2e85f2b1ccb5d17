-- The usage stream: writes and upkeep. Parts as in logins/store.sql.
-- table: feature_clicks

-- part: insert
with fresh as (
    insert into feature_clicks (id, user_id, feature_name, "timestamp", age, gender, folded)
    select *, true
    from unnest($1::uuid[], $2::integer[], $3::text[], $4::timestamptz[], $5::smallint[], $6::text[])
    on conflict (id) do nothing -- not in `append`
    returning *
)

-- Completes the rows of other programs with the age and gender of their user.
-- part: sweep
, fresh as (
    update feature_clicks as clicks
    set folded = true,
        age = coalesce(age, (select users.age from users where users.id = user_id)),
        gender = coalesce(gender, (select users.gender from users where users.id = user_id))
    from waiting
    where clicks.id = waiting.id
    returning clicks.*
)

-- Each click counts in four totals: of its gender and age group, of its gender, of its age group, and of all.
-- part: fold
, classified as (
    select
        feature_name,
        coalesce(gender, 'unknown') as gender,
        case when age < 18 then '<18' when age <= 40 then '18-40' when age > 40 then '>40' else 'unknown' end as age_group,
        date_bin('15 minutes', "timestamp", '1970-01-01 00:00:00+00') as bin,
        "timestamp"
    from fresh
),
counted as (
    select
        feature_name, coalesce(gender, 'All') as gender, coalesce(age_group, 'All') as age_group, bin,
        count(*) as clicks, min("timestamp") as first_click
    from classified
    group by feature_name, bin, cube (gender, age_group)
),
bins as (
    insert into usage_bins as total (feature_name, gender, age_group, bin, clicks, first_click)
    select feature_name, gender, age_group, bin, clicks, first_click
    from counted
    order by feature_name, gender, age_group, bin
    on conflict (feature_name, gender, age_group, bin) do update
    set clicks = total.clicks + excluded.clicks,
        first_click = least(total.first_click, excluded.first_click)
),
days as (
    insert into usage_days as total (feature_name, gender, age_group, day, clicks, first_click)
    select
        feature_name, gender, age_group, (bin at time zone 'UTC')::date as day, sum(clicks)::bigint, min(first_click)
    from counted
    group by feature_name, gender, age_group, day
    order by feature_name, gender, age_group, day
    on conflict (feature_name, gender, age_group, day) do update
    set clicks = total.clicks + excluded.clicks,
        first_click = least(total.first_click, excluded.first_click)
),
features as (
    insert into usage_features as total (feature_name, clicks, first_click)
    select feature_name, sum(clicks)::bigint, min(first_click)
    from counted
    where gender = 'All' and age_group = 'All'
    group by feature_name
    order by feature_name
    on conflict (feature_name) do update
    set clicks = total.clicks + excluded.clicks,
        first_click = least(total.first_click, excluded.first_click)
)

-- part: stored
select id, user_id, feature_name, "timestamp"
from fresh

-- name: empty
with bins as (delete from usage_bins),
days as (delete from usage_days)
delete from usage_features

-- The differences between the totals and a count of the folded rows, as in logins/store.sql.
-- name: recount
with counted_rows as (
    select
        feature_name,
        case when grouping(person.gender) = 1 then 'All' else person.gender end as gender,
        case when grouping(person.age_group) = 1 then 'All' else person.age_group end as age_group,
        date_bin('15 minutes', "timestamp", '1970-01-01 00:00:00+00') as bin,
        count(*) as clicks,
        min("timestamp") as first_click
    from feature_clicks
    cross join lateral (
        select
            coalesce(gender, 'unknown'),
            case when age < 18 then '<18' when age <= 40 then '18-40' when age > 40 then '>40' else 'unknown' end
    ) as person (gender, age_group)
    where folded
        and "timestamp" >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and "timestamp" < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
    group by feature_name, bin, cube (person.gender, person.age_group)
),
counted_bins as (
    select feature_name, gender, age_group, bin, sum(clicks) as clicks, min(first_click) as first_click
    from (
        select *
        from counted_rows
        union all
        select feature_name, gender, age_group, bin, clicks, first_click
        from pruned_usage_bins
        where bin >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
            and bin < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
    ) as parts
    group by feature_name, gender, age_group, bin
)
select
    'usage_bins' as "table", row(feature_name, gender, age_group, bin)::text as key,
    stored::text as stored, counted::text as counted
from (
    select *
    from usage_bins
    where bin >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and bin < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
) as stored
full join (select * from counted_bins) as counted using (feature_name, gender, age_group, bin)
where stored::text is distinct from counted::text
union all
select 'usage_days', row(feature_name, gender, age_group, day)::text, stored::text, counted::text
from (select * from usage_days where day = coalesce($1::date, day)) as stored
full join (
    select
        feature_name, gender, age_group, (bin at time zone 'UTC')::date as day,
        sum(clicks) as clicks, min(first_click) as first_click
    from counted_bins
    group by feature_name, gender, age_group, day
) as counted using (feature_name, gender, age_group, day)
where stored::text is distinct from counted::text
union all
select 'usage_features', feature_name, stored::text, counted::text
from (select * from usage_features where $1::date is null) as stored
full join (
    select feature_name, sum(clicks) as clicks, min(first_click) as first_click
    from counted_bins
    where $1::date is null and gender = 'All' and age_group = 'All'
    group by feature_name
) as counted using (feature_name)
where stored::text is distinct from counted::text
order by "table", key
limit 1000

-- name: days
select distinct day
from usage_days
where gender = 'All' and age_group = 'All'

-- part: aged
with aged as (
    select id
    from feature_clicks
    where "timestamp" < $1::date::timestamp at time zone 'UTC'
        and ($2::timestamptz is null or "timestamp" >= $2)
        and folded
    limit 5000
)

-- What retention would delete of rows from before the day $1.
-- name: overdue
select count(*) as feature_clicks
from feature_clicks
where "timestamp" < $1::date::timestamp at time zone 'UTC' and folded

-- Puts the totals of pruned rows back, after `empty`.
-- name: refill
with bins as (insert into usage_bins select * from pruned_usage_bins),
days as (insert into usage_days select * from pruned_usage_days)
insert into usage_features
select *
from pruned_usage_features

-- The clicks of account $1 since $2.
-- name: person
select id
from feature_clicks
where user_id = $1::text::integer and "timestamp" >= $2::text::timestamptz

-- part: erased
select
    count(*) as deleted,
    coalesce(
        json_agg(distinct jsonb_build_object(
            'feature_name', feature_name,
            'bin', date_bin('15 minutes', "timestamp", '1970-01-01 00:00:00+00')
        )),
        '[]'
    ) as touched
from gone

-- After `erase`: the first clicks of the bins $2 that it touched, which cannot be subtracted, are looked up in the rows
-- and pruned totals that are left. $1 is the account. Rows of zero say nothing, and a rebuild would not make them.
-- What the account named today is forgotten.
-- name: settle
with touched as materialized (
    select distinct feature_name, bin
    from json_to_recordset($2::json) as touched (feature_name text, bin timestamptz)
    where $1::text is not null
),
clicks as (
    select
        feature_name, bin, first_click, coalesce(gender, 'All') as gender, coalesce(age_group, 'All') as age_group
    from (
        select
            touched.feature_name, touched.bin, person.gender, person.age_group, min("timestamp") as first_click
        from touched
        join feature_clicks as click
            on click.feature_name = touched.feature_name
            and "timestamp" >= touched.bin
            and "timestamp" < touched.bin + interval '15 minutes'
        cross join lateral (
            select
                coalesce(click.gender, 'unknown'),
                case when age < 18 then '<18' when age <= 40 then '18-40' when age > 40 then '>40' else 'unknown' end
        ) as person (gender, age_group)
        where folded
        group by touched.feature_name, touched.bin, cube (person.gender, person.age_group)
    ) as counted
    union all
    select feature_name, bin, first_click, gender, age_group
    from pruned_usage_bins
    join touched using (feature_name, bin)
),
first_clicks as (
    select feature_name, gender, age_group, bin, min(first_click) as first_click
    from clicks
    group by feature_name, gender, age_group, bin
),
bins as (
    update usage_bins as total
    set first_click = first_clicks.first_click
    from first_clicks
    where (total.feature_name, total.gender, total.age_group, total.bin)
        = (first_clicks.feature_name, first_clicks.gender, first_clicks.age_group, first_clicks.bin)
),
days as (
    update usage_days as total
    set first_click = (
        select min(coalesce(first_clicks.first_click, bins.first_click))
        from usage_bins as bins
        left join first_clicks using (feature_name, gender, age_group, bin)
        where bins.clicks > 0
            and (bins.feature_name, bins.gender, bins.age_group)
                = (total.feature_name, total.gender, total.age_group)
            and bins.bin >= total.day::timestamp at time zone 'UTC'
            and bins.bin < (total.day + 1)::timestamp at time zone 'UTC'
    )
    where clicks > 0
        and (feature_name, day) in (select feature_name, (bin at time zone 'UTC')::date from touched)
),
features as (
    update usage_features as total
    set first_click = (
        select min(coalesce(first_clicks.first_click, bins.first_click))
        from usage_bins as bins
        left join first_clicks using (feature_name, gender, age_group, bin)
        where bins.clicks > 0
            and (bins.feature_name, bins.gender, bins.age_group) = (total.feature_name, 'All', 'All')
    )
    where clicks > 0 and feature_name in (select feature_name from touched)
),
shares as (delete from feature_shares where user_id = $1::text::integer returning 1),
empty_bins as (delete from usage_bins where clicks = 0),
empty_days as (delete from usage_days where clicks = 0),
empty_features as (delete from usage_features where clicks = 0)
select count(*) as feature_shares
from shares

-- Returns the stored clicks with the ids of the given ones, and whether each pair is the same click. Times may differ:
-- the server sets them.
-- name: known
select
    given.number, stored.id, stored.user_id, stored.feature_name, stored."timestamp",
    (given.user_id, given.feature_name) is not distinct from (stored.user_id, stored.feature_name) as same
from unnest($1::uuid[], $2::integer[], $3::text[], $4::timestamptz[], $5::smallint[], $6::text[])
    with ordinality as given (id, user_id, feature_name, "timestamp", age, gender, number)
join feature_clicks as stored using (id)

-- Which of the features $1 have a place, how many more there may be of $3 in all, and how many of the new ones are granted to
-- user $2: at most $4 on a UTC day. A feature has a place while one of its clicks is stored: not all were pruned.
-- name: grant_features
with placed as (
    select feature_name
    from usage_features as total
    left join pruned_usage_features as pruned using (feature_name)
    where total.clicks > coalesce(pruned.clicks, 0)
),
known as (
    select feature_name
    from placed
    where feature_name = any($1::text[])
),
room as (
    select
        greatest(0, $3::integer - (select count(*) from placed))::integer as free,
        cardinality($1::text[]) - (select count(*) from known)::integer as wanted
),
share as (
    insert into feature_shares as share (user_id, day, names, granted)
    select $2::integer, (now() at time zone 'UTC')::date, least(wanted, free, $4), least(wanted, free, $4::integer)
    from room
    where wanted > 0
    on conflict (user_id, day) do update
    set names = share.names + least(excluded.granted, $4::integer - share.names),
        granted = least(excluded.granted, $4::integer - share.names)
    returning granted
)
select array(select feature_name from known) as known, free, coalesce((select granted from share), 0) as granted
from room

-- Deletes the shares of days that are over.
-- name: expire
with expired as (
    delete from feature_shares
    where day < (now() at time zone 'UTC')::date
    returning 1
)
select count(*)
from expired

-- name: features
select feature_name, clicks, first_click
from usage_features
order by clicks desc, feature_name

-- Deletes the features $1 with all their clicks, after `lock`; returns the number of clicks.
-- name: drop
with bins as (delete from usage_bins where feature_name = any($1::text[])),
days as (delete from usage_days where feature_name = any($1::text[])),
features as (delete from usage_features where feature_name = any($1::text[])),
pruned_bins as (delete from pruned_usage_bins where feature_name = any($1::text[])),
pruned_days as (delete from pruned_usage_days where feature_name = any($1::text[])),
pruned_features as (delete from pruned_usage_features where feature_name = any($1::text[])),
clicks as (
    delete from feature_clicks
    where feature_name = any($1::text[])
    returning 1
)
select count(*)
from clicks

-- Sample accounts with the password hash $1, names $2, ages $3 and genders $4, and their 100 clicks on the features $5
-- over the last 90 days. Returns the names that belong to other accounts: those are not changed and get no clicks.
-- name: seed
with people as (
    select name, age, gender
    from unnest($2::text[], $3::smallint[], $4::text[]) as people (name, age, gender)
),
added as (
    insert into users (username, username_key, password, age, gender, sample)
    select name, name, $1::text, age, gender, true
    from people
    on conflict (username_key) do nothing
    returning id, username_key
),
accounts as (
    select id, username_key, row_number() over (order by id) as place
    from (
        select id, username_key
        from added
        union all
        select id, username_key
        from users
        join people on username_key = name
        where sample
    ) as samples
),
clicks as (
    insert into feature_clicks (id, user_id, feature_name, "timestamp")
    select
        ('00000000-0000-4000-8000-' || lpad(number::text, 12, '0'))::uuid,
        accounts.id,
        ($5::text[])[1 + scattered % cardinality($5)],
        now() - interval '90 days' * scattered / 997
    from (select number, number * number % 997 as scattered from generate_series(1, 100) as number) as samples
    join accounts on place = 1 + number % (select count(*) from accounts)
    on conflict (id) do nothing
    returning id
)
select
    (select count(*) from clicks) as usage,
    (select count(*) from added) as accounts,
    array(select name from people where name not in (select username_key from accounts)) as taken
