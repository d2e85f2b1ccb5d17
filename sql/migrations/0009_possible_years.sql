-- Owners and base items of other programs with a date that no client can read (before Christ, after 9999, infinity) broke
-- every list they were in. Rows that are there already get the nearest date that can be read: each constraint holds for
-- new rows first, so that none comes in between.
alter table owners add constraint created_between_1970_and_2100
    check (created_at >= '1970-01-01 00:00:00+00' and created_at < '2100-01-01 00:00:00+00') not valid;

update owners
set created_at = least(greatest(created_at, '1970-01-01 00:00:00+00'), '2099-12-31 23:59:59.999999+00')
where created_at < '1970-01-01 00:00:00+00' or created_at >= '2100-01-01 00:00:00+00';

alter table owners validate constraint created_between_1970_and_2100;

alter table base_items add constraint created_between_1970_and_2100
    check (created_at >= '1970-01-01 00:00:00+00' and created_at < '2100-01-01 00:00:00+00') not valid;

update base_items
set created_at = least(greatest(created_at, '1970-01-01 00:00:00+00'), '2099-12-31 23:59:59.999999+00')
where created_at < '1970-01-01 00:00:00+00' or created_at >= '2100-01-01 00:00:00+00';

alter table base_items validate constraint created_between_1970_and_2100;
