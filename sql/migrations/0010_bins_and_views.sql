-- Counts of events per unit of time stood in three tables, and how long each unit is kept in six queries. Both are here
-- once, for items, transfers, and webhook events of whatever type.

-- How many events of a stream there were in each unit of time, in UTC. The newest of any unit are read off the key.
create table bins (
    stream text,
    unit text,
    bin timestamptz,
    count bigint not null,
    primary key (stream, unit, bin)
) with (fillfactor = 50);

-- The units of time each stream is counted in, and when its oldest bins of that unit begin: older ones are deleted.
create view bin_units (stream, unit, kept_since) as
select stream, unit, kept_since
from (
    values
        ('items'),
        ('transfers')
) as streams (stream)
cross join (
    values
        ('millisecond', date_trunc('hour', now(), 'UTC') - interval '1 hour'),
        ('second', date_trunc('hour', now(), 'UTC') - interval '1 day'),
        ('minute', '-infinity'),
        ('hour', '-infinity'),
        ('day', '-infinity'),
        ('week', '-infinity'),
        ('month', '-infinity'),
        ('quarter', '-infinity'),
        ('year', '-infinity')
) as units (unit, kept_since)
union all
select 'webhooks', unit, kept_since
from (
    values
        ('minute', date_trunc('hour', now(), 'UTC') - interval '2 hours'),
        ('hour', date_trunc('day', now(), 'UTC') - interval '48 hours'),
        ('day', '-infinity')
) as units (unit, kept_since);

-- A server of the version before, if one still runs, waits here, and keeps its events in its spool afterwards.
lock table item_bins, transfer_bins, webhook_bins in access exclusive mode;

insert into bins (stream, unit, bin, count)
select 'items', unit, bin, count
from item_bins
union all
select 'transfers', unit, bin, count
from transfer_bins
union all
select 'webhooks', unit, bin, events
from webhook_bins;

drop table item_bins, transfer_bins, webhook_bins;

-- An instant as clients read it, such as 2026-11-21T10:30:00.125Z.
create function iso(timestamptz) returns text
language sql
stable
parallel safe
return to_char($1 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
