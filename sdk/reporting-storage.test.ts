import assert from "node:assert/strict";
import { test } from "node:test";
import type { Account } from "../protocol/accounts.ts";
import { AccountServer } from "./account-server.fixture.ts";
import { clientError } from "./errors.ts";
import { reportingStorage, storageMs } from "./reporting-storage.ts";
import { SendQueue } from "./send-queue.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";
import { ManualClock, outcomeOf, settle } from "./world.fixture.ts";

/** A storage whose next calls wait until they are let go, each in its turn or out of it. */
function heldStorage() {
  const memory = memoryStorage();
  const clock = new ManualClock();
  const reported: unknown[] = [];
  const held: (() => void)[] = [];
  const state = { holding: false };
  const later = async <T>(act: () => Promise<T>): Promise<T> => {
    if (state.holding) await new Promise<void>((resolve) => held.push(resolve));
    return act();
  };
  const storage = reportingStorage(
    {
      load: (prefix) => later(() => memory.load(prefix)),
      save: (key, text) => later(() => memory.save(key, text)),
      remove: (key) => later(() => memory.remove(key)),
    },
    clock,
    ({ code, cause }) => reported.push([code, (cause as { readonly code?: string }).code]),
  );
  const letGo = async (): Promise<void> => {
    for (const go of held.splice(0)) go();
    await settle();
  };
  return { storage, memory, clock, reported, state, letGo };
}

test("every failure of a storage is reported, and still one to whoever asked", async () => {
  const reported: unknown[] = [];
  const fail = (what: string) => () => {
    // As a storage of the application's own may do it: at once.
    throw new Error(what);
  };
  const storage = reportingStorage(
    { load: fail("load"), save: fail("save"), remove: fail("remove") },
    new ManualClock(),
    ({ code, cause }) => reported.push([code, (cause as Error).message]),
  );
  await assert.rejects(storage.load(""), /load/);
  await assert.rejects(storage.save("a", "1"), /save/);
  await assert.rejects(storage.remove("a"), /remove/);
  assert.deepEqual(reported, [
    ["storage_failed", "load"],
    ["storage_failed", "save"],
    ["storage_failed", "remove"],
  ]);
});

test("a storage that takes too long has failed, at the bound and not before, and leaves no timer", async () => {
  for (const act of [
    (storage: ClientStorage) => storage.load("a"),
    (storage: ClientStorage) => storage.save("a", "1"),
    (storage: ClientStorage) => storage.remove("a"),
  ]) {
    const { storage, clock, reported, state } = heldStorage();
    state.holding = true;
    const asked = act(storage);
    await clock.pass(storageMs - 1);
    assert.equal(await outcomeOf(asked), "waiting");
    assert.deepEqual(reported, []);
    await clock.pass(1);
    assert.equal(await outcomeOf(asked), "timeout");
    assert.deepEqual(reported, [["storage_failed", "timeout"]]);
    assert.equal(clock.timers, 0);
  }
});

test("what is stored late does not overtake what was asked for after it", async () => {
  const { storage, memory, clock, state, reported, letGo } = heldStorage();
  state.holding = true;
  const late = [outcomeOf(storage.save("a", "old")), storage.save("b", "old")].map((one) => outcomeOf(one));
  await clock.pass(storageMs);
  await Promise.all(late);
  state.holding = false;
  await storage.save("a", "new");
  await storage.remove("b");
  await letGo();
  assert.deepEqual(await memory.load(""), new Map([["a", "new"]]));
  assert.equal(reported.length, 2);
});

test("what is stored late and was not changed since, stays", async () => {
  const { storage, memory, clock, state, letGo } = heldStorage();
  state.holding = true;
  const late = outcomeOf(storage.save("a", "1"));
  await clock.pass(storageMs);
  await late;
  await letGo();
  assert.deepEqual(await memory.load(""), new Map([["a", "1"]]));
});

test("a message that was given up because it could not be stored in time is not left behind", async () => {
  const { storage, memory, clock, state, letGo } = heldStorage();
  const delivered: string[] = [];
  const queue = new SendQueue({
    storage,
    prefix: "outbox/7/",
    clock,
    random: () => 0.5,
    onError: (error) => assert.fail(String(error)),
    deliver: ({ content }) => Promise.resolve(() => void delivered.push(content)),
  });
  await queue.start();
  state.holding = true;
  const sending = queue.send({ roomId: 1, content: "told to have failed" });
  const outcome = outcomeOf(sending);
  await clock.pass(storageMs);
  await outcome;
  assert.equal(await outcomeOf(sending), "storage_failed");
  await letGo();
  await clock.pass(storageMs);
  assert.equal((await memory.load("")).size, 0);
  assert.deepEqual(queue.messages.get(), []);
  assert.deepEqual(delivered, []);
});

test("whoever signs in while the storage hangs is signed in, and what they ask is answered", async () => {
  const clock = new ManualClock();
  const never = (): Promise<never> => new Promise(() => undefined);
  const client = new AccountServer(clock).tab("one", { load: never, save: never, remove: never });
  const login = client.accounts.login({ login: "ann", password: "correct horse" });
  await clock.pass(2 * storageMs);
  assert.equal(((await outcomeOf(login)) as Account).username, "ann");
  const me = client.accounts.me();
  await clock.pass(2 * storageMs);
  assert.equal(((await outcomeOf(me)) as Account).username, "ann");
  // The tokens have ended: they are renewed all the same.
  clock.sleep(895_000);
  const later = client.accounts.me();
  await clock.pass(4 * storageMs);
  assert.equal(((await outcomeOf(later)) as Account).username, "ann");
  // Whether the token was stored after all is asked once, and nobody waits for it.
  await clock.pass(storageMs);
  assert.equal(clock.timers, 0);
});

test("a storage that hangs holds up neither messages nor their repetition", async () => {
  const { storage, clock, state } = heldStorage();
  let isAway = true;
  const delivered: string[] = [];
  const queue = new SendQueue({
    storage,
    prefix: "outbox/7/",
    clock,
    random: () => 0.5,
    onError: (error) => assert.fail(String(error)),
    deliver: ({ content }) =>
      isAway ? Promise.reject(clientError("network")) : Promise.resolve(() => void delivered.push(content)),
  });
  await queue.start();
  await queue.send({ roomId: 1, content: "words" });
  state.holding = true;
  isAway = false;
  await clock.pass(storageMs + 1_000);
  assert.deepEqual(delivered, ["words"]);
});
