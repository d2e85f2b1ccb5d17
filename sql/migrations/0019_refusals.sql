-- The latest deliveries of webhooks that were refused, 100 of them: when, from where and why, never what was sent.
create table refused_deliveries (
    id uuid primary key,
    refused_at timestamptz not null,
    address text not null,
    path text not null,
    status smallint not null,
    reasons text[] not null
);

-- Types of events are as long as those of cloud services, and a browser may be named by its user agent. Rows that are
-- stored already keep the shorter limits, so they need not be read.
alter table webhook_events drop constraint event_type_length;

alter table webhook_events add constraint event_type_length check (char_length(event_type) between 1 and 128) not valid;

alter table user_logins drop constraint browser_length;

alter table user_logins add constraint browser_length check (char_length(browser) between 1 and 512) not valid;
