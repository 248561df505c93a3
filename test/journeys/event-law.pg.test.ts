import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { roomEntries, userRoomEntries } from "../../protocol/chat.ts";
import { type ChatStore, openChat } from "../../sdk/chat-store.ts";
import type { ChatState } from "../../sdk/chat-view.ts";
import { createClient } from "../../sdk/client.ts";
import { TidingsError } from "../../sdk/errors.ts";
import { eventually } from "../harness.ts";
import { matrix } from "../permissions/routes.ts";
import { requests } from "../permissions/sockets.ts";
import { openAccounts } from "./accounts.ts";
import {
  type Person,
  type World,
  Follower,
  cuttable,
  deeds,
  everybodyKnows,
  lawless,
  randomOf,
} from "./event-law.ts";

/*
 * The law of events: whatever people do, what a client has made of its snapshot and of the entries that were pushed to
 * it equals what a client that comes now is told. The seed of a run is printed; SEED=n repeats its choices.
 */

const people = 4;
/** Times that each deed is done with a look at everybody after it. */
const timesEach = 4;
/** Deeds that nobody waits for. */
const stormSteps = 250;
/** After so many choices a deed for which there never was an occasion is a mistake of the test. */
const choicesMax = 4_000;

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

/** People who have each seen the room for all. Types of the entries that they are told are kept. */
async function gather(t: TestContext): Promise<World & { readonly told: ReadonlySet<string> }> {
  const generous = { RATE_LIMIT_FRAMES: "1000/10000", RATE_LIMIT_PERSON: "10000/100000" };
  const accounts = await openAccounts(t, generous);
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
  t.diagnostic(`SEED=${seed}`);
  const told = new Set<string>();
  const all: Person[] = [];
  for (let i = 0; i < people; i++) {
    const { webSocket, cut } = cuttable();
    const { access_token, user } = await accounts.register();
    const client = createClient({ url: accounts.url, credentials: access_token, webSocket });
    const store = await openChat(client);
    const follower = new Follower(client, user.id, ({ type }) => told.add(type));
    follower.start();
    all.push({ client, store, follower, id: user.id, token: access_token, cut });
    const close = openRoomsOf(store);
    t.after(() => {
      close();
      follower.stop();
      store.stop();
      client.stop();
    });
  }
  const world = { all, random: randomOf(seed), told };
  await everybodyKnows(all, 1, "coming");
  return world;
}

/**
 * Refusals are answers; anything else is a fault: of the network, of the server, or of the client. But for a request
 * whose connection was cut on purpose.
 */
function isExpected(error: unknown, isCut: boolean): boolean {
  if (!(error instanceof TidingsError)) return false;
  return (error.status >= 400 && error.status < 500) || (isCut && error.code === "disconnected");
}

async function act(world: World, name: string, isCut = false): Promise<number | undefined> {
  const who = world.all[Math.floor(world.random() * world.all.length)];
  if (who === undefined) return undefined;
  try {
    return await deeds[name]?.act(world, who);
  } catch (error) {
    assert.ok(isExpected(error, isCut), `${name}: ${String(error)}`);
    return undefined;
  }
}

/** A deed by its weight. */
function choose({ random }: World): string {
  const names = Object.entries(deeds).flatMap(([name, { weight }]) =>
    Array.from({ length: weight }, () => name),
  );
  return names[Math.floor(random() * names.length)] ?? "write";
}

async function everythingIsSent(all: readonly Person[]): Promise<void> {
  for (const { client, store, id } of all) {
    await eventually(`everything that person ${id} wrote is sent`, () =>
      store.outbox.get().every(({ status }) => status === "failed"),
    );
    await eventually(`person ${id} is connected`, () => client.connection.get().state === "open");
  }
}

test("every command of rooms is one of the deeds", () => {
  const commands = Object.keys(matrix)
    .map((row) => row.split(" #")[0] ?? "")
    .filter((route) => !route.startsWith("GET ") && /^\w+ \/api\/v1\/(?:rooms|messages)\b/.test(route));
  const asked = Object.keys(requests).filter((name) => !name.startsWith("notifications."));
  const known = [...Object.values(deeds).flatMap(({ commands }) => commands), ...lawless];
  assert.deepEqual([...new Set([...commands, ...asked])].toSorted(), known.toSorted());
});

test("after each deed everybody knows what a newcomer is told, by a snapshot and the entries after it alone", async (t) => {
  const world = await gather(t);
  const left = new Map(Object.keys(deeds).map((name) => [name, timesEach]));
  for (let choices = 0; left.size > 0; choices++) {
    assert.ok(choices < choicesMax, `there was no occasion for: ${[...left.keys()].join(", ")}`);
    // Those that are still to be done, and now and then another, which gives occasion to them.
    const names = [...left.keys()];
    const name = choices % 3 === 0 ? choose(world) : (names[choices % names.length] ?? "write");
    const roomId = await act(world, name);
    if (roomId === undefined) continue;
    await everythingIsSent(world.all);
    await everybodyKnows(world.all, roomId, name);
    const times = (left.get(name) ?? 0) - 1;
    if (times > 0) left.set(name, times);
    else left.delete(name);
  }
  const types = [...Object.keys(roomEntries), ...Object.keys(userRoomEntries)];
  assert.deepEqual(
    types.filter((type) => !world.told.has(type)),
    [],
    "entries of every type were told",
  );
});

test("in the end everybody knows what a newcomer is told, whatever people did at once and however often the network was cut", async (t) => {
  const world = await gather(t);
  // What was missed may be too much to be sent again: then a store reads anew, and a follower has no answer.
  for (const { follower } of world.all) follower.stop();
  const doing = new Set<Promise<unknown>>();
  let written = 0;
  for (let i = 0; i < stormSteps; i++) {
    if (world.random() < 0.05) world.all[Math.floor(world.random() * people)]?.cut();
    const name = choose(world);
    const one = act(world, name, true)
      .then((roomId) => {
        if (name === "write" && roomId !== undefined) written++;
      })
      .finally(() => doing.delete(one));
    doing.add(one);
    // A few at once.
    while (doing.size >= 4) await Promise.race(doing);
  }
  await Promise.all(doing);
  assert.ok(written > 0, "messages arrived");
  await everythingIsSent(world.all);
  const roomIds = new Set(world.all.flatMap(({ store }) => Object.keys(store.get().rooms).map(Number)));
  for (const roomId of roomIds) await everybodyKnows(world.all, roomId, "the storm", ["store"]);
});
