-- Rows that were accepted into the spool, and that PostgreSQL refused when they were replayed.

-- name: keep_dead
insert into dead_letters as letter (id, stream, payload, sqlstate, reason)
values ($1, $2, $3, $4, $5)
on conflict (id) do update
set attempts = letter.attempts + 1,
    sqlstate = excluded.sqlstate,
    reason = excluded.reason

-- name: number
select count(*)
from dead_letters

-- name: list
select id, stream, convert_from(payload, 'UTF8') as payload, sqlstate, reason, first_seen, attempts
from dead_letters
order by first_seen, id

-- name: attempts
select id, attempts
from dead_letters
where id = any($1::uuid[])

-- Letters that refer to a missing row (foreign_key_violation), those with the fewest attempts first.
-- name: orphans
select id, stream, convert_from(payload, 'UTF8') as payload, attempts
from dead_letters
where sqlstate = '23503'
order by attempts, first_seen, id
limit 1000

-- name: drop
delete from dead_letters
where id = any($1::uuid[])
