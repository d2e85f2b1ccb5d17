-- Counts of a stream's events per unit of time. The parts `fold` of items, transfers and webhooks add to them.

-- One small step: deletes bins of stream $1 that are older than their unit is kept.
-- name: expire
with old as (
    select stream, unit, bin
    from bin_units
    join bins using (stream, unit)
    where stream = $1 and bin < kept_since
    limit 5000
    for update of bins skip locked
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
select coalesce(
    json_agg(
        json_build_object(
            'time', iso(bin),
            'count', count
        )
        order by bin desc
    ),
    '[]'
)
from (
    select bin, count
    from bins
    where stream = $1
        and unit = $2
        and bin <= now() + interval '1 minute'
    order by bin desc
    limit 1000
) as newest
