-- How far the retention of each stream has gone.

-- name: mark
select kept_from, finished
from retention_marks
where stream = $1

-- Every stream's first day of which raw rows are kept.
-- name: kept_from
select stream, kept_from::timestamp at time zone 'UTC' as kept_from
from retention_marks

-- Notes that rows of stream $1 from before the day $2 go, or are gone ($3). A day that is gone does not come back.
-- name: set_mark
insert into retention_marks as mark (stream, kept_from, finished)
values ($1, $2::date, $3)
on conflict (stream) do update
set kept_from = greatest(mark.kept_from, excluded.kept_from),
    finished = excluded.finished
