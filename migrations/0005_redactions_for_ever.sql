-- Redacted ids are remembered. Older servers may run beside it: what they append does not look here, so until they are
-- replaced a repetition of a redacted entry may bring its data back.

-- Ids whose data must not come back, whatever the log itself still knows of them.
create table eventlog_redacted (
  id          uuid primary key,
  redaction   bigint not null check (redaction >= 1), -- the count of redactions with this one
  redacted_at timestamptz not null default now()
);
create index eventlog_redacted_redaction on eventlog_redacted (redaction);

-- Grows with each redaction, in all partitions alike: an append that knows of fewer looks again. 0: nothing ever was.
alter table eventlog_partition add column redactions bigint not null default 0;

-- Those of which the log still holds the notice. Its ids come first, and not by way of json: the reason behind them may
-- hold what PostgreSQL's json refuses to look into.
insert into eventlog_redacted (id, redaction)
select distinct (regexp_matches(split_part(data::text, ']', 1), '[0-9a-f-]{36}', 'g'))[1]::uuid, 1
  from eventlog_entry where type = 'eventlog.redacted';
update eventlog_partition set redactions = 1 where exists (select from eventlog_redacted);
