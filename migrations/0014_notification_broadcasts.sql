-- What everybody is told: one row, however many they are. Older servers may run beside it: they know nothing of it, and
-- leave it alone.

-- One row. Whoever tells or ends a broadcast locks it first: so versions and stream ids grow in the order in which entries
-- tell of them.
create table notification_broadcast_ledger (
  id        boolean primary key default true check (id),
  version   bigint not null default 0 check (version >= 0), -- one more with each entry
  stream_ms bigint not null default 0,                      -- the last stream id that was given out
  stream_n  int not null default 0
);
insert into notification_broadcast_ledger default values;

create table notification_broadcast (
  id         uuid primary key,
  version    bigint not null unique, -- with which it came; what people did with it goes by this
  stream_ms  bigint not null,
  stream_n   int not null,
  message    text not null constraint notification_broadcast_message_length check (char_length(message) between 1 and 4096),
  source     text not null check (char_length(source) between 1 and 64),
  category   text not null,
  critical   boolean not null,
  link       text,
  created_at timestamptz not null, -- as the sender says
  expires_at timestamptz not null,
  -- No notification of a person has such a count: the places of both are different ones.
  constraint notification_broadcast_place unique (stream_ms, stream_n),
  constraint notification_broadcast_count check (stream_n >= 500000000)
);
create index notification_broadcast_expiry on notification_broadcast (expires_at);

-- What this person did with broadcasts that live: seen, read or archived, by version. Written anew with each mark, without
-- those that have ended, so that it is never larger than what may live at a time.
alter table notification_person add column broadcast_marks jsonb not null default '{}';
