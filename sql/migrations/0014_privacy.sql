-- Retention of every stream, and of the totals that hold people; names of logins that cannot grow without bound.

-- How far the retention has gone: raw rows received before the UTC day `kept_from` are gone, or are being deleted while
-- `finished` is false.
create table retention_marks (
    stream text primary key,
    kept_from date not null,
    finished boolean not null default false
);

-- Sessions by spans of ten days of their length: clients may send any length up to ten years, and the median must be found
-- without reading all minutes that occur.
create table login_spans (
    span integer,
    device_type text,
    sessions bigint not null,
    primary key (span, device_type)
) with (fillfactor = 50);

-- What rows that the retention deleted had added to the totals. The totals themselves do not change when raw rows go: a
-- total is its pruned part and the count of the rows that are left.
create table pruned_login_devices (like login_devices including all);

create table pruned_login_regions (like login_regions including all);

create table pruned_login_browsers (like login_browsers including all);

create table pruned_login_hours (like login_hours including all);

create table pruned_login_days (like login_days including all);

create table pruned_login_durations (like login_durations including all);

create table pruned_login_minutes (like login_minutes including all);

create table pruned_login_spans (like login_spans including all);

create table pruned_login_user_count (like login_user_count including all);

create table pruned_usage_bins (like usage_bins including all);

create table pruned_usage_days (like usage_days including all);

create table pruned_usage_features (like usage_features including all);

create table pruned_bins (like bins including all);

-- Returns from a day whose users are forgotten.
create table pruned_page_returns (like page_returns including all);

-- Retention asks for the oldest rows. Where rows lie in the order they came, a few pages of BRIN find them.
create index user_logins_created on user_logins using brin (created_at) with (pages_per_range = 32);

create index feature_clicks_clicked on feature_clicks ("timestamp");

create index page_user_days_day on page_user_days using brin (day) with (pages_per_range = 32);

-- The latest UTC day on which a login of the user was received.
alter table login_users add column last_day date not null default (now() at time zone 'UTC')::date;

alter table login_device_users add column last_day date not null default (now() at time zone 'UTC')::date;

update login_users
set last_day = latest.day
from (
    select user_id, max((created_at at time zone 'UTC')::date) as day
    from user_logins
    where folded
    group by user_id
) as latest
where latest.user_id = login_users.user_id;

update login_device_users
set last_day = latest.day
from (
    select device_type, user_id, max((created_at at time zone 'UTC')::date) as day
    from user_logins
    where folded
    group by device_type, user_id
) as latest
where latest.user_id = login_device_users.user_id and latest.device_type = login_device_users.device_type;

-- The regions, browsers and device types that have a name in the totals, first come; logins with any other count as
-- '(other)'. Raw rows keep what was sent.
create table login_names (
    kind text,
    name text,
    primary key (kind, name)
);

create view login_kinds (kind, most) as
values
    ('region', 500),
    ('browser', 500),
    ('device_type', 100);

create table login_rooms (
    kind text primary key,
    names integer not null
) with (fillfactor = 50);

insert into login_names (kind, name)
select kind, name
from (
    select kind, name, row_number() over (partition by kind order by logins desc, name) as place
    from (
        select 'region' as kind, region as name, sum(logins) as logins
        from login_regions
        group by region
        union all
        select 'browser', browser, logins
        from login_browsers
        union all
        select 'device_type', device_type, logins
        from login_devices
    ) as known
    where name <> '(other)'
) as ranked
join login_kinds using (kind)
where place <= most;

insert into login_rooms (kind, names)
select kind, (select count(*) from login_names where login_names.kind = login_kinds.kind)
from login_kinds;

-- What a name is counted under: itself if it has a place, or if there is room for it.
create function login_name(of_kind text, given text) returns text language sql stable as $$
    select case
        when given <> '(other)' and (
            exists (select from login_names where kind = of_kind and name = given)
            or (select names < most from login_rooms join login_kinds using (kind) where kind = of_kind)
        ) then given
        else '(other)'
    end
$$;

-- Lets in as many of the candidates as there is room for, first come, and tells which have a name now.
create function login_admit(of_kind text, candidates text[]) returns setof text language sql rows 1 cost 1 as $$
    update login_rooms
    set names = names
    where kind = of_kind; -- who held the room has committed by now: the next statement sees whom it let in

    with waiting as (
        select name, min(place) as place
        from unnest(candidates) with ordinality as given (name, place)
        where not exists (select from login_names as named where named.kind = of_kind and named.name = given.name)
        group by name
        order by place
        limit (select most - names from login_rooms join login_kinds using (kind) where kind = of_kind)
    ),
    admitted as (
        insert into login_names (kind, name)
        select of_kind, name
        from waiting
        order by name
        returning name
    ),
    counted as (
        update login_rooms
        set names = names + (select count(*) from admitted)
        where kind = of_kind
    )
    select name
    from admitted
    union all
    select name
    from login_names
    where kind = of_kind and name = any (candidates)
$$;

insert into login_regions as total (region, device_type, logins, sessions, seconds)
select
    login_name('region', region) as region, login_name('device_type', device_type) as device_type,
    sum(logins), sum(sessions), sum(seconds)
from login_regions
where (login_name('region', region), login_name('device_type', device_type)) <> (region, device_type)
group by 1, 2
on conflict (region, device_type) do update
set logins = total.logins + excluded.logins,
    sessions = total.sessions + excluded.sessions,
    seconds = total.seconds + excluded.seconds;

delete from login_regions
where (login_name('region', region), login_name('device_type', device_type)) <> (region, device_type);

insert into login_browsers as total (browser, logins)
select '(other)', sum(logins)
from login_browsers
where login_name('browser', browser) <> browser
having count(*) > 0
on conflict (browser) do update
set logins = total.logins + excluded.logins;

delete from login_browsers
where login_name('browser', browser) <> browser;

insert into login_durations as total (seconds, device_type, sessions)
select seconds, '(other)', sum(sessions)
from login_durations
where login_name('device_type', device_type) <> device_type
group by seconds
on conflict (seconds, device_type) do update
set sessions = total.sessions + excluded.sessions;

delete from login_durations
where login_name('device_type', device_type) <> device_type;

insert into login_minutes as total (minute, device_type, sessions)
select minute, '(other)', sum(sessions)
from login_minutes
where login_name('device_type', device_type) <> device_type
group by minute
on conflict (minute, device_type) do update
set sessions = total.sessions + excluded.sessions;

delete from login_minutes
where login_name('device_type', device_type) <> device_type;

insert into login_device_users as known (device_type, user_id, last_day)
select '(other)', user_id, max(last_day)
from login_device_users
where login_name('device_type', device_type) <> device_type
group by user_id
on conflict (device_type, user_id) do update
set last_day = greatest(known.last_day, excluded.last_day);

delete from login_device_users
where login_name('device_type', device_type) <> device_type;

insert into login_devices as total (device_type, logins, sessions, seconds, shortest, longest, users)
select '(other)', sum(logins), sum(sessions), sum(seconds), min(shortest), max(longest), 0
from login_devices
where login_name('device_type', device_type) <> device_type
having count(*) > 0
on conflict (device_type) do update
set logins = total.logins + excluded.logins,
    sessions = total.sessions + excluded.sessions,
    seconds = total.seconds + excluded.seconds,
    shortest = least(total.shortest, excluded.shortest),
    longest = greatest(total.longest, excluded.longest);

delete from login_devices
where login_name('device_type', device_type) <> device_type;

update login_devices
set users = (select count(*) from login_device_users where device_type = '(other)')
where device_type = '(other)';

insert into login_spans (span, device_type, sessions)
select minute / 14400 as span, device_type, sum(sessions)
from login_minutes
group by span, device_type;

-- The median length of finished sessions, for each type of device and over all of them (null), as before: the mean of the
-- lengths at the two middle positions. The span of ten days of each position is found first, then its minute within the
-- span, and then its second within the minute.
create or replace view login_medians as
with spans as (
    select
        device_type,
        span,
        sum(sessions) as sessions,
        sum(sum(sessions)) over (partition by device_type order by span) as last_position,
        sum(sum(sessions)) over (partition by device_type) as all_sessions
    from login_spans
    group by grouping sets ((device_type, span), (span))
),
middle_spans as (
    select distinct device_type, span, position, last_position - sessions as before
    from spans
    cross join lateral (values (div(all_sessions + 1, 2)), (div(all_sessions + 2, 2))) as middle (position)
    where position > last_position - sessions and position <= last_position
),
minutes as (
    select
        middle_spans.device_type,
        position,
        minute,
        sum(login_minutes.sessions) as sessions,
        before + sum(sum(login_minutes.sessions)) over (
            partition by middle_spans.device_type, position order by minute
        ) as last_position
    from middle_spans
    join login_minutes
        on minute >= span * 14400
        and minute < span * 14400 + 14400
        and (middle_spans.device_type is null or login_minutes.device_type = middle_spans.device_type)
    group by middle_spans.device_type, position, before, minute
),
middles as (
    select device_type, minute, position, last_position - sessions as before
    from minutes
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
