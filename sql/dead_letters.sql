-- Rows that were accepted into the spool and that PostgreSQL refused at their replay.

-- name: bury
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

-- name: drop
delete from dead_letters
where id = any($1::uuid[])
