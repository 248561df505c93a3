import type { Member, Message, MessagesPage, MyRoom, Room, RoomRole } from "../protocol/chat.ts";
import type { TidingsError } from "./errors.ts";

/**
 * What a person sees of their rooms: what was read over HTTP, and every entry that came after. Plain values and pure
 * functions: the same snapshot and the same entries give the same state, and equal to what a new snapshot says.
 *
 * Entries of a topic come in order, but a snapshot and the entries around it do not: the snapshot may be newer than
 * entries that come later, or older than those that came while it was read. So messages go by their version, read
 * marks and `last_seq` only grow, and `applySnapshot` is given the entries that came since it was asked for, which
 * have the last word.
 */
export type ChatState = {
  /** Whose state it is. */
  readonly me: number;
  readonly rooms: Readonly<Record<number, RoomView>>;
};

export type RoomView = {
  readonly room: Room;
  readonly role: RoomRole;
  readonly joined_at: string;
  /** The other one of a direct room; null elsewhere. */
  readonly peer: MyRoom["peer"];
  readonly last_read_seq: number;
  /** `last_seq - last_read_seq`, always. */
  readonly unread: number;
  /** All members by id; undefined unless they were read. */
  readonly members: readonly Member[] | undefined;
  /** Those that are known, by `seq`. Where a `seq` is skipped, messages were not read. */
  readonly messages: readonly Message[];
  /** What this device has not got through yet, in the order in which it was written. */
  readonly pending: readonly PendingMessage[];
  /** Entries were missed: what is here has to be read anew. */
  readonly stale: boolean;
};

/** A message of this device that no entry has confirmed yet. */
export type PendingMessage = {
  readonly client_msg_id: string;
  readonly room_id: number;
  readonly content: string;
  readonly reply_to: string | null;
  readonly created_at: string;
  readonly status: "queued" | "in_flight" | "failed";
};

/** Of an entry, all that counts here. */
export type ChatEntry = { readonly type: string; readonly data: unknown };

export type Snapshot =
  /** All rooms of the person. */
  | { readonly kind: "rooms"; readonly rooms: readonly MyRoom[] }
  /** One room, with as much of it as was read together: ends that it is stale. */
  | {
      readonly kind: "room";
      readonly mine: MyRoom;
      readonly page?: MessagesPage | undefined;
      readonly members?: readonly Member[] | undefined;
    }
  /** More messages of a room. */
  | { readonly kind: "page"; readonly roomId: number; readonly page: MessagesPage }
  /** The person is not, or no longer, a member: what the server said, if it refused to answer. */
  | { readonly kind: "gone"; readonly roomId: number; readonly refusal?: TidingsError | undefined };
