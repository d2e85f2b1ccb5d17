-- The logins stream: writes and upkeep. The parts `insert`, `import`, `sweep` and `rebuild` each put rows into `fresh`,
-- and `fold` adds those to the totals. `insert` ends with `stored`, which returns the new rows to the writer; the others
-- return a count. `append` is `insert` without one line, for rows whose ids are new; it ends with `appended` in a stream
-- whose answers need nothing of them. `prune` and `erase` delete rows: one folds them into the totals of pruned rows, the
-- other subtracts them. Both leave users to other statements: `nobody` stands in place of `people`.
-- `python -m statsd sql logins` prints the statements joined.
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

-- The names that these logins count under. A kind that is full in our snapshot gets no more names, so only those with
-- room are asked for more. Almost always every name is known, and the last three steps have no rows.
-- part: named
, given as (
    select 'region' as kind, region as name, count(*) as logins
    from fresh
    group by region
    union all
    select 'browser', browser, count(*)
    from fresh
    group by browser
    union all
    select 'device_type', device_type, count(*)
    from fresh
    group by device_type
),
nameless as materialized (
    select kind, name, logins
    from given
    where (select true from login_names as known where known.kind = given.kind and known.name = given.name) is null
),
admitted as materialized (
    select kind, admitted.name
    from (
        select kind, array_agg(name order by logins desc, name) as candidates
        from nameless
        join login_rooms using (kind)
        join login_kinds using (kind)
        where names < most and name <> '(other)'
        group by kind
        order by kind
    ) as unknown
    cross join login_admit(kind, candidates) as admitted (name)
),
others as materialized (
    select kind, name
    from nameless
    where (kind, name) not in (select kind, name from admitted)
),
seen as (
    select
        user_id,
        login_time,
        (created_at at time zone 'UTC')::date as received_on,
        session_duration_seconds,
        case when region in (select name from others where kind = 'region') then '(other)' else region end as region,
        case when browser in (select name from others where kind = 'browser') then '(other)' else browser end as browser,
        case
            when device_type in (select name from others where kind = 'device_type') then '(other)' else device_type
        end as device_type
    from fresh
)

-- Users, and the day of their latest login: retention forgets them by it. Those seen before on the same day or later
-- are left out, each by a look-up of its key, so that most logins write nothing here. A row that this statement inserts
-- has no xmax; one that it updates has.
-- part: people
, device_newcomers as (
    insert into login_device_users as known (device_type, user_id, last_day)
    select device_type, user_id, max(received_on)
    from seen
    group by device_type, user_id
    having max(received_on) > coalesce(
        (
            select last_day
            from login_device_users as known
            where known.device_type = seen.device_type and known.user_id = seen.user_id
        ),
        '-infinity'
    )
    order by device_type, user_id
    on conflict (device_type, user_id) do update
    set last_day = greatest(known.last_day, excluded.last_day)
    returning device_type, known.xmax = 0 as is_new
),
newcomers as (
    insert into login_users as known (user_id, last_day)
    select user_id, max(received_on)
    from seen
    group by user_id
    having max(received_on) > coalesce(
        (select last_day from login_users as known where known.user_id = seen.user_id), '-infinity'
    )
    order by user_id
    on conflict (user_id) do update
    set last_day = greatest(known.last_day, excluded.last_day)
    returning known.xmax = 0 as is_new
)

-- part: nobody
, device_newcomers as (
    select '' as device_type, false as is_new
    where false
),
newcomers as (
    select false as is_new
    where false
)

-- part: fold
, devices as (
    insert into login_devices as total (device_type, logins, sessions, seconds, shortest, longest, users)
    select
        device_type,
        count(*),
        count(session_duration_seconds),
        coalesce(sum(session_duration_seconds), 0),
        min(session_duration_seconds),
        max(session_duration_seconds),
        (select count(*) from device_newcomers as new where is_new and new.device_type = seen.device_type)
    from seen
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
    from seen
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
    from seen
    group by browser
    order by browser
    on conflict (browser) do update
    set logins = total.logins + excluded.logins
),
hours as (
    insert into login_hours as total (hour, logins)
    select extract(hour from login_time at time zone 'UTC')::smallint as hour, count(*)
    from seen
    group by hour
    order by hour
    on conflict (hour) do update
    set logins = total.logins + excluded.logins
),
days as (
    insert into login_days as total (day, logins)
    select (login_time at time zone 'UTC')::date as day, count(*)
    from seen
    group by day
    order by day
    on conflict (day) do update
    set logins = total.logins + excluded.logins
),
durations as (
    insert into login_durations as total (seconds, device_type, sessions)
    select session_duration_seconds, device_type, count(*)
    from seen
    where session_duration_seconds is not null
    group by session_duration_seconds, device_type
    order by session_duration_seconds, device_type
    on conflict (seconds, device_type) do update
    set sessions = total.sessions + excluded.sessions
),
minutes as (
    insert into login_minutes as total (minute, device_type, sessions)
    select session_duration_seconds / 60 as minute, device_type, count(*)
    from seen
    where session_duration_seconds is not null
    group by minute, device_type
    order by minute, device_type
    on conflict (minute, device_type) do update
    set sessions = total.sessions + excluded.sessions
),
spans as (
    insert into login_spans as total (span, device_type, sessions)
    select session_duration_seconds / 864000 as span, device_type, count(*)
    from seen
    where session_duration_seconds is not null
    group by span, device_type
    order by span, device_type
    on conflict (span, device_type) do update
    set sessions = total.sessions + excluded.sessions
),
user_count as (
    insert into login_user_count as total (users)
    select count(*)
    from newcomers
    where is_new
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
spans as (delete from login_spans),
device_users as (delete from login_device_users),
users as (delete from login_users)
delete from login_user_count

-- The differences between the totals and a count of the folded rows: the table, the key, the row that is stored and the
-- row as counted, null where there is none; 1,000 at most. What pruned rows had added counts as it was; users that retention
-- forgets are left out. Of the UTC day $1 only the totals of that day are compared;
-- where $1 is null, all are. One statement has one snapshot, so rows that are stored meanwhile make no difference.
-- name: recount
with events as not materialized (
    select
        user_id, login_time, session_duration_seconds,
        (created_at at time zone 'UTC')::date as received_on,
        login_name('region', region) as region,
        login_name('browser', browser) as browser,
        login_name('device_type', device_type) as device_type
    from user_logins
    where folded
        and login_time >= coalesce($1::date::timestamp at time zone 'UTC', '-infinity')
        and login_time < coalesce(($1::date + 1)::timestamp at time zone 'UTC', 'infinity')
),
every_event as not materialized (
    select *
    from events
    where $1::date is null
),
kept as (
    select coalesce(max(kept_from), '-infinity') as kept_from
    from retention_marks
    where stream = 'logins'
)
select 'login_rooms' as "table", kind as key, stored.names::text as stored, counted.names::text as counted
from (select kind, names from login_rooms where $1::date is null) as stored
full join (
    select kind, (select count(*) from login_names where login_names.kind = login_kinds.kind) as names
    from login_kinds
    where $1::date is null
) as counted using (kind)
where stored.names is distinct from counted.names
union all
select 'login_days', day::text, stored::text, counted::text
from (select * from login_days where day = coalesce($1::date, day)) as stored
full join (
    select day, sum(logins) as logins
    from (
        select (login_time at time zone 'UTC')::date as day, 1 as logins
        from events
        union all
        select * from pruned_login_days where day = coalesce($1::date, day)
    ) as parts
    group by day
) as counted using (day)
where stored::text is distinct from counted::text
union all
select 'login_devices', device_type, stored::text, counted::text
from (select * from login_devices where $1::date is null) as stored
full join (
    select
        device_type, sum(logins) as logins, sum(sessions) as sessions, sum(seconds) as seconds,
        min(shortest) as shortest, max(longest) as longest, sum(users) as users
    from (
        select
            device_type, 1 as logins, (session_duration_seconds is not null)::integer as sessions,
            coalesce(session_duration_seconds, 0) as seconds,
            session_duration_seconds as shortest, session_duration_seconds as longest, 0 as users
        from every_event
        union all
        select device_type, 0, 0, 0, null, null, 1 from login_device_users where $1::date is null
        union all
        select * from pruned_login_devices where $1::date is null
    ) as parts
    group by device_type
) as counted using (device_type)
where stored::text is distinct from counted::text
union all
select 'login_regions', row(region, device_type)::text, stored::text, counted::text
from (select * from login_regions where $1::date is null) as stored
full join (
    select region, device_type, sum(logins) as logins, sum(sessions) as sessions, sum(seconds) as seconds
    from (
        select
            region, device_type, 1 as logins, (session_duration_seconds is not null)::integer as sessions,
            coalesce(session_duration_seconds, 0) as seconds
        from every_event
        union all
        select * from pruned_login_regions where $1::date is null
    ) as parts
    group by region, device_type
) as counted using (region, device_type)
where stored::text is distinct from counted::text
union all
select 'login_browsers', browser, stored::text, counted::text
from (select * from login_browsers where $1::date is null) as stored
full join (
    select browser, sum(logins) as logins
    from (
        select browser, 1 as logins from every_event
        union all
        select * from pruned_login_browsers where $1::date is null
    ) as parts
    group by browser
) as counted using (browser)
where stored::text is distinct from counted::text
union all
select 'login_hours', hour::text, stored::text, counted::text
from (select * from login_hours where $1::date is null) as stored
full join (
    select hour, sum(logins) as logins
    from (
        select extract(hour from login_time at time zone 'UTC')::smallint as hour, 1 as logins from every_event
        union all
        select * from pruned_login_hours where $1::date is null
    ) as parts
    group by hour
) as counted using (hour)
where stored::text is distinct from counted::text
union all
select 'login_durations', row(seconds, device_type)::text, stored::text, counted::text
from (select * from login_durations where $1::date is null) as stored
full join (
    select seconds, device_type, sum(sessions) as sessions
    from (
        select session_duration_seconds as seconds, device_type, 1 as sessions from every_event
        union all
        select * from pruned_login_durations where $1::date is null
    ) as parts
    where seconds is not null
    group by seconds, device_type
) as counted using (seconds, device_type)
where stored::text is distinct from counted::text
union all
select 'login_minutes', row(minute, device_type)::text, stored::text, counted::text
from (select * from login_minutes where $1::date is null) as stored
full join (
    select minute, device_type, sum(sessions) as sessions
    from (
        select session_duration_seconds / 60 as minute, device_type, 1 as sessions from every_event
        union all
        select * from pruned_login_minutes where $1::date is null
    ) as parts
    where minute is not null
    group by minute, device_type
) as counted using (minute, device_type)
where stored::text is distinct from counted::text
union all
select 'login_spans', row(span, device_type)::text, stored::text, counted::text
from (select * from login_spans where $1::date is null) as stored
full join (
    select span, device_type, sum(sessions) as sessions
    from (
        select session_duration_seconds / 864000 as span, device_type, 1 as sessions from every_event
        union all
        select * from pruned_login_spans where $1::date is null
    ) as parts
    where span is not null
    group by span, device_type
) as counted using (span, device_type)
where stored::text is distinct from counted::text
union all
select 'login_device_users', row(device_type, user_id)::text, stored::text, counted::text
from (
    select *
    from login_device_users
    where $1::date is null and last_day >= (select kept_from from kept)
) as stored
full join (
    select device_type, user_id, max(received_on) as last_day
    from every_event
    where received_on >= (select kept_from from kept)
    group by device_type, user_id
) as counted using (device_type, user_id)
where stored::text is distinct from counted::text
union all
select 'login_users', user_id::text, stored::text, counted::text
from (
    select *
    from login_users
    where $1::date is null and last_day >= (select kept_from from kept)
) as stored
full join (
    select user_id, max(received_on) as last_day
    from every_event
    where received_on >= (select kept_from from kept)
    group by user_id
) as counted using (user_id)
where stored::text is distinct from counted::text
union all
select 'login_user_count', only_row::text, stored::text, counted::text
from (select * from login_user_count where $1::date is null) as stored
full join (
    select true as only_row, sum(users) as users
    from (
        select 1 as users from login_users where $1::date is null
        union all
        select users from pruned_login_user_count where $1::date is null
    ) as parts
    having count(*) > 0
) as counted using (only_row)
where stored::text is distinct from counted::text
order by "table", key
limit 1000

-- The UTC days that have totals.
-- name: days
select day
from login_days

-- part: aged
with aged as (
    select id
    from user_logins
    where created_at < $1::date::timestamp at time zone 'UTC'
        and ($2::timestamptz is null or created_at >= $2)
        and folded
    limit 5000
)

-- A small step of retention: forgets the users whose latest login was before the day $1, of the 20,000 after the user
-- `$2`. Their numbers stay.
-- name: forget
with slice as (
    select user_id
    from login_users
    where $2::text is null or user_id > $2::integer
    order by user_id
    limit 20000
),
bounds as (
    select min(user_id) as first, max(user_id) as last
    from slice
),
users as (
    delete from login_users
    where user_id between (select first from bounds) and (select last from bounds) and last_day < $1::date
    returning user_id
),
device_users as (
    delete from login_device_users
    where device_type in (select device_type from login_devices)
        and user_id between (select first from bounds) and (select last from bounds)
        and last_day < $1::date
    returning device_type
),
user_count as (
    insert into pruned_login_user_count as total (users)
    select count(*)
    from users
    having count(*) > 0
    on conflict (only_row) do update
    set users = total.users + excluded.users
),
devices as (
    insert into pruned_login_devices as total (device_type, logins, sessions, seconds, users)
    select device_type, 0, 0, 0, count(*)
    from device_users
    group by device_type
    order by device_type
    on conflict (device_type) do update
    set users = total.users + excluded.users
)
select
    (select last from bounds)::text as reached,
    (select count(*) from users) as login_users,
    (select count(*) from device_users) as login_device_users

-- What retention would delete of rows from before the day $1.
-- name: overdue
select
    (
        select count(*)
        from user_logins
        where created_at < $1::date::timestamp at time zone 'UTC' and folded
    ) as user_logins,
    (select count(*) from login_users where last_day < $1::date) as login_users,
    (select count(*) from login_device_users where last_day < $1::date) as login_device_users

-- The logins of user $1 that were received since $2.
-- name: person
select id
from user_logins
where user_id = $1::text::integer and created_at >= $2::text::timestamptz

-- After `erase`, with no logins of user $1 left: forgets the user, and makes right what cannot be subtracted. Rows of
-- zero say nothing, and a rebuild would not make them.
-- name: settle
with device_users as (
    delete from login_device_users
    where user_id = $1::text::integer
    returning device_type
),
users as (
    delete from login_users
    where user_id = $1::text::integer
    returning user_id
),
user_count as (
    update login_user_count
    set users = users - (select count(*) from users)
),
devices as (
    update login_devices as total
    set users = users - (select count(*) from device_users where device_users.device_type = total.device_type),
        shortest = (
            select min(seconds) from login_durations as length
            where length.device_type = total.device_type and length.sessions > 0
        ),
        longest = (
            select max(seconds) from login_durations as length
            where length.device_type = total.device_type and length.sessions > 0
        )
    where logins > 0
),
gone as (delete from login_devices where logins = 0),
regions as (delete from login_regions where logins = 0),
browsers as (delete from login_browsers where logins = 0),
hours as (delete from login_hours where logins = 0),
days as (delete from login_days where logins = 0),
durations as (delete from login_durations where sessions = 0),
minutes as (delete from login_minutes where sessions = 0),
spans as (delete from login_spans where sessions = 0)
select
    (select count(*) from users) as login_users,
    (select count(*) from device_users) as login_device_users

-- Puts the totals of pruned rows back, after `empty`.
-- name: refill
with devices as (insert into login_devices select * from pruned_login_devices),
regions as (insert into login_regions select * from pruned_login_regions),
browsers as (insert into login_browsers select * from pruned_login_browsers),
hours as (insert into login_hours select * from pruned_login_hours),
days as (insert into login_days select * from pruned_login_days),
durations as (insert into login_durations select * from pruned_login_durations),
minutes as (insert into login_minutes select * from pruned_login_minutes),
spans as (insert into login_spans select * from pruned_login_spans)
insert into login_user_count
select *
from pruned_login_user_count

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
