-- Accounts: who may log in, and which tokens still count.

-- name: add
insert into users (username, username_key, password, age, gender)
values ($1, $2, $3, $4, $5)
on conflict (username_key) do nothing
returning id, username, age, gender, token_version

-- name: find
select id, username, age, gender, token_version, password, sample
from users
where username_key = $1

-- The user of a token that is still valid: not logged out, and not older than the password.
-- name: of_token
select id, username, age, gender, token_version
from users
where id = $1
    and token_version = $2
    and not exists (select from revoked_tokens where jti = $3)

-- name: revoke
with expired as (
    delete from revoked_tokens
    where expires_at < now()
)
insert into revoked_tokens (jti, expires_at)
values ($1, $2)
on conflict do nothing

-- The same password hashed with other parameters: tokens stay valid.
-- name: rehash
update users
set password = $3
where id = $1 and password = $2

-- name: change_password
update users
set password = $2,
    token_version = token_version + 1,
    sample = false
where username_key = $1
returning id

-- name: remove
delete from users
where username_key = $1
returning id

-- name: samples
select count(*)
from users
where sample
