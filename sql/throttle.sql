-- How often logins may be tried. The state is here, so that all servers agree.

-- Counts an attempt of each subject and returns which are refused, and until when. A subject has `free` attempts; then
-- each must wait twice as long as the one before, up to `longest` seconds. Refused attempts are not counted, and 15
-- minutes without an attempt reset the count. The row is locked meanwhile, so a hundred attempts at once count as a
-- hundred. A statement that waited for the lock has an older now(); that is why an open subject is blocked until a
-- minute ago, not until now.
-- name: attempt
with old as (
    select subject
    from login_throttles
    where last_attempt < now() - interval '15 minutes' and subject <> all($1::bytea[])
    order by last_attempt
    limit 100
    for update skip locked
),
pruned as (
    delete from login_throttles
    using old
    where login_throttles.subject = old.subject
)
insert into login_throttles as total (subject, attempts, free, longest, last_attempt, blocked_until, refused)
select subject, 1, free, longest, now(), now() - interval '1 minute', false
from unnest($1::bytea[], $2::integer[], $3::integer[]) as given (subject, free, longest)
order by subject
on conflict (subject) do update
set refused = total.blocked_until > excluded.last_attempt,
    attempts = case
        when total.blocked_until > excluded.last_attempt then total.attempts
        when total.last_attempt < excluded.last_attempt - interval '15 minutes' then 1
        else total.attempts + 1
    end,
    blocked_until = case
        when total.blocked_until > excluded.last_attempt then total.blocked_until
        when total.last_attempt < excluded.last_attempt - interval '15 minutes' then excluded.blocked_until
        when total.attempts + 1 < excluded.free then excluded.blocked_until
        else excluded.last_attempt
            + interval '1 second' * least(excluded.longest, 2 ^ least(total.attempts + 1 - excluded.free, 20))
    end,
    last_attempt = case
        when total.blocked_until > excluded.last_attempt then total.last_attempt
        else excluded.last_attempt
    end
returning subject, refused, ceil(extract(epoch from blocked_until - now()))::integer as seconds

-- Takes back attempts that do not count: the password was right, or another subject refused the attempt.
-- name: release
with mine as (
    select subject
    from login_throttles
    where subject = any($1::bytea[])
    order by subject
    for update
),
lone as (
    delete from login_throttles as total
    using mine
    where total.subject = mine.subject and attempts <= 1
)
update login_throttles as total
set attempts = attempts - 1,
    blocked_until = last_attempt - interval '1 minute'
from mine
where total.subject = mine.subject and attempts > 1

-- Deletes some of what is too old to count. An attempt does the same; this is for servers that nobody logs in to.
-- name: expire
with attempts as (
    delete from login_throttles
    where subject in (
        select subject
        from login_throttles
        where last_attempt < now() - interval '15 minutes'
        order by last_attempt
        limit 1000
    ) and last_attempt < now() - interval '15 minutes'
)
delete from login_addresses
where subject in (
    select subject
    from login_addresses
    where last_login < now() - interval '30 days'
    order by last_login
    limit 1000
) and last_login < now() - interval '30 days'

-- name: forget
delete from login_throttles
where subject = $1

-- name: is_known
select exists (
    select
    from login_addresses
    where subject = $1 and last_login > now() - interval '30 days'
)

-- name: remember
with old as (
    select subject
    from login_addresses
    where last_login < now() - interval '30 days' and subject <> $1
    limit 100
    for update skip locked
),
pruned as (
    delete from login_addresses
    using old
    where login_addresses.subject = old.subject
)
insert into login_addresses (subject, last_login)
values ($1, now())
on conflict (subject) do update
set last_login = excluded.last_login
