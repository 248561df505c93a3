-- How somebody came to be in a room, since what others do is bounded apart from what one does oneself. Older servers may
-- run beside it: they leave the column to its default.

alter table room_member add column joined_by text not null default 'self'
  constraint room_member_joined_by check (joined_by in ('self', 'others', 'peer')); -- peer: somebody else opened the direct room
