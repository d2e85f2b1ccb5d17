-- Totals of webhook events with and without their types: what is asked of a window must not cost more with more types.

-- All events of a minute, hour or day, and those of its named types.
create table webhook_bins (
    unit text,
    bin timestamptz,
    events bigint not null,
    primary key (unit, bin)
) with (fillfactor = 50);

create table webhook_type_bins (
    unit text,
    bin timestamptz,
    event_type text,
    events bigint not null,
    primary key (unit, bin, event_type)
) with (fillfactor = 50);

-- The types that have a name in the totals of a UTC day, 1,000 at most. A type is let in by its first event of the day or
-- not on that day: so totals never depend on the order that rows are counted in, and a rebuild makes the same ones.
create table webhook_names (
    day date,
    event_type text,
    primary key (day, event_type)
);

create table webhook_rooms (
    day date primary key,
    names integer not null default 0
);

-- Lets in as many of the candidates as there is room for on the day `at`, first come, and tells which have a name now. The
-- day begins with the 500 largest types of the one before, so that a flood of others does not take their place.
create function webhook_admit(at date, candidates text[]) returns setof text language sql rows 1 cost 1 as $$
    insert into webhook_rooms as room (day)
    values (at)
    on conflict (day) do update
    set names = room.names; -- who held the room has committed by now: the next statement sees whom it let in

    with room as (
        select names
        from webhook_rooms
        where day = at
    ),
    yesterday as (
        select event_type, row_number() over (order by events desc, event_type) as place
        from webhook_type_bins
        where unit = 'day'
            and (select names from room) = 0
            and bin = (
                select max(bin)
                from webhook_type_bins
                where unit = 'day' and bin < at::timestamp at time zone 'UTC'
            )
        order by place
        limit 500
    ),
    waiting as (
        select event_type, min(place) as place
        from (
            select event_type, place - 500 as place
            from yesterday
            union all
            select event_type, place
            from unnest(candidates) with ordinality as given (event_type, place)
        ) as all_of_them
        where not exists (
            select
            from webhook_names as named
            where named.day = at and named.event_type = all_of_them.event_type
        )
        group by event_type
        order by place, event_type
        limit (select 1000 - names from room)
    ),
    admitted as (
        insert into webhook_names (day, event_type)
        select at, event_type
        from waiting
        order by event_type
        returning event_type
    ),
    counted as (
        update webhook_rooms
        set names = names + (select count(*) from admitted)
        where day = at
    )
    select event_type
    from admitted
    where event_type = any (candidates)
    union all
    select event_type
    from webhook_names
    where day = at and event_type = any (candidates)
$$;

insert into webhook_bins (unit, bin, events)
select 'minute', minute, sum(events)
from webhook_minutes
group by minute;

insert into webhook_bins (unit, bin, events)
select 'hour', hour, sum(events)
from webhook_hours
group by hour;

insert into webhook_bins (unit, bin, events)
select 'day', day::timestamp at time zone 'UTC', sum(events)
from webhook_days
group by day;

insert into webhook_names (day, event_type)
select day, event_type
from (
    select day, event_type, row_number() over (partition by day order by events desc, event_type) as place
    from webhook_days
) as ranked
where place <= 1000;

insert into webhook_rooms (day, names)
select day, count(*)
from webhook_names
group by day;

insert into webhook_type_bins (unit, bin, event_type, events)
select 'minute', minute, event_type, events
from webhook_minutes
join webhook_names using (event_type)
where day = (minute at time zone 'UTC')::date;

insert into webhook_type_bins (unit, bin, event_type, events)
select 'hour', hour, event_type, events
from webhook_hours
join webhook_names using (event_type)
where day = (hour at time zone 'UTC')::date;

insert into webhook_type_bins (unit, bin, event_type, events)
select 'day', day::timestamp at time zone 'UTC', event_type, events
from webhook_days
join webhook_names using (day, event_type);

truncate webhook_types;

insert into webhook_types (event_type, events)
select event_type, sum(events)
from webhook_type_bins
where unit = 'day'
group by event_type;

-- A server of the version before, if one still runs, keeps its events in its spool from here on.
drop table webhook_minutes, webhook_hours, webhook_days;
