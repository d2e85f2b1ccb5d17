-- Claims the round of this tick, where no server did one within nine tenths of an interval of $1 seconds. The lock of
-- the row makes it one, with whatever pooler in between.
-- name: claim
insert into aggregation_rounds as latest (began)
values (now())
on conflict (only_row) do update
set began = excluded.began
where latest.began < excluded.began - $1::double precision * interval '0.9 seconds'
returning began
