import assert from "node:assert/strict";
import { WebSocket } from "ws";
import { errorRules } from "../../protocol/errors.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { topics } from "../../protocol/topics.ts";
import { readRoom, readRooms } from "../../sdk/chat-reader.ts";
import { applyEntry, applySnapshot, emptyChat } from "../../sdk/chat-state.ts";
import type { ChatStore } from "../../sdk/chat-store.ts";
import type { ChatEntry, ChatState, Snapshot } from "../../sdk/chat-view.ts";
import type { Client } from "../../sdk/client.ts";
import { TidingsError } from "../../sdk/errors.ts";
import { Journal, type Scope } from "../../sdk/journal.ts";
import type { SocketClass } from "../../sdk/socket.ts";
import { eventually } from "../harness.ts";

/** Somebody who does things, and what two clients of theirs have made of what they were told. */
export type Person = {
  readonly client: Client;
  readonly store: ChatStore;
  readonly follower: Follower;
  readonly id: number;
  readonly token: string;
  readonly cut: () => void;
};

/** A generator of numbers in [0, 1) that a seed repeats (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Sockets that can be cut as a network cuts them: without a word. */
export function cuttable() {
  const open = new Set<WebSocket>();
  class CuttableSocket extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      open.add(this);
      this.on("close", () => open.delete(this));
    }
  }
  return {
    webSocket: CuttableSocket as unknown as SocketClass,
    cut: () => {
      for (const socket of open) socket.terminate();
    },
  };
}

/**
 * The law and nothing else: each room is read once, when the person comes into it, and from then on entries alone say
 * what becomes of it. It has none of the second looks by which a `ChatStore` would hide that an entry means nothing to it.
 */
export class Follower {
  state: ChatState;
  readonly #client: Client;
  readonly #journal = new Journal();
  readonly #rooms = new Map<number, () => void>();
  readonly #ends: (() => void)[] = [];
  /** What must not happen: a topic that says that something was missed. */
  readonly faults: unknown[] = [];

  /** Hears of every entry. */
  readonly #hear: (entry: ChatEntry) => void;

  constructor(client: Client, me: number, hear: (entry: ChatEntry) => void) {
    this.#client = client;
    this.#hear = hear;
    this.state = emptyChat(me);
  }

  start(): void {
    const read = once(() => this.#read("rooms", () => readRooms(this.#client.chat)));
    this.#ends.push(this.#subscribe(topics.user(this.state.me), read));
  }

  stop(): void {
    for (const end of [...this.#ends.splice(0), ...this.#rooms.values()]) end();
    this.#rooms.clear();
  }

  #subscribe(topic: string, live: () => void): () => void {
    return this.#client.subscribe(topic, {
      entry: (entry) => this.#entry(entry),
      live,
      limited: () => this.faults.push(`${topic} was limited`),
    });
  }

  #entry(entry: ChatEntry): void {
    this.#hear(entry);
    this.#journal.note(entry);
    this.state = applyEntry(this.state, entry);
    this.#follow();
  }

  #read(scope: Scope, ask: () => Promise<Snapshot>): void {
    const take = (snapshot: Snapshot, since: readonly ChatEntry[]): void => {
      this.state = applySnapshot(this.state, snapshot, since);
      this.#follow();
    };
    this.#journal.read(scope, ask, take).catch((error: unknown) => this.faults.push(error));
  }

  #follow(): void {
    const { rooms } = this.state;
    for (const [roomId, end] of this.#rooms) {
      if (rooms[roomId] !== undefined) continue;
      this.#rooms.delete(roomId);
      end();
    }
    for (const { room } of Object.values(rooms)) {
      if (this.#rooms.has(room.id)) continue;
      const all = { messages: true, members: true };
      const read = once(() => this.#read(room.id, () => readRoom(this.#client.chat, room.id, all)));
      this.#rooms.set(room.id, this.#subscribe(topics.room(room.id), read));
    }
  }
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}

/** What the law speaks of: not what one device alone knows. Of other rooms than `inFull` what the list of rooms says. */
function publicPart({ rooms }: ChatState, inFull: number | undefined): unknown {
  return Object.entries(rooms).map(([id, view]) => {
    const { messages, members = [], pending: _pending, stale: _stale, ...rest } = view;
    if (Number(id) !== inFull) return rest;
    return { ...rest, messages, members: members.toSorted((a, b) => a.user_id - b.user_id) };
  });
}

async function freshState({ client, id }: Person, roomId: number | undefined): Promise<ChatState> {
  const rooms = applySnapshot(emptyChat(id), await readRooms(client.chat));
  if (roomId === undefined) return rooms;
  return applySnapshot(rooms, await readRoom(client.chat, roomId, { messages: true, members: true }));
}

/** Waits until everybody knows what they would be told now of their rooms, and of one of them in full. */
export async function everybodyKnows(
  all: readonly Person[],
  roomId: number | undefined,
  after: string,
  whose: readonly ("follower" | "store")[] = ["follower", "store"],
): Promise<void> {
  for (const person of all) {
    for (const who of whose) {
      const known = (): ChatState => (who === "store" ? person.store.get() : person.follower.state);
      let expected: unknown;
      const holds = async (): Promise<boolean> => {
        expected = publicPart(await freshState(person, roomId), roomId);
        return JSON.stringify(publicPart(known(), roomId)) === JSON.stringify(expected);
      };
      await eventually(`the ${who} of ${person.id} after ${after}`, holds).catch(() =>
        assert.deepEqual(publicPart(known(), roomId), expected, `the ${who} of ${person.id} after ${after}`),
      );
    }
    assert.deepEqual(person.follower.faults, [], after);
  }
}

export type World = { readonly all: readonly Person[]; readonly random: () => number };

export type Deed = {
  /** Commands that it gives: routes, and requests of the socket. */
  readonly commands: readonly string[];
  /** How often it is chosen, against others. */
  readonly weight: number;
  /** Resolves with the room that it was about; undefined when there was nothing to do. */
  readonly act: (world: World, who: Person) => Promise<number | undefined>;
};

const rooms = "/api/v1/rooms";
const room = `${rooms}/:room_id`;

const pick = <T>({ random }: World, list: readonly T[]): T | undefined =>
  list[Math.floor(random() * list.length)];
const roomsOf = ({ store }: Person) => Object.values(store.get().rooms);
const roomOf = (world: World, who: Person): number => pick(world, roomsOf(who))?.room.id ?? 1;
/** A room that has members to rule over, and one of them who is not who rules. */
function subjectOf(world: World, who: Person) {
  const ruled = roomsOf(who).filter(({ role, members = [] }) => role === "owner" && members.length > 1);
  const view = pick(world, ruled);
  const member = pick(
    world,
    (view?.members ?? []).filter(({ user_id }) => user_id !== who.id),
  );
  return view === undefined || member === undefined ? undefined : { roomId: view.room.id, member };
}
function ownMessageOf(world: World, who: Person) {
  const views = roomsOf(who).flatMap(({ messages }) => messages);
  return pick(
    world,
    views.filter(({ user_id, deleted_at }) => user_id === who.id && deleted_at === null),
  );
}
/** Waits until the server has the message. Throws its refusal: of a room that the person is no member of, and no other. */
async function arrived({ store, id }: Person, clientMsgId: string): Promise<void> {
  const waiting = () => store.outbox.get().find(({ client_msg_id }) => client_msg_id === clientMsgId);
  await eventually(`what person ${id} wrote is sent`, () => (waiting()?.status ?? "failed") === "failed");
  const error = waiting()?.error;
  if (error === undefined) return;
  assert.ok(error.code === "forbidden" || error.code === "not_found", `${error.code}: ${error.message}`);
  const { status, retry } = errorRules[error.code];
  throw new TidingsError({ code: error.code, status, retry, message: error.message });
}
const other = (world: World, who: Person): Person | undefined =>
  pick(
    world,
    world.all.filter((one) => one !== who),
  );

/** Everything that people can do to what others see of rooms. */
export const deeds: Readonly<Record<string, Deed>> = {
  write: {
    commands: ["message.send"],
    weight: 8,
    act: async (world, who) => {
      const roomId = roomOf(world, who);
      await arrived(who, await who.store.send(roomId, `said ${world.random()}`));
      return roomId;
    },
  },
  "write twice over HTTP": {
    commands: [`POST ${room}/messages`],
    weight: 2,
    act: async (world, who) => {
      const body = { client_msg_id: uuidv7(), content: "twice" };
      const roomId = roomOf(world, who);
      await Promise.all([who.client.chat.send(roomId, body), who.client.chat.send(roomId, body)]);
      return roomId;
    },
  },
  "write in the room for all": {
    commands: ["POST /api/v1/messages"],
    weight: 1,
    act: async (world, { client }) => {
      const body = { content: `to all ${world.random()}` };
      await client.http.call({ method: "POST", path: "/api/v1/messages", body, repeatable: false });
      return 1;
    },
  },
  edit: {
    commands: [`PATCH ${room}/messages/:message_id`],
    weight: 3,
    act: async (world, who) => {
      const message = ownMessageOf(world, who);
      if (message === undefined) return undefined;
      await who.client.chat.edit(message.room_id, message.id, { content: `edited ${world.random()}` });
      return message.room_id;
    },
  },
  delete: {
    commands: [`DELETE ${room}/messages/:message_id`],
    weight: 2,
    act: async (world, who) => {
      const message = ownMessageOf(world, who);
      if (message === undefined) return undefined;
      await who.client.chat.deleteMessage(message.room_id, message.id);
      return message.room_id;
    },
  },
  read: {
    commands: [`PUT ${room}/read`],
    weight: 3,
    act: async (world, who) => {
      const view = pick(
        world,
        roomsOf(who).filter(({ unread }) => unread > 0),
      );
      if (view === undefined) return undefined;
      const { last_read_seq, unread } = view;
      await who.client.chat.markRead(view.room.id, last_read_seq + Math.ceil(world.random() * unread));
      return view.room.id;
    },
  },
  "read over the socket": {
    commands: ["read.mark"],
    weight: 2,
    act: async (world, who) => {
      const view = pick(
        world,
        roomsOf(who).filter(({ unread }) => unread > 0),
      );
      if (view === undefined) return undefined;
      await who.client.request("read.mark", { room_id: view.room.id, seq: view.room.last_seq });
      return view.room.id;
    },
  },
  open: {
    commands: [`POST ${rooms}`],
    weight: 2,
    act: async (world, who) => {
      const kind = world.random() < 0.5 ? "public" : "private";
      const guest = other(world, who);
      const member_ids = guest === undefined || world.random() < 0.3 ? [] : [guest.id];
      return (await who.client.chat.createRoom({ kind, name: `room ${world.random()}`, member_ids })).id;
    },
  },
  "open direct": {
    commands: [`POST ${rooms}/direct`],
    weight: 1,
    act: async (world, who) => (await who.client.chat.directRoom(other(world, who)?.id ?? 0)).room.id,
  },
  rename: {
    commands: [`PATCH ${room}`],
    weight: 2,
    act: async (world, who) => {
      const view = pick(
        world,
        roomsOf(who).filter(({ role, room }) => role === "owner" && room.kind !== "direct"),
      );
      if (view === undefined) return undefined;
      return (await who.client.chat.renameRoom(view.room.id, `renamed ${world.random()}`)).id;
    },
  },
  join: {
    commands: [`POST ${room}/join`],
    weight: 3,
    act: async (world, who) => {
      const page = await who.client.chat.publicRooms({ limit: 50 });
      const open = pick(
        world,
        page.rooms.filter(({ id }) => who.store.get().rooms[id] === undefined),
      );
      if (open === undefined) return undefined;
      return (await who.client.chat.join(open.id)).room.id;
    },
  },
  add: {
    commands: [`POST ${room}/members`],
    weight: 3,
    act: async (world, who) => {
      const guest = other(world, who);
      const ruled = roomsOf(who).filter(
        ({ role, members = [] }) => role === "owner" && members.every(({ user_id }) => user_id !== guest?.id),
      );
      const view = pick(world, ruled);
      if (view === undefined || guest === undefined) return undefined;
      await who.client.chat.addMembers(view.room.id, [guest.id]);
      return view.room.id;
    },
  },
  remove: {
    commands: [`DELETE ${room}/members/:user_id`],
    weight: 1,
    act: async (world, who) => {
      const subject = subjectOf(world, who);
      if (subject === undefined) return undefined;
      await who.client.chat.removeMember(subject.roomId, subject.member.user_id);
      return subject.roomId;
    },
  },
  promote: {
    commands: [`PUT ${room}/members/:user_id`],
    weight: 2,
    act: async (world, who) => {
      const subject = subjectOf(world, who);
      if (subject === undefined) return undefined;
      const roles = (["moderator", "member", "owner"] as const).filter(
        (role) => role !== subject.member.role,
      );
      await who.client.chat.changeRole(
        subject.roomId,
        subject.member.user_id,
        pick(world, roles) ?? "member",
      );
      return subject.roomId;
    },
  },
  leave: {
    commands: [`POST ${room}/leave`],
    weight: 1,
    act: async (world, who) => {
      const roomId = roomOf(world, who);
      await who.client.chat.leave(roomId);
      return roomId;
    },
  },
};

/** Commands of rooms that change nothing that the law speaks of. */
export const lawless: readonly string[] = [
  // A signal: true for a moment, and nothing that one reads later.
  "typing.set",
];
