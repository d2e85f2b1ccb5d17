-- The logins stream: writes and upkeep. The parts `insert`, `import`, `sweep` and `rebuild` each put rows into `fresh`,
-- and `fold` adds those to the totals. `insert` ends with `stored`, which returns the new rows to the writer; the others
-- return a count. `append` is `insert` without one line, for rows whose ids are new; it ends with `appended` in a stream
-- whose answers need nothing of them. `python -m statsd sql logins` prints the statements joined.
-- table: user_logins

-- A null login_time becomes the current time, or the logout if that is earlier: a logout may fall between the check of
-- the request and this statement. A null duration becomes the whole seconds from login to logout.
-- part: insert
with fresh as (
    insert into user_logins (
        id, user_id, login_time, logout_time, session_duration_seconds,
        ip_address, region, device_type, browser, folded
    )
    select
        id, user_id, began_at, logout_time,
        coalesce(session_duration_seconds, floor(extract(epoch from logout_time - began_at))::integer),
        ip_address, region, device_type, browser, true
    from unnest(
        $1::uuid[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::integer[],
        $6::text[], $7::text[], $8::text[], $9::text[]
    ) as given (
        id, user_id, login_time, logout_time, session_duration_seconds, ip_address, region, device_type, browser
    )
    cross join lateral (select coalesce(login_time, least(now(), logout_time))) as session (began_at)
    on conflict (id) do nothing -- not in `append`
    returning *
)

-- The same for rows of a file, which say when they were stored.
-- part: import
with fresh as (
    insert into user_logins (
        id, user_id, login_time, logout_time, session_duration_seconds,
        ip_address, region, device_type, browser, created_at, updated_at, folded
    )
    select
        id, user_id, began_at, logout_time,
        coalesce(session_duration_seconds, floor(extract(epoch from logout_time - began_at))::integer),
        ip_address, region, device_type, browser,
        coalesce(created_at, now()), coalesce(updated_at, created_at, now()), true
    from unnest(
        $1::uuid[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::integer[],
        $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[]
    ) as given (
        id, user_id, login_time, logout_time, session_duration_seconds, ip_address, region, device_type, browser,
        created_at, updated_at
    )
    cross join lateral (select coalesce(login_time, least(now(), logout_time))) as session (began_at)
    on conflict (id) do nothing
    returning *
)

-- Completes the rows of other programs as the program completes its own before the insert: it capitalises known device
-- types, and computes a missing duration.
-- part: sweep
, fresh as (
    update user_logins
    set folded = true,
        device_type = case
            when lower(device_type) in ('desktop', 'mobile', 'tablet') then initcap(device_type) else device_type
        end,
        session_duration_seconds = coalesce(
            session_duration_seconds, floor(extract(epoch from logout_time - login_time))::integer
        )
    from waiting
    where user_logins.id = waiting.id
    returning user_logins.*
)

-- part: fold
, device_newcomers as (
    insert into login_device_users (device_type, user_id)
    select distinct device_type, user_id
    from fresh
    order by device_type, user_id
    on conflict do nothing
    returning device_type
),
devices as (
    insert into login_devices as total (device_type, logins, sessions, seconds, shortest, longest, users)
    select
        device_type,
        count(*),
        count(session_duration_seconds),
        coalesce(sum(session_duration_seconds), 0),
        min(session_duration_seconds),
        max(session_duration_seconds),
        (select count(*) from device_newcomers as new where new.device_type = fresh.device_type)
    from fresh
    group by device_type
    order by device_type
    on conflict (device_type) do update
    set logins = total.logins + excluded.logins,
        sessions = total.sessions + excluded.sessions,
        seconds = total.seconds + excluded.seconds,
        shortest = least(total.shortest, excluded.shortest),
        longest = greatest(total.longest, excluded.longest),
        users = total.users + excluded.users
),
regions as (
    insert into login_regions as total (region, device_type, logins, sessions, seconds)
    select
        region, device_type, count(*), count(session_duration_seconds), coalesce(sum(session_duration_seconds), 0)
    from fresh
    group by region, device_type
    order by region, device_type
    on conflict (region, device_type) do update
    set logins = total.logins + excluded.logins,
        sessions = total.sessions + excluded.sessions,
        seconds = total.seconds + excluded.seconds
),
browsers as (
    insert into login_browsers as total (browser, logins)
    select browser, count(*)
    from fresh
    group by browser
    order by browser
    on conflict (browser) do update
    set logins = total.logins + excluded.logins
),
hours as (
    insert into login_hours as total (hour, logins)
    select extract(hour from login_time at time zone 'UTC')::smallint as hour, count(*)
    from fresh
    group by hour
    order by hour
    on conflict (hour) do update
    set logins = total.logins + excluded.logins
),
days as (
    insert into login_days as total (day, logins)
    select (login_time at time zone 'UTC')::date as day, count(*)
    from fresh
    group by day
    order by day
    on conflict (day) do update
    set logins = total.logins + excluded.logins
),
durations as (
    insert into login_durations as total (seconds, device_type, sessions)
    select session_duration_seconds, device_type, count(*)
    from fresh
    where session_duration_seconds is not null
    group by session_duration_seconds, device_type
    order by session_duration_seconds, device_type
    on conflict (seconds, device_type) do update
    set sessions = total.sessions + excluded.sessions
),
minutes as (
    insert into login_minutes as total (minute, device_type, sessions)
    select session_duration_seconds / 60 as minute, device_type, count(*)
    from fresh
    where session_duration_seconds is not null
    group by minute, device_type
    order by minute, device_type
    on conflict (minute, device_type) do update
    set sessions = total.sessions + excluded.sessions
),
newcomers as (
    insert into login_users (user_id)
    select distinct user_id
    from fresh
    order by user_id
    on conflict do nothing
    returning user_id
),
user_count as (
    insert into login_user_count as total (users)
    select count(*)
    from newcomers
    having count(*) > 0
    on conflict (only_row) do update
    set users = total.users + excluded.users
)

-- part: stored
select
    id, user_id, login_time, logout_time, session_duration_seconds,
    ip_address, region, device_type, browser, created_at, updated_at
from fresh

-- Runs in the transaction that rebuilds the totals. Not `truncate`: transactions that began earlier would see empty
-- tables.
-- name: empty
with devices as (delete from login_devices),
regions as (delete from login_regions),
browsers as (delete from login_browsers),
hours as (delete from login_hours),
days as (delete from login_days),
durations as (delete from login_durations),
minutes as (delete from login_minutes),
device_users as (delete from login_device_users),
users as (delete from login_users)
delete from login_user_count

-- The differences between the totals and a count of the folded rows: the table, the key, the row that is stored and the
-- row as counted, null where there is none; 1,000 at most. Of the UTC day $1 only the totals of that day are compared;
-- where $1 is null, all are. One statement has one snapshot, so rows that are stored meanwhile make no difference.
-- name: recount
with events as not materialized (
    select *
    from user_logins
    where folded
        and login_time >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and login_time < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
),
every_event as not materialized (
    select *
    from events
    where $1::date is null
)
select 'login_days' as "table", day::text as key, stored::text as stored, counted::text as counted
from (select * from login_days where day = coalesce($1::date, day)) as stored
full join (
    select (login_time at time zone 'UTC')::date as day, count(*) as logins
    from events
    group by day
) as counted using (day)
where stored::text is distinct from counted::text
union all
select 'login_devices', device_type, stored::text, counted::text
from (select * from login_devices where $1::date is null) as stored
full join (
    select
        device_type,
        count(*) as logins,
        count(session_duration_seconds) as sessions,
        coalesce(sum(session_duration_seconds), 0) as seconds,
        min(session_duration_seconds) as shortest,
        max(session_duration_seconds) as longest,
        count(distinct user_id) as users
    from every_event
    group by device_type
) as counted using (device_type)
where stored::text is distinct from counted::text
union all
select 'login_regions', row(region, device_type)::text, stored::text, counted::text
from (select * from login_regions where $1::date is null) as stored
full join (
    select
        region, device_type,
        count(*) as logins,
        count(session_duration_seconds) as sessions,
        coalesce(sum(session_duration_seconds), 0) as seconds
    from every_event
    group by region, device_type
) as counted using (region, device_type)
where stored::text is distinct from counted::text
union all
select 'login_browsers', browser, stored::text, counted::text
from (select * from login_browsers where $1::date is null) as stored
full join (
    select browser, count(*) as logins
    from every_event
    group by browser
) as counted using (browser)
where stored::text is distinct from counted::text
union all
select 'login_hours', hour::text, stored::text, counted::text
from (select * from login_hours where $1::date is null) as stored
full join (
    select extract(hour from login_time at time zone 'UTC')::smallint as hour, count(*) as logins
    from every_event
    group by hour
) as counted using (hour)
where stored::text is distinct from counted::text
union all
select 'login_durations', row(seconds, device_type)::text, stored::text, counted::text
from (select * from login_durations where $1::date is null) as stored
full join (
    select session_duration_seconds as seconds, device_type, count(*) as sessions
    from every_event
    where session_duration_seconds is not null
    group by seconds, device_type
) as counted using (seconds, device_type)
where stored::text is distinct from counted::text
union all
select 'login_minutes', row(minute, device_type)::text, stored::text, counted::text
from (select * from login_minutes where $1::date is null) as stored
full join (
    select session_duration_seconds / 60 as minute, device_type, count(*) as sessions
    from every_event
    where session_duration_seconds is not null
    group by minute, device_type
) as counted using (minute, device_type)
where stored::text is distinct from counted::text
union all
select 'login_device_users', row(device_type, user_id)::text, stored::text, counted::text
from (select * from login_device_users where $1::date is null) as stored
full join (
    select distinct device_type, user_id
    from every_event
) as counted using (device_type, user_id)
where stored::text is distinct from counted::text
union all
select 'login_users', user_id::text, stored::text, counted::text
from (select * from login_users where $1::date is null) as stored
full join (
    select distinct user_id
    from every_event
) as counted using (user_id)
where stored::text is distinct from counted::text
union all
select 'login_user_count', only_row::text, stored::text, counted::text
from (select * from login_user_count where $1::date is null) as stored
full join (
    select true as only_row, count(distinct user_id) as users
    from every_event
    having count(*) > 0
) as counted using (only_row)
where stored::text is distinct from counted::text
order by "table", key
limit 1000

-- The UTC days that have totals.
-- name: days
select day
from login_days

-- Returns the stored logins with the ids of the given ones, and whether each pair is the same login. A null time or
-- duration matches any value: the client left it out, and `insert` computed it.
-- name: known
select
    given.number,
    (given.user_id, given.logout_time, given.ip_address, given.region, given.device_type, given.browser)
        is not distinct from (
            stored.user_id, stored.logout_time, stored.ip_address, stored.region, stored.device_type, stored.browser
        )
        and (given.login_time is null or given.login_time = stored.login_time)
        and (
            given.session_duration_seconds is null
            or given.session_duration_seconds is not distinct from stored.session_duration_seconds
        ) as same,
    stored.id, stored.user_id, stored.login_time, stored.logout_time, stored.session_duration_seconds,
    stored.ip_address, stored.region, stored.device_type, stored.browser, stored.created_at, stored.updated_at
from unnest(
    $1::uuid[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::integer[],
    $6::text[], $7::text[], $8::text[], $9::text[]
) with ordinality as given (
    id, user_id, login_time, logout_time, session_duration_seconds, ip_address, region, device_type, browser, number
)
join user_logins as stored using (id)
