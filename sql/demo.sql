-- The demo: whether a database may be one, and how far it is. Its marks stand beside the moments of the streams.

-- Marks a database that no stream has stored an event in. Returns a row if it is a demo, now or already.
-- name: claim
with claimed as (
    insert into stream_moments (stream, stored_at)
    select 'demo', now()
    where not exists (select from stream_moments where stream <> '')
        and not exists (select from user_logins)
        and not exists (select from webhook_events)
        and not exists (select from feature_clicks)
        and not exists (select from items)
        and not exists (select from page_events)
    on conflict do nothing
    returning stream
)
select stream
from claimed
union
select stream
from stream_moments
where stream = 'demo'

-- name: finish
insert into stream_moments (stream, stored_at)
values ('demo history', now())
on conflict do nothing

-- name: is_finished
select exists (select from stream_moments where stream = 'demo history')
