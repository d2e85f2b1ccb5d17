-- Accounts: who may log in, and which tokens still count.

-- name: add
insert into users (username, username_key, password, age, gender, role)
values ($1, $2, $3, $4, $5, $6)
on conflict (username_key) do nothing
returning id, username, age, gender, token_version, role

-- Makes an account by the invitation $6 and uses it up: both or neither. Of two that use it at once, the second waits for
-- the first, and then finds no invitation.
-- name: add_invited
with invitation as materialized (
    select digest, role
    from invitations
    where digest = $6 and expires_at > now()
    for update
),
added as (
    insert into users (username, username_key, password, age, gender, role)
    select $1, $2, $3, $4, $5, role
    from invitation
    on conflict (username_key) do nothing
    returning id, username, age, gender, token_version, role
),
used as (
    delete from invitations
    using added
    where digest = $6
)
select id, username, age, gender, token_version, role
from added

-- Keeps the invitation $1 for $3 days, and forgets those that have ended. Returns its end.
-- name: invite
with ended as (
    delete from invitations
    where expires_at < now()
)
insert into invitations (digest, role, expires_at)
values ($1, $2, now() + interval '1 day' * $3::integer)
returning expires_at

-- name: is_invited
select exists (
    select
    from invitations
    where digest = $1 and expires_at > now()
)

-- name: find
select id, username, age, gender, token_version, role, password, sample
from users
where username_key = $1

-- The users of those tokens that are still valid: not logged out, and not older than the password.
-- name: of_tokens
select number, id, username, age, gender, token_version, role
from unnest($1::integer[], $2::integer[], $3::uuid[]) with ordinality as token (user_id, version, jti, number)
join users on id = user_id and token_version = version
where not exists (select from revoked_tokens where revoked_tokens.jti = token.jti)

-- A server whose clock is behind accepts a token after its end by the clock of PostgreSQL.
-- name: revoke
with expired as (
    delete from revoked_tokens
    where expires_at < now() - interval '1 hour'
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

-- name: change_role
update users
set role = $2
where username_key = $1
returning id

-- name: logged_in
update users
set last_login = now()
where id = $1

-- name: list
select id, username, role, created_at, last_login, sample
from users
order by username_key

-- name: remove
delete from users
where username_key = $1
returning id

-- The account with the id $1, or else with the name $2.
-- name: id_of
select id
from users
where id::text = $1 or username_key = $2
order by id::text = $1 desc
limit 1

-- name: remove_by_id
delete from users
where id = $1

-- name: samples
select count(*)
from users
where sample
