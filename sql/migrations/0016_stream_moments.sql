-- When each stream last stored an event, whichever server did: kept by every server every few seconds, because the raw
-- rows have no index that answers it. The row of the empty name is for probes, which write it.
create table stream_moments (
    stream text primary key,
    stored_at timestamptz not null
);
