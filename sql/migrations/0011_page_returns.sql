-- The unique users of a span were counted user by user and day by day. Now they are the users of its days, less the
-- returns from one of its days to another, which are counted here. So no report grows with the number of users.

-- A server of the version before, if one still runs, keeps its events in its spool from here on.
alter table page_users rename to page_user_days;

alter index page_users_pkey rename to page_user_days_pkey;

-- All days of a user. Writers that add days of the same user at the same time wait for each other at this row.
create table page_visitors (
    site_id text,
    user_id text,
    days datemultirange not null,
    primary key (site_id, user_id)
) with (fillfactor = 80);

-- How many users of a site came on `day`, and before that last on `previous_day`. Where the unit is a month, it is the
-- month that begins on that day: any span consists of a few months and the days at its edges.
create table page_returns (
    site_id text,
    unit text,
    previous_unit text,
    day date,
    previous_day date,
    users bigint not null,
    primary key (site_id, unit, previous_unit, day, previous_day)
) with (fillfactor = 70);

create view page_return_units (unit, previous_unit) as
values
    ('day', 'day'),
    ('day', 'month'),
    ('month', 'day'),
    ('month', 'month');

insert into page_visitors (site_id, user_id, days)
select site_id, user_id, range_agg(daterange(day, day + 1))
from page_user_days
group by site_id, user_id;

insert into page_returns (site_id, unit, previous_unit, day, previous_day, users)
select
    site_id, unit, previous_unit,
    date_trunc(unit, day::timestamp)::date as first_day,
    date_trunc(previous_unit, previous_day::timestamp)::date as previous_first_day,
    count(*)
from (
    select site_id, day, lag(day) over (partition by site_id, user_id order by day) as previous_day
    from page_user_days
) as visits
cross join page_return_units
where previous_day is not null
group by site_id, unit, previous_unit, first_day, previous_first_day;
