-- Webhook events: windows and their bins go by the time an event was received, so a late one never changes the past.

create table webhook_events (
    id uuid primary key default gen_random_uuid(),
    event_type text not null,
    user_id text not null,
    "timestamp" timestamptz not null default now(),
    metadata jsonb,
    received_at timestamptz not null default now(),
    folded boolean not null default false,
    constraint timestamp_between_1970_and_2100
        check ("timestamp" >= '1970-01-01 00:00:00+00' and "timestamp" < '2100-01-01 00:00:00+00'),
    constraint received_at_between_1970_and_2100
        check (received_at >= '1970-01-01 00:00:00+00' and received_at < '2100-01-01 00:00:00+00'),
    constraint event_type_length check (char_length(event_type) between 1 and 50),
    constraint user_id_length check (char_length(user_id) between 1 and 100),
    constraint metadata_is_an_object check (jsonb_typeof(metadata) = 'object')
);

create index webhook_events_not_folded on webhook_events (id) where not folded;

create index webhook_events_newest on webhook_events (received_at desc, id desc);

create table webhook_minutes (
    minute timestamptz,
    event_type text,
    events bigint not null,
    primary key (minute, event_type)
) with (fillfactor = 50);

create table webhook_hours (
    hour timestamptz,
    event_type text,
    events bigint not null,
    primary key (hour, event_type)
) with (fillfactor = 50);

create table webhook_days (
    day date,
    event_type text,
    events bigint not null,
    primary key (day, event_type)
) with (fillfactor = 50);

-- Since the beginning. The five largest of any number of types are the first five of an index.
create table webhook_types (
    event_type text primary key,
    events bigint not null
) with (fillfactor = 50);

create index webhook_types_largest on webhook_types (events desc, event_type);

create table webhook_count (
    only_row boolean primary key default true check (only_row),
    events bigint not null
) with (fillfactor = 50);

-- What was refused as invalid, by the day of its coming. There are no raw rows behind it.
create table webhook_refusals (
    day date primary key,
    events bigint not null
) with (fillfactor = 50);

-- Days of which raw rows were pruned: their totals can't be made anew.
create table webhook_pruned_days (
    day date primary key
);
