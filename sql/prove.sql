-- The id and the mark of each stored event, as `statsd/prove` sent them, by stream.

-- name: logins
select id, ip_address as mark
from user_logins

-- name: webhooks
select id, metadata ->> 'mark' as mark
from webhook_events

-- name: usage
select feature_clicks.id, username as mark
from feature_clicks
join users on users.id = user_id

-- name: items
select id, base_item_id::text as mark
from items

-- name: transfers
select id, item_id::text as mark
from transfers

-- name: pageviews
select id, (extract(epoch from "timestamp") * 1000000)::bigint::text as mark
from page_events

-- The statements of the program that run.
-- name: busy
select count(*)
from pg_stat_activity
where application_name = 'statsd-live' and state <> 'idle'

-- name: cut_connections
select pg_terminate_backend(pid)
from pg_stat_activity
where application_name like 'statsd-live%'

-- name: cut_listen
select pg_terminate_backend(pid)
from pg_stat_activity
where application_name = 'statsd-live listen'

-- name: tables
select quote_ident(relname) as "table"
from pg_class
where relkind = 'r' and relnamespace = quote_ident(current_schema())::regnamespace
order by relname
