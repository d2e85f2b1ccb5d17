-- Keys: the API tokens of programs, and share links.

-- name: add
insert into access_keys (name, digest, scopes, expires_at)
values ($1, $2, $3, $4)
on conflict (name) do nothing
returning id, name, scopes, created_at, expires_at, last_used

-- The keys with those digests that have not ended.
-- name: of_digests
select number, id, name, scopes, expires_at
from unnest($1::bytea[]) with ordinality as secret (digest, number)
join access_keys using (digest)
where expires_at is null or expires_at > now()

-- At most once a minute for each key.
-- name: used
update access_keys
set last_used = now()
where id = $1 and (last_used is null or last_used < now() - interval '55 seconds')

-- name: list
select id, name, scopes, created_at, expires_at, last_used
from access_keys
where (scopes[1] like 'view:%') = $1
order by name

-- name: revoke
delete from access_keys
where name = $1 and (scopes[1] like 'view:%') = $2
returning id
