-- What one person may take of what all share, and invitations to a server that is closed to others.

-- How many new features a user has named on a UTC day; `granted`: of those asked for last.
create table feature_shares (
    user_id integer,
    day date,
    names integer not null,
    granted integer not null,
    primary key (user_id, day)
) with (fillfactor = 50);

-- Invitations that were not used yet. `digest` is the SHA-256 of the secret in the link.
create table invitations (
    digest bytea primary key,
    role text not null,
    made_at timestamptz not null default now(),
    expires_at timestamptz not null
);
