-- Direct rooms count for neither of their two any more: nobody leaves one, so they would be in the way for ever. Older
-- servers may run beside it: what they open meanwhile counts for who opened it, as before.

-- Those who mark as read wait that long, and nobody waits in a circle.
lock table room_member in share row exclusive mode;
update room_member m set joined_by = 'peer'
  from chat_room r
 where r.id = m.room_id and r.kind = 'direct' and m.joined_by <> 'peer';
