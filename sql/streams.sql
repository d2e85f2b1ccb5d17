-- What the streams have in common. `:table` is a stream's raw table, named in its store.sql at a line `-- table: <name>`.
-- A part or statement of that name in the stream's own files goes first.

-- part: waiting
with waiting as (
    select id
    from :table
    where not folded
    order by id
    limit 10000
    for no key update skip locked
)

-- part: sweep
, fresh as (
    update :table
    set folded = true
    from waiting
    where :table.id = waiting.id
    returning :table.*
)

-- part: rebuild
with fresh as (
    select *
    from :table
)

-- part: swept
select count(*)
from fresh

-- part: rebuilt
select count(*)
from fresh

-- name: lock
lock table :table in share row exclusive mode
