-- Rooms, who is in them, and what they write. Older servers may run beside it: it only adds tables.

create table chat_room (
  id         bigint generated always as identity primary key,
  kind       text not null check (kind in ('public', 'private', 'direct')),
  name       text constraint chat_room_name_length check (char_length(name) between 1 and 80),
  direct_key text constraint chat_room_direct_key unique, -- "low:high", the ids of the two: one room for each pair
  last_seq   bigint not null default 0 check (last_seq >= 0),
  members    int not null default 0 check (members >= 0), -- rows of room_member: every change of those locks this row
  created_by bigint references account_user, -- null: a program, or a migration
  created_at timestamptz not null default now(),
  check ((kind = 'direct') = (direct_key is not null)),
  check ((kind = 'direct') = (name is null))
) with (fillfactor = 50); -- every batch of messages updates the row in place
create index chat_room_public on chat_room (id) where kind = 'public';

-- The first room of all, so its id is 1, as protocol/chat.ts has it.
insert into chat_room (kind, name) values ('public', 'general');

-- Who may read and write where. Read marks change all the time, and stand in no index.
create table room_member (
  room_id       bigint not null references chat_room,
  user_id       bigint not null references account_user,
  role          text not null check (role in ('owner', 'moderator', 'member')),
  joined_at     timestamptz not null,
  last_read_seq bigint not null check (last_read_seq >= 0),
  primary key (room_id, user_id)
) with (fillfactor = 70);
create index room_member_user on room_member (user_id, room_id);

-- What was deleted keeps its place and its fingerprint: a late repetition must be known for what it is, for ever.
create table chat_message (
  room_id       bigint not null references chat_room,
  seq           bigint not null check (seq >= 1), -- 1, 2, 3 without a gap: given out under the lock of the room's row
  id            uuid not null constraint chat_message_id unique,
  sender_id     bigint not null references account_user,
  client_msg_id uuid not null,
  reply_to      uuid references chat_message (id), -- of the same room
  content       text not null constraint chat_message_content_length check (char_length(content) <= 4096),
  fingerprint   bytea not null check (octet_length(fingerprint) = 32), -- of what was sent first
  created_at    timestamptz not null,
  version       int not null default 1 check (version >= 1),
  edited_at     timestamptz,
  deleted_at    timestamptz,
  primary key (room_id, seq),
  constraint chat_message_client_id unique (sender_id, client_msg_id),
  check ((deleted_at is null) = (content <> ''))
);

-- What a message said before it was edited.
create table chat_message_revision (
  message_id uuid not null references chat_message (id),
  version    int not null check (version >= 1),
  content    text not null check (content <> ''),
  written_at timestamptz not null,
  primary key (message_id, version)
);

-- Deleted messages whose words are not yet gone from the log.
create table chat_erasure (
  message_id uuid primary key references chat_message (id),
  versions   int not null check (versions >= 1) -- how many versions it had words in
);
