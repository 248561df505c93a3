-- What people wish of their notifications, and what is held for them until it may be told. Older servers may run beside it:
-- they tell everything at once, and leave alone what is held.

alter table notification_person
  add column preferences jsonb,              -- null: as for everybody
  add column held int not null default 0 check (held >= 0), -- rows of notification_held
  -- None of their rows of notification ends before: until then nobody looks for what has ended. In the past: look.
  add column ends_at timestamptz not null default '-infinity',
  -- The version for which that was found out: older servers count versions, and know nothing of it.
  add column ends_version bigint not null default -1;

-- Digests that still gather: of one person and category there is one at most.
create table notification_digest (
  id          uuid primary key, -- of the notification that it becomes
  user_id     bigint not null references notification_person,
  category    text not null,
  gathered    int not null check (gathered > 0), -- rows of notification_held
  opened_at   timestamptz not null,
  closes_at   timestamptz not null,
  constraint notification_digest_open unique (user_id, category)
);
create index notification_digest_due on notification_digest (closes_at);

-- Accepted, and not told yet: in quiet hours, or gathered for a digest.
create table notification_held (
  id          uuid primary key, -- of the notification that it becomes, unless it goes into a digest
  place       bigint generated always as identity, -- in the order in which they were accepted
  user_id     bigint not null references notification_person,
  digest_id   uuid references notification_digest,
  release_at  timestamptz, -- null in a digest
  actor       text not null,
  message     text not null constraint notification_held_message_length check (char_length(message) between 1 and 4096),
  source      text not null check (char_length(source) between 1 and 64),
  category    text not null,
  link        text,
  created_at  timestamptz not null, -- as the sender says
  ttl_s       int not null check (ttl_s > 0), -- counted from when it is told
  constraint notification_held_waits_for_one check ((digest_id is null) <> (release_at is null))
);
create index notification_held_due on notification_held (release_at, place) where digest_id is null;
create index notification_held_digest on notification_held (digest_id, place) where digest_id is not null;
create index notification_held_person on notification_held (user_id);

alter table notification
  add column gathered int not null default 1 check (gathered > 0); -- how many it stands for
