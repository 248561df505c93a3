-- Notifications that quote what was said elsewhere. Older servers may run beside it: they tell nobody of that.

-- Who was told of what, for ever: nobody is told of it again when it changes, and what is erased is erased from what was
-- told, too. A row for each person.
create table notification_origin (
  origin          uuid not null, -- the entry that is quoted, or the first one of what it is a version of
  user_id         bigint not null references notification_person,
  notification_id uuid, -- under which they were told, or that of the digest; null: they wish not to be told, or had no room
  -- SHA-256 of the line by which a digest shows it: so it is found there when it is erased. Null outside of digests.
  line            bytea check (octet_length(line) = 32),
  primary key (origin, user_id)
);
create index notification_origin_digest on notification_origin (notification_id) where line is not null;
