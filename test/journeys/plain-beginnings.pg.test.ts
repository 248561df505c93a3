import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { isBroadcastPlace } from "../../protocol/broadcast-rules.ts";
import { BroadcastAccepted } from "../../protocol/broadcasts.ts";
import { limits } from "../../protocol/limits.ts";
import { Notified } from "../../protocol/notifications.ts";
import { Prng } from "../chaos/prng.ts";
import { eventually } from "../harness.ts";
import { openAccounts } from "./accounts.ts";
import { inLanes } from "./lean-client.ts";
import { SeedClient, type SeedFrame, idsOf } from "./notifications.ts";

const connections = 200;
const lanes = 6;
/** Unread from the beginning on, some of them broadcasts: more than one page of what a connection is told first. */
const unreadAtFirst = 130;

/** When each was first heard to be read, anywhere. */
type Acked = Map<string, number>;

/** What one connection heard that it should not have, given when it began. */
function faultsOf(frames: readonly SeedFrame[], begunMs: number, acked: Acked): readonly string[] {
  const faults: string[] = [];
  const pushed = new Set<string>();
  const read = new Set<string>();
  const last: { own: readonly number[]; shared: readonly number[] } = { own: [0, 0], shared: [0, 0] };
  for (const { type, data } of frames) {
    const { notification_id: id } = data;
    if (type === "notification.read.ack") {
      read.add(id);
      continue;
    }
    if (pushed.has(id)) faults.push(`${id} was pushed twice`);
    pushed.add(id);
    const which = isBroadcastPlace(data.stream_id) ? "shared" : "own";
    if (which === "own" && read.has(id)) faults.push(`${id} was pushed after its acknowledgement`);
    if ((acked.get(id) ?? Infinity) < begunMs) faults.push(`${id} was pushed, read before the beginning`);
    const place = data.stream_id.split("-").map(Number);
    const [ms = 0, n = 0] = place;
    const [lastMs = 0, lastN = 0] = last[which];
    if (ms < lastMs || (ms === lastMs && n <= lastN)) faults.push(`${id} was pushed out of order`);
    last[which] = place;
  }
  return faults;
}

/**
 * Connections begin all the time, while a program tells the person and everybody things and devices read them: each hears
 * everything once, in order, and nothing that was known to be read before it began.
 */
test("a connection in the seed's form hears everything once and in order, whatever happens while it begins", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const prng = new Prng(seed);
  const scene = await openAccounts(t, { RATE_LIMIT_CONNECT: "10000/100000", RATE_LIMIT_AUTH: "10000/10000" });
  const key = await scene.key(["notify:write"]);
  const { user, access_token: token } = await scene.register();
  const told = new Set<string>();
  const acked: Acked = new Map();
  const clients = new Set<SeedClient>();
  t.after(() => {
    for (const client of clients) client.drop();
  });
  const done = new AbortController();
  const said = new Set<string>();
  let broadcasts = 0;
  const tellOne = async (): Promise<void> => {
    const json = { message: "Hello", source: "ops" };
    if (prng.chance(0.2) && broadcasts < limits.broadcasts) {
      broadcasts++;
      const answer = await scene.request("POST", "/api/v1/broadcasts", { key, json });
      told.add(answer.as(BroadcastAccepted).broadcast_id);
    } else {
      const own = { ...json, target: [{ id: user.id }] };
      const answer = await scene.request("POST", "/api/v1/notify", { key, json: own });
      for (const id of idsOf(answer.as(Notified).results)) told.add(id);
    }
  };
  const tell = async (): Promise<void> => {
    while (!done.signal.aborted) await tellOne();
  };
  const kept = new Set<string>();
  /** Reads some of what the client has heard, keeps half of all for good, and notes what it knows to be read. */
  const readSome = (client: SeedClient, share: number): void => {
    for (const { notification_id: id } of client.pushes) {
      if (said.has(id) || kept.has(id) || !prng.chance(share)) continue;
      if (prng.chance(0.5)) {
        kept.add(id);
        continue;
      }
      said.add(id);
      client.read(id);
    }
    for (const id of client.acks) if (!acked.has(id)) acked.set(id, performance.now());
  };
  const connect = (): SeedClient => {
    const client = new SeedClient(scene.url, { user_id: user.id }, token);
    clients.add(client);
    return client;
  };
  let heard = 0;
  const faults: string[] = [];
  const comeAndGo = async (): Promise<void> => {
    const begunMs = performance.now();
    const client = await connect().opened();
    for (let looks = prng.between(0, 6); looks > 0; looks--) {
      await new Promise((resolve) => setImmediate(resolve));
      readSome(client, 0.05);
    }
    const due = [...told];
    const isHeard = (id: string): boolean =>
      said.has(id) || client.pushes.some((one) => one.notification_id === id);
    await eventually("what was told before this has been heard", () => due.every(isHeard));
    heard += client.pushes.length;
    faults.push(...faultsOf(client.frames, begunMs, acked));
    client.drop();
    clients.delete(client);
  };
  const stay = async (): Promise<void> => {
    const client = await connect().opened();
    while (!done.signal.aborted) {
      await new Promise((resolve) => setImmediate(resolve));
      readSome(client, 0.05);
    }
  };
  for (let n = 0; n < unreadAtFirst; n++) await tellOne();
  const others = [stay(), tell(), tell(), tell()];
  await inLanes(connections, lanes, comeAndGo).finally(() => done.abort());
  await Promise.all(others);
  t.diagnostic(`${told.size} told, ${heard} heard, ${said.size} read`);
  assert.deepEqual(faults, []);
  // Nothing was lost by it: what is unread is on the last connection, all of it.
  const last = connect();
  await eventually("the last connection has heard all", () =>
    [...told].every((id) => said.has(id) || last.pushes.some((one) => one.notification_id === id)),
  );
});
