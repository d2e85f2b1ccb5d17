-- How far the retention of each stream has gone.

-- name: mark
select kept_from, finished
from retention_marks
where stream = $1

-- Notes that rows of stream $1 from before the day $2 go, or are gone ($3). A day that is gone does not come back.
-- name: set_mark
insert into retention_marks as mark (stream, kept_from, finished)
values ($1, $2::date, $3)
on conflict (stream) do update
set kept_from = greatest(mark.kept_from, excluded.kept_from),
    finished = excluded.finished
