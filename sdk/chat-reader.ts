import type { Member, MyRoom } from "../protocol/chat.ts";
import { limits } from "../protocol/limits.ts";
import type { ChatCalls } from "./chat-calls.ts";
import type { Snapshot } from "./chat-view.ts";
import { isRefusal } from "./errors.ts";

/** Members that are read of one room. Of a larger one they are left to pages. */
export const membersReadMax = 2_000;
/** Pages of the caller's rooms: enough for all that a connection can hear. */
export const roomPagesMax = Math.ceil(limits.topicsPerConnection / limits.pageRows) + 1;

type Rooms = Pick<ChatCalls, "rooms">;
type Members = Pick<ChatCalls, "members">;
type OneRoom = Pick<ChatCalls, "room" | "messages" | "members">;

export async function readRooms(calls: Rooms): Promise<Snapshot> {
  const rooms: MyRoom[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < roomPagesMax; pages++) {
    const page = await calls.rooms({ limit: limits.pageRows, ...(cursor === undefined ? {} : { cursor }) });
    rooms.push(...page.rooms);
    if (page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  return { kind: "rooms", rooms };
}

/** A room as far as it is wanted. `gone` when the caller is no member. */
export async function readRoom(
  calls: OneRoom,
  roomId: number,
  wanted: { readonly messages: boolean; readonly members: boolean },
): Promise<Snapshot> {
  try {
    const { mine } = await calls.room(roomId);
    if (mine === null) return { kind: "gone", roomId };
    // After the room: what happens in between is in the pages, and in the entries that come.
    const page = wanted.messages ? await calls.messages(roomId, { limit: limits.pageRows }) : undefined;
    const members = wanted.members ? await readMembers(calls, roomId) : undefined;
    return { kind: "room", mine, page, members };
  } catch (error) {
    if (isRefusal(error, 403, 404)) return { kind: "gone", roomId, refusal: error };
    throw error;
  }
}

/** All members; undefined when there are more than a client keeps. */
export async function readMembers(calls: Members, roomId: number): Promise<readonly Member[] | undefined> {
  const members: Member[] = [];
  let cursor: string | undefined;
  for (;;) {
    const query = { limit: limits.pageRows, ...(cursor === undefined ? {} : { cursor }) };
    const page = await calls.members(roomId, query);
    members.push(...page.members);
    if (members.length > membersReadMax) return undefined;
    if (page.next_cursor === null) return members;
    cursor = page.next_cursor;
  }
}

/** Whoever is no member any more has nothing to mark. */
export function orNoMember(error: unknown): undefined {
  if (isRefusal(error, 403, 404)) return undefined;
  throw error;
}
