import type { Member, Message, MessagesPage, MyRoom, Room } from "../protocol/chat.ts";
import type { PendingMessage, RoomView } from "./chat-view.ts";

/** Changes of one room. Each gives the same object back when nothing is new, so that nobody draws anything again. */

/** Messages of one room that are kept; over it those that are farthest from what was read last are forgotten. */
export const messagesKeptMax = 1_000;
/** Messages that are kept of a room which nobody has looked at: what a list of rooms shows of one. */
export const messagesUnseenMax = 20;

export function viewOf(mine: MyRoom): RoomView {
  const { room, role, joined_at, peer, last_read_seq } = mine;
  return {
    room,
    role,
    joined_at,
    peer,
    last_read_seq,
    unread: unreadOf(room.last_seq, last_read_seq),
    members: undefined,
    messages: [],
    pending: [],
    stale: false,
  };
}

/** Nothing but what this device has not got through yet stays. */
export function anew({ pending }: RoomView, mine: MyRoom): RoomView {
  return { ...viewOf(mine), pending };
}

function unreadOf(lastSeq: number, lastReadSeq: number): number {
  return Math.max(0, lastSeq - lastReadSeq);
}

/** What the server says of the membership. */
export function refreshed(view: RoomView, mine: MyRoom): RoomView {
  // Another membership: what the one before had seen does not belong to it.
  if (mine.joined_at > view.joined_at) return anew(view, mine);
  const { room, role, joined_at, peer, last_read_seq } = mine;
  return withSeqs({ ...withRoomChange(view, room), role, joined_at, peer }, { last_read_seq });
}

/** Name and kind as they are now; `last_seq` never goes back. */
export function withRoomChange(view: RoomView, room: Room): RoomView {
  const last_seq = Math.max(view.room.last_seq, room.last_seq);
  return withSeqs({ ...view, room: { ...room, last_seq } }, {});
}

/** Neither the end of the room nor what was read of it ever goes back. */
export function withSeqs(
  view: RoomView,
  seqs: { readonly last_seq?: number; readonly last_read_seq?: number },
): RoomView {
  const lastSeq = Math.max(view.room.last_seq, seqs.last_seq ?? 0);
  const lastReadSeq = Math.max(view.last_read_seq, seqs.last_read_seq ?? 0);
  const unread = unreadOf(lastSeq, lastReadSeq);
  const same = lastSeq === view.room.last_seq && lastReadSeq === view.last_read_seq && unread === view.unread;
  if (same) return view;
  const room = lastSeq === view.room.last_seq ? view.room : { ...view.room, last_seq: lastSeq };
  return { ...view, room, last_read_seq: lastReadSeq, unread };
}

export function withPage(view: RoomView, page: MessagesPage, me: number): RoomView {
  const { last_seq, last_read_seq } = page;
  const next = withMessages(view, page.items, me);
  return withSeqs(next, last_read_seq === null ? { last_seq } : { last_seq, last_read_seq });
}

/** Messages, each in its newest version. One's own are read, and wait no longer. */
export function withMessages(view: RoomView, incoming: readonly Message[], me: number): RoomView {
  const messages = merged(view.messages, incoming);
  const own = incoming.filter(({ user_id }) => user_id === me);
  const confirmed = new Set(own.map(({ client_msg_id }) => client_msg_id));
  const pending = view.pending.filter(({ client_msg_id }) => !confirmed.has(client_msg_id));
  const next =
    messages === view.messages && pending.length === view.pending.length
      ? view
      : { ...view, messages, pending: pending.length === view.pending.length ? view.pending : pending };
  return withSeqs(next, { last_seq: highest(incoming), last_read_seq: highest(own) });
}

function highest(messages: readonly Message[]): number {
  return messages.reduce((seq, message) => Math.max(seq, message.seq), 0);
}

/** Both lists by `seq`. An older version never replaces a newer one. */
function merged(known: readonly Message[], incoming: readonly Message[]): readonly Message[] {
  let next: Message[] | undefined;
  for (const message of incoming) {
    const list = next ?? known;
    const index = placeOf(list, message.seq);
    const there = list[index];
    const same = there?.seq === message.seq;
    if (same && there.version >= message.version) continue;
    next ??= [...known];
    next.splice(index, same ? 1 : 0, message);
  }
  return next === undefined ? known : trimmed(next, incoming);
}

/** Where a message with this `seq` is or belongs. Most come at the end. */
function placeOf(messages: readonly Message[], seq: number): number {
  let [low, high] = [0, messages.length];
  const last = messages.at(-1);
  if (last === undefined || last.seq < seq) return high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((messages[middle]?.seq ?? 0) < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

function trimmed(messages: Message[], incoming: readonly Message[]): readonly Message[] {
  const surplus = messages.length - messagesKeptMax;
  if (surplus <= 0) return messages;
  const center = placeOf(messages, incoming[incoming.length >> 1]?.seq ?? 0);
  return center < messages.length / 2 ? messages.slice(0, messagesKeptMax) : messages.slice(surplus);
}

export function newestOnly(view: RoomView): RoomView {
  const surplus = view.messages.length - messagesUnseenMax;
  return surplus <= 0 ? view : { ...view, messages: view.messages.slice(surplus) };
}

export function withMember(view: RoomView, member: Member, me: number): RoomView {
  const own = member.user_id === me && member.role !== view.role ? { ...view, role: member.role } : view;
  if (own.members === undefined) return own;
  const others = own.members.filter(({ user_id }) => user_id !== member.user_id);
  return { ...own, members: [...others, member].sort((a, b) => a.user_id - b.user_id) };
}

export function withoutMember(view: RoomView, userId: number): RoomView {
  if (view.members?.some(({ user_id }) => user_id === userId) !== true) return view;
  return { ...view, members: view.members.filter(({ user_id }) => user_id !== userId) };
}

/** All members as they were read; undefined when they were not. */
export function withMembers(view: RoomView, members: readonly Member[] | undefined): RoomView {
  return members === undefined
    ? view
    : { ...view, members: [...members].sort((a, b) => a.user_id - b.user_id) };
}

/** What this device has not got through yet. */
export function withPendingOf(view: RoomView, waiting: readonly PendingMessage[], me: number): RoomView {
  if (waiting.length === 0 && view.pending.length === 0) return view;
  const own = new Set(
    view.messages.filter(({ user_id }) => user_id === me).map(({ client_msg_id }) => client_msg_id),
  );
  const pending = waiting.filter(({ client_msg_id }) => !own.has(client_msg_id));
  const same =
    pending.length === view.pending.length && pending.every((item, index) => item === view.pending[index]);
  return same ? view : { ...view, pending };
}
