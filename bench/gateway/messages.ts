import { randomUUID } from "node:crypto";
import type { Message, MessageEntryData, RoomJoinedData } from "../../protocol/chat.ts";
import type { Load } from "./load.ts";

/** Bytes of a message's text. */
const contentBytes = 100;

/** What the sink looks for in a message: whose it is, which one, and when it was due. */
function marker(key: number, number: number, atNs: bigint): string {
  return `~${key}:${number}:${atNs}~`;
}

/** The text of a message that was due at `atNs`. */
export function markedContent(key: number, number: number, atNs: bigint): string {
  return marker(key, number, atNs).padEnd(contentBytes, ".");
}

/** What everybody in a room gets, whichever server brings it. */
export function messageIn(roomId: number, number: number, atNs: bigint): MessageEntryData {
  return { message: newMessage(roomId, number, markedContent(roomId, number, atNs)) };
}

/** What one person gets: the room's name carries the marker. */
export function joinedBy(userId: number, number: number, atNs: bigint): RoomJoinedData {
  return roomJoined(marker(userId, number, atNs));
}

/**
 * The same as text, made once but for the marker: a peer makes its messages in the process whose time is taken, and is
 * not to be charged with it.
 */
export function peerTexts(to: Load["to"]): (key: number, number: number, atNs: bigint) => string {
  const place = "MARKER";
  const data = to === "rooms" ? { message: newMessage(1, 1, place) } : roomJoined(place);
  const [head = "", tail = ""] = JSON.stringify({ type: "message.created", ...data }).split(place);
  const marked = to === "rooms" ? markedContent : marker;
  return (key, number, atNs) => head + marked(key, number, atNs) + tail;
}

function roomJoined(name: string): RoomJoinedData {
  const created_at = new Date().toISOString();
  return {
    my_room: {
      room: { id: 1, kind: "public", name, created_at, last_seq: 0 },
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
