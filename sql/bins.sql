-- Counts of a stream's events per unit of time. The parts `fold` of items, transfers and webhooks add to them.

-- One small step: deletes bins of stream $1 that are older than their unit is kept. The lateral subquery finds the oldest
-- of each unit by the key; a plain join would read all bins whenever there is nothing to delete.
-- name: expire
with old as (
    select oldest.*
    from bin_units
    cross join lateral (
        select stream, unit, bin
        from bins
        where bins.stream = bin_units.stream and bins.unit = bin_units.unit and bin < kept_since
        order by bin
        limit 5000
        for update skip locked
    ) as oldest
    where bin_units.stream = $1
    limit 5000
),
expired as (
    delete from bins
    using old
    where bins.stream = old.stream and bins.unit = old.unit and bins.bin = old.bin
    returning 1
)
select count(*)
from expired

-- The newest 1,000 bins of stream $1 in unit $2. Bins that begin over a minute from now are left out: clocks differ by
-- less, and a thousand bins dated in the future would hide all that happens.
-- name: series
select coalesce(json_agg(json_build_object('time', iso(bin), 'count', count) order by bin desc), '[]')
from (
    select bin, count
    from bins
    where stream = $1 and unit = $2 and bin <= now() + interval '1 minute'
    order by bin desc
    limit 1000
) as newest
