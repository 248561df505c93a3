-- What people are told until they have read it or it ends. Older servers may run beside it: it only adds tables.

-- What is counted for a person. Whoever changes their notifications locks this row first: so the counts are exact, and
-- stream ids and versions grow in the order in which entries tell of them.
create table notification_person (
  user_id   bigint primary key references account_user,
  version   bigint not null default 0 check (version >= 0), -- of the count, one more with each entry
  unread    int not null default 0 check (unread >= 0),     -- rows of notification in state unread or seen, ended or not
  stored    int not null default 0,                         -- all rows of notification
  stream_ms bigint not null default 0,                      -- the last stream id that was given out
  stream_n  int not null default 0,
  constraint notification_person_stored check (stored >= unread)
) with (fillfactor = 50); -- every notification updates the row in place

create table notification (
  id          uuid primary key,
  user_id     bigint not null references notification_person,
  stream_ms   bigint not null,
  stream_n    int not null,
  state       text not null default 'unread' check (state in ('unread', 'seen', 'read', 'archived')),
  message     text not null constraint notification_message_length check (char_length(message) between 1 and 4096),
  source      text not null check (char_length(source) between 1 and 64),
  category    text not null,
  critical    boolean not null,
  link        text,
  created_at  timestamptz not null, -- as the sender says
  expires_at  timestamptz not null,
  constraint notification_place unique (user_id, stream_ms, stream_n)
) with (fillfactor = 85);
create index notification_expiry on notification (expires_at);
create index notification_unread on notification (user_id, stream_ms, stream_n) where state in ('unread', 'seen');

-- Requests with an Idempotency-Key, and what they were answered: written in the transaction of their effect.
create table notification_request (
  actor       text not null,
  key         text not null check (char_length(key) between 1 and 255),
  fingerprint bytea not null check (octet_length(fingerprint) = 32),
  answer      text not null,
  created_at  timestamptz not null,
  primary key (actor, key)
);
create index notification_request_age on notification_request (created_at);
