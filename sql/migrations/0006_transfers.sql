-- Items, who owns them, and the transfers that moved them. Other programs insert into these tables, too.

create table owners (
    id uuid primary key default gen_random_uuid(),
    name text,
    created_at timestamptz not null default now(),
    constraint owner_name_length check (char_length(name) between 1 and 200)
);

create index owners_newest on owners (created_at desc, id desc);

create table base_items (
    id uuid primary key default gen_random_uuid(),
    description text not null,
    created_at timestamptz not null default now(),
    constraint description_length check (char_length(description) between 1 and 500)
);

create index base_items_newest on base_items (created_at desc, id desc);

-- The last three columns are a total: the latest transfer of the item. They stand in this row because every transfer
-- locks it, and so reads the present owner and nothing older.
create table items (
    id uuid primary key default gen_random_uuid(),
    base_item_id uuid not null,
    created_at timestamptz not null default now(),
    folded boolean not null default false,
    owner_id uuid,
    owned_since timestamptz,
    transfer_id uuid,
    constraint item_of_known_base_item foreign key (base_item_id) references base_items (id),
    constraint created_between_1970_and_2100
        check (created_at >= '1970-01-01 00:00:00+00' and created_at < '2100-01-01 00:00:00+00')
) with (fillfactor = 80);

create index items_not_folded on items (id) where not folded;

create index items_newest on items (created_at desc, id desc);

create table transfers (
    id uuid primary key default gen_random_uuid(),
    "timestamp" timestamptz not null default now(),
    owner_id uuid not null,
    item_id uuid not null,
    folded boolean not null default false,
    constraint transfer_of_known_item foreign key (item_id) references items (id),
    constraint transfer_to_known_owner foreign key (owner_id) references owners (id),
    constraint transferred_between_1970_and_2100
        check ("timestamp" >= '1970-01-01 00:00:00+00' and "timestamp" < '2100-01-01 00:00:00+00')
);

create index transfers_not_folded on transfers (id) where not folded;

create index transfers_of_item on transfers (item_id, "timestamp" desc, id desc);

create index transfers_newest on transfers ("timestamp" desc, id desc);

-- How many in each millisecond (of the last hour), second (of the last day), minute, hour, day, week, month, quarter
-- and year, in UTC: whatever unit is asked for, the newest are read off the key.
create table item_bins (
    unit text,
    bin timestamptz,
    count bigint not null,
    primary key (unit, bin)
) with (fillfactor = 50);

create table transfer_bins (
    unit text,
    bin timestamptz,
    count bigint not null,
    primary key (unit, bin)
) with (fillfactor = 50);
