-- Rows of every stream, $rows each, as other programs insert them; `aggregate` makes the totals afterwards.
-- Both sizes have the same users, sites, pages, types and days, and fill the same bins: only the number of rows differs.

insert into page_events (site_id, id, event_type, path, user_id, "timestamp", folded)
select 'shop', uuidv7(), 'page_view', '/page/' || n % 20, 'user-' || n % 2740,
    now() - interval '365 days' + n * interval '365 days' / $rows, $folded
from generate_series(1, $rows) as n;

insert into user_logins (
    id, user_id, login_time, logout_time, session_duration_seconds, ip_address, region, device_type, browser, folded
)
select uuidv7(), n % 5000, at, at + length * interval '1 second', length, '203.0.113.7', 'region-' || n % 50,
    'device-' || n % 4, 'browser-' || n % 8, $folded
from generate_series(1, $rows) as n
cross join lateral (
    select now() - interval '60 days' + n * interval '59 days' / $rows as at, (n * 7919 % 7200)::integer as length
) as login;

insert into webhook_events (id, event_type, user_id, metadata, received_at, folded)
select uuidv7(), 'type-' || n % 12, (n % 5000)::text, '{"page": "home", "browser": "chrome"}',
    now() - interval '6 days' + n * interval '6 days' / $rows, $folded
from generate_series(1, $rows) as n;

insert into feature_clicks (id, feature_name, "timestamp", age, gender, folded)
select uuidv7(), 'feature-' || n % 5, now() - interval '10 days' + n * interval '10 days' / $rows, (n % 60 + 10)::smallint,
    (array['Male', 'Female', 'Other'])[1 + n % 3], $folded
from generate_series(1, $rows) as n;

insert into items (id, base_item_id, created_at, folded)
select uuidv7(), (select id from base_items order by id limit 1),
    now() - interval '60 days' + n * interval '600 days' / $rows, $folded
from generate_series(1, $rows / 10) as n;

insert into transfers (id, "timestamp", owner_id, item_id, folded)
select uuidv7(), now() - interval '50 days' + n * interval '50 days' / $rows, owners[1 + n % cardinality(owners)],
    things[1 + n % cardinality(things)], $folded
from generate_series(1, $rows) as n
cross join (select array_agg(id order by id) from owners) as people (owners)
cross join (select array_agg(id order by id) from items) as items (things);
