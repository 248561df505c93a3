import {
  type MemberEntryData,
  type MemberRemovedData,
  type MessageCreatedData,
  type MessageEntryData,
  type ReadState,
  type RoomChangedData,
  type RoomJoinedData,
  type RoomLeftData,
} from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { topics } from "../../../protocol/topics.ts";
import { type NewEntry, jsonText } from "../../eventlog/eventlog.ts";

/** What each entry type holds. */
type RoomEntryData = {
  "message.created": Required<MessageCreatedData>;
  "message.edited": MessageEntryData;
  "message.deleted": MessageEntryData;
  "member.added": MemberEntryData;
  "member.changed": MemberEntryData;
  "member.removed": MemberRemovedData;
  "room.changed": RoomChangedData;
};
type UserEntryData = {
  "room.joined": RoomJoinedData;
  "room.left": RoomLeftData;
  "room.read": ReadState;
};

/** Who caused an entry, as `actorName` writes it. */
export type Cause = { readonly actor: string };

/** An entry that everybody hears who may read the room. */
export function roomEntry<T extends keyof RoomEntryData>(
  { actor, id = uuidv7() }: Cause & { readonly id?: string },
  roomId: number,
  type: T,
  data: RoomEntryData[T],
): NewEntry {
  return { id, topic: topics.room(roomId), type, actor, data: jsonText(data) };
}

/** An entry for one person's devices. */
export function userEntry<T extends keyof UserEntryData>(
  { actor }: Cause,
  userId: number,
  type: T,
  data: UserEntryData[T],
): NewEntry {
  return { id: uuidv7(), topic: topics.user(userId), type, actor, data: jsonText(data) };
}
