import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { uuidv7 } from "../../protocol/ids.ts";
import { type ChatStore, openChat } from "../../sdk/chat-store.ts";
import type { ChatState } from "../../sdk/chat-view.ts";
import { type Client, createClient } from "../../sdk/client.ts";
import type { SocketClass } from "../../sdk/socket.ts";
import { TidingsError } from "../../sdk/errors.ts";
import { eventually } from "../harness.ts";
import { openAccounts } from "./accounts.ts";

/*
 * The law of events: whatever people do, what a client has made of its snapshot and of the entries that were pushed to
 * it equals what a client that comes now is told. The seed of a run is printed; SEED=n repeats its choices.
 */

const stepsMin = 250;
const stepsMax = 2_000;
const people = 4;

/** A generator of numbers in [0, 1) that a seed repeats (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Sockets that can be cut as a network cuts them: without a word. */
function cuttable() {
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

/** Reads each room once, when the person comes into it; all else comes by entries. Returns what ends it. */
function openRoomsOf(store: ChatStore): () => void {
  const opened = new Set<string>();
  const look = ({ rooms }: ChatState): void => {
    for (const id of opened) if (!(id in rooms)) opened.delete(id);
    for (const id of Object.keys(rooms)) {
      if (opened.has(id)) continue;
      opened.add(id);
      // Who is removed meanwhile has nothing to read.
      void store.openRoom(Number(id)).catch(() => undefined);
      void store.loadMembers(Number(id)).catch(() => undefined);
    }
  };
  look(store.get());
  return store.subscribe(look);
}

type Person = {
  readonly client: Client;
  readonly store: ChatStore;
  readonly id: number;
  readonly token: string;
  readonly cut: () => void;
};

async function lookAtEverything(store: ChatStore): Promise<void> {
  for (const roomId of Object.keys(store.get().rooms).map(Number)) {
    await store.openRoom(roomId);
    await store.loadMembers(roomId);
  }
}

/** What the law speaks of: not what one device alone knows. */
function publicPart({ me, rooms }: ChatState): unknown {
  const views = Object.entries(rooms).map(([id, view]) => {
    const members = [...(view.members ?? [])].sort((a, b) => a.user_id - b.user_id);
    return [id, { ...view, members, pending: [], stale: false }] as const;
  });
  return { me, rooms: Object.fromEntries(views) };
}

test("what was told plus what was pushed is what a newcomer is told, whatever people do and however often the network is cut", async (t) => {
  const accounts = await openAccounts(t, { RATE_LIMIT_FRAMES: "1000/10000" });
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
  t.diagnostic(`SEED=${seed}`);
  const random = randomOf(seed);
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  const { url } = accounts;

  const all: Person[] = [];
  for (let i = 0; i < people; i++) {
    const { webSocket, cut } = cuttable();
    const { access_token, user } = await accounts.register();
    const client = createClient({ url, credentials: access_token, webSocket });
    const store = await openChat(client);
    all.push({ client, store, id: user.id, token: access_token, cut });
    const close = openRoomsOf(store);
    t.after(() => {
      close();
      store.stop();
      client.stop();
    });
  }
  const roomOf = ({ store }: Person): number => Number(pick(Object.keys(store.get().rooms)) ?? 1);
  const ownRoomOf = (who: Person): number =>
    Number(pick(Object.entries(who.store.get().rooms).filter(([, { role }]) => role === "owner"))?.[0] ?? 1);
  const messageOf = ({ store }: Person, roomId: number) => pick(store.get().rooms[roomId]?.messages ?? []);
  const other = (): number => pick(all)?.id ?? 0;

  const deeds: Readonly<Record<string, (who: Person) => Promise<unknown>>> = {
    write: async (who) => who.store.send(roomOf(who), `said ${Math.floor(random() * 1e6)}`),
    "write again": async (who) => {
      const body = { client_msg_id: uuidv7(), content: "twice" };
      const roomId = roomOf(who);
      await Promise.all([who.client.chat.send(roomId, body), who.client.chat.send(roomId, body)]);
    },
    edit: async (who) => {
      const message = messageOf(who, roomOf(who));
      if (message !== undefined) {
        await who.client.chat.edit(message.room_id, message.id, { content: `edited ${random()}` });
      }
    },
    delete: async (who) => {
      const message = messageOf(who, roomOf(who));
      if (message !== undefined) await who.client.chat.deleteMessage(message.room_id, message.id);
    },
    read: async (who) => {
      const roomId = roomOf(who);
      const last = who.store.get().rooms[roomId]?.room.last_seq ?? 0;
      await who.client.chat.markRead(roomId, Math.floor(random() * (last + 1)));
    },
    open: async (who) =>
      who.client.chat.createRoom({
        kind: random() < 0.5 ? "public" : "private",
        name: `room ${Math.floor(random() * 1e6)}`,
        member_ids: random() < 0.5 ? [other()] : [],
      }),
    "open direct": async (who) => who.client.chat.directRoom(other()),
    rename: async (who) =>
      who.client.chat.renameRoom(ownRoomOf(who), `renamed ${Math.floor(random() * 1e6)}`),
    add: async (who) => who.client.chat.addMembers(ownRoomOf(who), [other()]),
    remove: async (who) => {
      const roomId = ownRoomOf(who);
      const member = pick(who.store.get().rooms[roomId]?.members ?? []);
      if (member !== undefined) await who.client.chat.removeMember(roomId, member.user_id);
    },
    promote: async (who) =>
      who.client.chat.changeRole(
        ownRoomOf(who),
        other(),
        pick(["moderator", "member", "owner"] as const) ?? "member",
      ),
    leave: async (who) => who.client.chat.leave(roomOf(who)),
    "cut the network": async (who) => Promise.resolve(who.cut()),
  };
  const weights: Readonly<Record<string, number>> = {
    write: 8,
    edit: 3,
    read: 3,

    remove: 1,
    leave: 1,
  };
  const names = Object.keys(deeds).flatMap((name) => Array.from({ length: weights[name] ?? 2 }, () => name));

  const done = new Map<string, number>();
  const isMissing = (name: string): boolean => !done.has(name);
  for (let i = 0; i < stepsMin || (i < stepsMax && Object.keys(deeds).some(isMissing)); i++) {
    const [name, who] = [pick(names) ?? "write", pick(all)];
    if (who === undefined) continue;
    try {
      await deeds[name]?.(who);
      done.set(name, (done.get(name) ?? 0) + 1);
    } catch (error) {
      // Refusals are answers; anything else is a fault. A room may be gone before its messages are read.
      assert.ok(
        error instanceof TidingsError && error.status !== undefined && error.status < 500,
        String(error),
      );
    }
  }
  assert.deepEqual(Object.keys(deeds).filter(isMissing), [], "every deed was done");

  for (const { client, store, id } of all) {
    await eventually(`everything that person ${id} wrote is sent`, () =>
      store.outbox.get().every(({ status }) => status === "failed"),
    );
    await eventually(`person ${id} is connected`, () => client.connection.get().state === "open");
  }
  for (const { store, id, token } of all) {
    const fresh = createClient({ url, credentials: token, webSocket: WebSocket });
    const newcomer = await openChat(fresh);
    try {
      await eventually(`person ${id} knows what a newcomer is told`, async () => {
        await lookAtEverything(newcomer);
        const expected = JSON.stringify(publicPart(newcomer.get()));
        return JSON.stringify(publicPart(store.get())) === expected;
      }).catch(() => assert.deepEqual(publicPart(store.get()), publicPart(newcomer.get())));
    } finally {
      newcomer.stop();
      fresh.stop();
    }
  }
});
