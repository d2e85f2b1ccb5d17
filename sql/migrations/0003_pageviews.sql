-- Page views: `site_id` leads every key, so that the same tables can be distributed by it.

create table page_events (
    site_id text not null,
    id uuid not null default gen_random_uuid(),
    event_type text not null,
    path text not null,
    user_id text,
    "timestamp" timestamptz not null,
    created_at timestamptz not null default now(),
    folded boolean not null default false,
    primary key (site_id, id),
    constraint timestamp_between_1970_and_2100
        check ("timestamp" >= '1970-01-01 00:00:00+00' and "timestamp" < '2100-01-01 00:00:00+00'),
    constraint site_id_length check (char_length(site_id) between 1 and 128 and octet_length(site_id) <= 512),
    constraint event_type_length check (char_length(event_type) between 1 and 128),
    constraint path_length check (octet_length(path) between 1 and 2048),
    constraint user_id_length check (char_length(user_id) between 1 and 256)
);

create index page_events_not_folded on page_events (site_id, id) where not folded;

-- A receipt names the id alone.
create index page_events_id on page_events (id);

-- Retention asks for the oldest; rows lie in the order they came, so a few pages of BRIN find them.
create index page_events_created on page_events using brin (created_at) with (pages_per_range = 32);

create table page_days (
    site_id text,
    day date,
    views bigint not null,
    users bigint not null,
    primary key (site_id, day)
) with (fillfactor = 50);

create index page_days_day on page_days (day);

create table page_paths (
    site_id text,
    day date,
    path text,
    views bigint not null,
    primary key (site_id, day, path)
) with (fillfactor = 70);

create table page_users (
    site_id text,
    day date,
    user_id text,
    primary key (site_id, day, user_id)
);

-- Days of which raw rows were pruned: their totals can't be made anew.
create table page_pruned_days (
    site_id text,
    day date,
    primary key (site_id, day)
);
