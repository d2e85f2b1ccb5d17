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

-- Deletes a small step of rows that are older than retention keeps them.
-- part: prune
, fresh as (
    delete from :table
    using aged
    where :table.id = aged.id
    returning :table.*
)

-- `reached` is where the next step begins; null: it finds its rows by itself.
-- part: pruned
select count(*) as deleted, null::timestamptz as reached
from fresh

-- Deletes the rows with the ids $1. Those that were never folded are in no total.
-- part: erase
with gone as (
    delete from :table
    where id = any($1::uuid[])
    returning *
),
fresh as (
    select *
    from gone
    where folded
)

-- `touched` is what the statement `settle` needs to know of the rows, if anything.
-- part: erased
select count(*) as deleted, null::json as touched
from gone

-- part: swept
select count(*)
from fresh

-- part: rebuilt
select count(*)
from fresh

-- name: lock
lock table :table in share row exclusive mode
