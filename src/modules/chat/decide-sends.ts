import { type Message, generalRoomId } from "../../../protocol/chat.ts";
import { type Membership, pairKey } from "../../access/membership.ts";
import { AppError } from "../../lib/errors.ts";
import { joinFirst, noSuchRoom } from "./rights.ts";
import type { RoomState } from "./rooms.ts";

/** A message on its way into a room. */
export type Send = {
  /** The message's id if it is a new one. */
  readonly id: string;
  readonly roomId: number;
  readonly sender: { readonly id: number; readonly username: string };
  /** As entries name the sender. */
  readonly actor: string;
  readonly clientMsgId: string;
  readonly content: string;
  readonly replyTo: string | null;
  readonly fingerprint: string;
};

/** `replayed`: it was sent before, and nothing was done. */
export type Sent = { readonly message: Message; readonly replayed: boolean };

/** A message that was sent before. */
export type KnownMessage = { readonly message: Message; readonly fingerprint: string };

/** A message that is answered: where it stands, and who wrote it. */
export type Answered = { readonly roomId: number; readonly userId: number };

/** What the database says about a batch, read under the locks of its rooms. */
export type SendFacts = {
  readonly rooms: ReadonlyMap<number, RoomState>;
  /** By `pairKey`. */
  readonly members: ReadonlyMap<string, Membership>;
  /** By `sendKey`. */
  readonly known: ReadonlyMap<string, KnownMessage>;
  /** The messages that are answered, by their ids. */
  readonly answered: ReadonlyMap<string, Answered>;
  readonly time: Date;
};

/** `replyToUserId`: who wrote what it answers. */
export type Fresh = {
  readonly send: Send;
  readonly message: Message;
  readonly replyToUserId: number | null;
};

export type Decision = {
  /** For each send what is answered, in order. */
  readonly answers: readonly (Sent | AppError)[];
  /** The sends that become messages, and those messages. */
  readonly fresh: readonly Fresh[];
  /** Senders to whom the room that is everybody's is new. */
  readonly newcomers: ReadonlySet<number>;
  /** The last seq of each room that gets messages. */
  readonly lastSeqs: ReadonlyMap<number, number>;
};

/** Names a message by its sender's key. */
export function sendKey(senderId: number, clientMsgId: string): string {
  return `${senderId} ${clientMsgId}`;
}

/**
 * Decides about each message of a batch on its own: which are new and get the next place in their room, which were sent
 * before, which are refused. One that is refused takes no place and changes nothing for the others.
 */
export function decideSends(sends: readonly Send[], facts: SendFacts): Decision {
  const known = new Map(facts.known);
  const lastSeqs = new Map<number, number>();
  const newcomers = new Set<number>();
  const fresh: Fresh[] = [];
  const answers = sends.map((send): Sent | AppError => {
    const refusal = refusalOf(send, facts);
    if (refusal !== undefined) return refusal;
    const key = sendKey(send.sender.id, send.clientMsgId);
    const earlier = known.get(key);
    if (earlier !== undefined) return repetition(send, earlier);
    const answered = send.replyTo === null ? undefined : facts.answered.get(send.replyTo);
    if (send.replyTo !== null && answered?.roomId !== send.roomId) return noSuchReply();
    const seq = (lastSeqs.get(send.roomId) ?? facts.rooms.get(send.roomId)?.lastSeq ?? 0) + 1;
    lastSeqs.set(send.roomId, seq);
    if (!facts.members.has(pairKey({ roomId: send.roomId, userId: send.sender.id })))
      newcomers.add(send.sender.id);
    const message = newMessage(send, seq, facts.time);
    known.set(key, { message, fingerprint: send.fingerprint });
    fresh.push({ send, message, replyToUserId: answered?.userId ?? null });
    return { message, replayed: false };
  });
  return { answers, fresh, newcomers, lastSeqs };
}

function refusalOf({ roomId, sender }: Send, { rooms, members }: SendFacts): AppError | undefined {
  const room = rooms.get(roomId);
  if (room === undefined) return noSuchRoom(roomId);
  if (members.has(pairKey({ roomId, userId: sender.id })) || roomId === generalRoomId) return undefined;
  return room.kind === "public" ? joinFirst() : noSuchRoom(roomId);
}

/** The same message again is answered with what became of it; anything else under its key is a mistake of the client. */
function repetition(send: Send, { message, fingerprint }: KnownMessage): Sent | AppError {
  const same =
    message.room_id === send.roomId && message.reply_to === send.replyTo && fingerprint === send.fingerprint;
  // An earlier attempt at this very send took effect unseen: to the client it is new.
  if (same) return { message, replayed: message.id !== send.id };
  return new AppError("idempotency_mismatch", {
    detail: "this client_msg_id was used for another message: a new message needs a new one",
    fields: [{ pointer: "/client_msg_id", code: "used", detail: "was used for another message" }],
  });
}

function noSuchReply(): AppError {
  const detail = "is no message of this room";
  return new AppError("not_found", {
    detail: `/reply_to ${detail}`,
    fields: [{ pointer: "/reply_to", code: "unknown", detail }],
  });
}

function newMessage(send: Send, seq: number, time: Date): Message {
  return {
    id: send.id,
    room_id: send.roomId,
    seq,
    user_id: send.sender.id,
    username: send.sender.username,
    content: send.content,
    client_msg_id: send.clientMsgId,
    reply_to: send.replyTo,
    created_at: time.toISOString(),
    version: 1,
    edited_at: null,
    deleted_at: null,
  };
}
