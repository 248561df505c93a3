-- The event log, its consumer groups and its parked entries. Nothing older exists beside it.

create table eventlog_meta (
  only_row   boolean primary key default true check (only_row),
  generation int not null default 1 check (generation >= 1), -- changes after a restore: old positions become invalid
  partitions smallint not null check (partitions between 1 and 256)
);

-- One row per partition. An append locks the row, advances it and inserts in one statement, so the order of offsets
-- is the order in which entries become visible. Kept sparse, so that every update stays on its page.
create table eventlog_partition (
  part        smallint primary key,
  segment     int not null default 1,
  next_offset bigint not null default 1 check (next_offset >= 1),
  rotated_at  timestamptz not null default '-infinity' -- when the segment was opened, if it is not the first
) with (fillfactor = 10);

-- Where each segment begins in each partition; a segment is dropped as a whole.
create table eventlog_segment (
  segment      int not null,
  part         smallint not null,
  first_offset bigint not null,
  opened_at    timestamptz not null default now(),
  primary key (segment, part)
);

create table eventlog_entry (
  segment      int not null,
  part         smallint not null,
  entry_offset bigint not null,
  id           uuid not null,
  topic        text not null,
  type         text not null,
  time         timestamptz not null,
  actor        text not null,
  data         json not null, -- not jsonb: it is slower to append and refuses NUL and lone surrogates
  trace        text,
  -- The column that differs most comes first where the order of reading allows it: comparisons end there.
  primary key (part, entry_offset, segment),
  -- Equal ids are one entry. Unique per partition, where the counter row serialises appends: no append ever waits
  -- for another one's key, so none can deadlock on it.
  unique (id, part, segment)
) partition by list (segment);

create table eventlog_entry_1 partition of eventlog_entry for values in (1);

create table eventlog_member (
  node    text primary key,
  seen_at timestamptz not null default now()
);

create table eventlog_group (
  group_name  text not null,
  part        smallint not null,
  checkpoint  bigint not null check (checkpoint >= 0), -- the last offset whose effects are committed
  owner       text,
  epoch       bigint not null default 0,               -- grows with each change of owner: fences the former one
  leased_at   timestamptz not null default '-infinity',
  lease_until timestamptz not null default '-infinity',
  primary key (group_name, part)
) with (fillfactor = 50);

-- Entries that failed, and those of the same topic that wait behind them. A copy of the entry, since a dead letter
-- outlives the log's retention.
create table eventlog_parked (
  id           bigint generated always as identity primary key,
  group_name   text not null,
  part         smallint not null,
  entry_offset bigint not null,
  entry_id     uuid not null,
  topic        text not null,
  type         text not null,
  time         timestamptz not null,
  actor        text not null,
  data         json not null,
  trace        text,
  state        text not null check (state in ('parked', 'dead')),
  attempts     int not null default 0 check (attempts >= 0),
  error        text,
  next_at      timestamptz not null default now(), -- earliest next attempt; means nothing behind another entry
  parked_at    timestamptz not null default now(),
  unique (group_name, part, entry_offset)
);
create index eventlog_parked_topic on eventlog_parked (group_name, topic, entry_offset);
create index eventlog_parked_dead on eventlog_parked (id) where state = 'dead';
create index eventlog_parked_entry on eventlog_parked (entry_id);
