import { randomUUID } from "node:crypto";
import type { Message, MessageEntryData, RoomJoinedData } from "../../protocol/chat.ts";

/** Bytes of a message's text. */
const contentBytes = 100;

/** A message among those of one measurement: in which room, which one there. */
export type Place = { readonly roomId: number; readonly number: number };

/** What the sink looks for in a message: whose it is, which one, and when it was sent. */
function marker(key: number, number: number, atNs = process.hrtime.bigint()): string {
  return `~${key}:${number}:${atNs}~`;
}

/** What everybody in a room gets, whichever server brings it. */
export function messageIn({ roomId, number }: Place): MessageEntryData {
  return { message: newMessage(roomId, number, markedContent(roomId, number)) };
}

/** The text of a message that is sent now, or was due at `atNs`. */
export function markedContent(key: number, number: number, atNs?: bigint): string {
  return marker(key, number, atNs).padEnd(contentBytes, ".");
}

/** What one person gets: the room's name carries the marker. */
export function joinedBy(userId: number, number: number): RoomJoinedData {
  const created_at = new Date().toISOString();
  return {
    my_room: {
      room: { id: 1, kind: "public", name: marker(userId, number), created_at, last_seq: 0 },
      role: "member",
      last_read_seq: 0,
      unread: 0,
      joined_at: created_at,
      peer: null,
    },
  };
}

function newMessage(roomId: number, seq: number, content: string): Message {
  return {
    id: randomUUID(),
    room_id: roomId,
    seq,
    user_id: 1,
    username: "somebody",
    content,
    client_msg_id: randomUUID(),
    reply_to: null,
    created_at: new Date().toISOString(),
    version: 1,
    edited_at: null,
    deleted_at: null,
  };
}
