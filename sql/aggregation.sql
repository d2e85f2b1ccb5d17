-- Claims this round of the aggregation. Returns a row unless a server has begun one within nine tenths of $1 seconds.
-- The row's lock lets one server claim it, also through a pooler.
-- name: claim
insert into aggregation_rounds as latest (began)
values (now())
on conflict (only_row) do update
set began = excluded.began
where latest.began < excluded.began - $1::double precision * interval '0.9 seconds'
returning began
