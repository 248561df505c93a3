-- What the sharing of partitions and the retry stage need to know. Older servers may run beside it: their members
-- count for no group until they are replaced, and what they retry or drop is noticed within a minute instead of a second.

-- The groups that the member knows. A group is shared out only among those that do.
alter table eventlog_member add column groups text[] not null default '{}';

-- Grows when a person retries or drops dead letters of the partition: tells the owner to read them anew.
alter table eventlog_group add column parked_changes bigint not null default 0;

-- Loading what waits, and finding the next of a topic, must not pass over piles of old dead letters.
create index eventlog_parked_waiting on eventlog_parked (group_name, part, topic, entry_offset) where state = 'parked';
