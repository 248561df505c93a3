import type {
  MemberEntryData,
  MemberRemovedData,
  Message,
  MessageEntryData,
  MyRoom,
  ReadState,
  RoomChangedData,
  RoomJoinedData,
  RoomLeftData,
} from "../protocol/chat.ts";
import type { ChatEntry, ChatState, PendingMessage, RoomView, Snapshot } from "./chat-view.ts";
import {
  anew,
  newestOnly,
  refreshed,
  viewOf,
  withMember,
  withMembers,
  withMessages,
  withPage,
  withPendingOf,
  withRoomChange,
  withSeqs,
  withoutMember,
} from "./room-view.ts";

/** The reducer: entries and snapshots in, the next state out. What it promises stands in `chat-view.ts`. */

export function emptyChat(me: number): ChatState {
  return { me, rooms: {} };
}

/** The state after one more entry. Entries that mean nothing here, or nothing new, leave it the same object. */
export function applyEntry(state: ChatState, { type, data }: ChatEntry): ChatState {
  // The words of a redacted entry are gone; an entry of its own says what became of what it spoke of.
  if (typeof data !== "object" || data === null || "redacted" in data) return state;
  switch (type) {
    case "message.created":
    case "message.edited":
    case "message.deleted": {
      const { message } = data as MessageEntryData;
      return withRoom(state, message.room_id, (view) => withMessages(view, [message], state.me));
    }
    case "member.added":
    case "member.changed": {
      const { room_id, member } = data as MemberEntryData;
      return withRoom(state, room_id, (view) => withMember(view, member, state.me));
    }
    case "member.removed": {
      const { room_id, user_id } = data as MemberRemovedData;
      return withRoom(state, room_id, (view) => withoutMember(view, user_id));
    }
    case "room.changed": {
      const { room } = data as RoomChangedData;
      return withRoom(state, room.id, (view) => withRoomChange(view, room));
    }
    case "room.joined":
      return joined(state, (data as RoomJoinedData).my_room);
    case "room.left":
      return without(state, (data as RoomLeftData).room_id);
    case "room.read": {
      const { room_id, last_read_seq } = data as ReadState;
      return withRoom(state, room_id, (view) => withSeqs(view, { last_read_seq }));
    }
    case limitedType: {
      const { room_id } = data as { readonly room_id: number };
      return withRoom(state, room_id, (view) => (view.stale ? view : { ...view, stale: true }));
    }
    default:
      return state;
  }
}

/** The room that an entry speaks of. */
export function entryRoom({ data }: ChatEntry): number | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { message, room, room_id, my_room } = data as Partial<
    MessageEntryData & RoomChangedData & RoomLeftData & RoomJoinedData
  >;
  return message?.room_id ?? room?.id ?? room_id ?? my_room?.room.id;
}

/** The message that an entry brings, as it is from then on. */
export function entryMessage({ type, data }: ChatEntry): Message | undefined {
  if (!type.startsWith("message.") || typeof data !== "object" || data === null) return undefined;
  return (data as Partial<MessageEntryData>).message;
}

/** The state with what was read over HTTP. `since` are the entries that came after it was asked for, in their order. */
export function applySnapshot(
  state: ChatState,
  snapshot: Snapshot,
  since: readonly ChatEntry[] = [],
): ChatState {
  return since.reduce(applyEntry, withSnapshot(state, snapshot));
}

/** Stands among the entries where some of a room were missed. What is known stays until a snapshot of the room comes. */
export function limitedEntry(roomId: number): ChatEntry {
  return { type: limitedType, data: { room_id: roomId } };
}
const limitedType = "limited";

/** The person has read up to here on this device; the server will be told. */
export function markRead(state: ChatState, roomId: number, seq: number): ChatState {
  return withRoom(state, roomId, (view) =>
    withSeqs(view, { last_read_seq: Math.min(seq, view.room.last_seq) }),
  );
}

/** What waits to be sent, of all rooms. What an entry has confirmed already is not shown twice. */
export function withPending(state: ChatState, waiting: readonly PendingMessage[]): ChatState {
  const byRoom = new Map<number, PendingMessage[]>();
  for (const message of waiting) {
    const known = byRoom.get(message.room_id);
    if (known === undefined) byRoom.set(message.room_id, [message]);
    else known.push(message);
  }
  return Object.values(state.rooms).reduce(
    (next, { room }) =>
      withRoom(next, room.id, (view) => withPendingOf(view, byRoom.get(room.id) ?? [], state.me)),
    state,
  );
}

/** Of a room that nobody has looked at, the newest messages; whoever opens it reads a page of them. */
export function withNewestOnly(state: ChatState, roomId: number): ChatState {
  return withRoom(state, roomId, newestOnly);
}

/** The messages up to the newest one without a gap: what a screen shows that is at the end of a room. */
export function newestMessages({ messages, room }: RoomView): readonly Message[] {
  let first = messages.length;
  for (let seq = room.last_seq; first > 0 && messages[first - 1]?.seq === seq; seq--) first--;
  return messages.slice(first);
}

function withSnapshot(state: ChatState, snapshot: Snapshot): ChatState {
  switch (snapshot.kind) {
    case "rooms":
      return withRooms(state, snapshot.rooms);
    case "room":
      return withRoomRead(state, snapshot);
    case "page":
      return withRoom(state, snapshot.roomId, (view) => withPage(view, snapshot.page, state.me));
    case "gone":
      break;
  }
  return without(state, snapshot.roomId);
}

function withRoomRead(
  state: ChatState,
  { mine, page, members }: Extract<Snapshot, { kind: "room" }>,
): ChatState {
  const { id } = mine.room;
  const known = state.rooms[id];
  // Of a stale room nothing is kept: what has changed in it meanwhile, no entry will say.
  const base = known?.stale === true ? put(state, id, anew(known, mine)) : withMine(state, mine);
  return withRoom(base, id, (view) =>
    withMembers(page === undefined ? view : withPage(view, page, state.me), members),
  );
}

function withRooms(state: ChatState, mine: readonly MyRoom[]): ChatState {
  const ids = new Set(mine.map(({ room }) => room.id));
  const left = Object.values(state.rooms).filter(({ room }) => !ids.has(room.id));
  return mine.reduce(
    withMine,
    left.reduce((next, { room }) => without(next, room.id), state),
  );
}

/** What the server says of a membership, which may be older than what is known. */
function withMine(state: ChatState, mine: MyRoom): ChatState {
  const { id } = mine.room;
  const known = state.rooms[id];
  if (known === undefined) return put(state, id, viewOf(mine));
  // Nothing of it is outdated but what is said here.
  const bare = known.stale && known.messages.length === 0 && known.members === undefined;
  return put(state, id, bare ? anew(known, mine) : refreshed(known, mine));
}

/** A membership began. One that is known already came with a snapshot, which is not older. */
function joined(state: ChatState, mine: MyRoom): ChatState {
  const known = state.rooms[mine.room.id];
  return known !== undefined && known.joined_at >= mine.joined_at ? state : withMine(state, mine);
}

function without(state: ChatState, roomId: number): ChatState {
  if (state.rooms[roomId] === undefined) return state;
  const { [roomId]: _gone, ...rooms } = state.rooms;
  return { ...state, rooms };
}

function withRoom(state: ChatState, roomId: number, change: (view: RoomView) => RoomView): ChatState {
  const view = state.rooms[roomId];
  return view === undefined ? state : put(state, roomId, change(view));
}

function put(state: ChatState, roomId: number, view: RoomView): ChatState {
  return state.rooms[roomId] === view ? state : { ...state, rooms: { ...state.rooms, [roomId]: view } };
}
