-- Logins: the raw rows, and the totals that every read is answered from.
-- Other programs insert into user_logins too, so every rule the totals rely on is a constraint here.

create table user_logins (
    id uuid primary key default gen_random_uuid(),
    user_id integer not null,
    login_time timestamptz not null default now(),
    logout_time timestamptz,
    session_duration_seconds integer,
    ip_address text not null,
    region text not null,
    device_type text not null,
    browser text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    folded boolean not null default false,
    constraint login_time_between_1970_and_2100
        check (login_time >= '1970-01-01 00:00:00+00' and login_time < '2100-01-01 00:00:00+00'),
    constraint logout_not_before_login
        check (logout_time >= login_time),
    constraint logout_within_ten_years
        check (extract(epoch from logout_time - login_time) <= 315576000),
    constraint duration_between_0_and_ten_years
        check (session_duration_seconds between 0 and 315576000),
    constraint ip_address_length check (char_length(ip_address) between 1 and 64),
    constraint region_length check (char_length(region) between 1 and 100),
    constraint device_type_length check (char_length(device_type) between 1 and 100),
    constraint browser_length check (char_length(browser) between 1 and 100)
);

create index user_logins_not_folded on user_logins (id) where not folded;

create index user_logins_newest on user_logins (login_time desc, id desc);

-- A session is finished once its duration is known; `seconds` sums those.
create table login_devices (
    device_type text primary key,
    logins bigint not null,
    sessions bigint not null,
    seconds bigint not null,
    shortest integer,
    longest integer,
    users bigint not null
) with (fillfactor = 50);

create table login_regions (
    region text,
    device_type text,
    logins bigint not null,
    sessions bigint not null,
    seconds bigint not null,
    primary key (region, device_type)
) with (fillfactor = 50);

create table login_browsers (
    browser text primary key,
    logins bigint not null
) with (fillfactor = 50);

create table login_hours (
    hour smallint primary key,
    logins bigint not null
) with (fillfactor = 50);

create table login_days (
    day date primary key,
    logins bigint not null
) with (fillfactor = 50);

-- One count per second of duration keeps the median exact; one per minute finds its minute without reading them all.
create table login_durations (
    seconds integer,
    device_type text,
    sessions bigint not null,
    primary key (seconds, device_type)
) with (fillfactor = 70);

create table login_minutes (
    minute integer,
    device_type text,
    sessions bigint not null,
    primary key (minute, device_type)
) with (fillfactor = 50);

-- Distinct users are never summed: who is new is what these inserts return.
create table login_device_users (
    device_type text,
    user_id integer,
    primary key (device_type, user_id)
);

create table login_users (
    user_id integer primary key
);

create table login_user_count (
    only_row boolean primary key default true check (only_row),
    users bigint not null
) with (fillfactor = 50);
