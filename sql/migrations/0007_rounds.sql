-- When the latest round of the aggregation began, whichever server did it.
create table aggregation_rounds (
    only_row boolean primary key default true check (only_row),
    began timestamptz not null
);
