-- What PostgreSQL refused though it had been accepted: bytes, because a text it refused once it would refuse again.
create table dead_letters (
    id uuid primary key,
    stream text not null,
    payload bytea not null,
    sqlstate text not null,
    reason text not null,
    first_seen timestamptz not null default now(),
    attempts integer not null default 1
);
