import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../../../test/harness.ts";
import { startTestApp } from "../../../test/app.ts";
import { forgetBatchMax, forgetRequests, keyKeptMs } from "./expire.ts";
import { createNotifications } from "./module.ts";
import { openStage } from "./notifications.fixture.ts";
import { createPostgresStore } from "./postgres-store.ts";
import { idsOf, requestTo } from "./requests.fixture.ts";

const never = new AbortController().signal;
const dayMs = 86_400_000;

/** A request under a key, and whoever asks for it again. */
async function openScene() {
  const stage = await openStage(createPostgresStore);
  const ann = await stage.person();
  const ask = async (key: string, fingerprint = "a") => {
    const idempotency = { key, fingerprint: fingerprint.repeat(64) };
    const [answer] = await stage.store.notify([requestTo([ann], { idempotency, ttlS: 7 * 86_400 })]);
    return {
      id: idsOf(answer)[0],
      isReplayed: answer !== undefined && "replayed" in answer && answer.replayed,
    };
  };
  const unread = async () => (await stage.store.unread(ann)).unread;
  return { ...stage, ann, ask, unread, forget: () => forgetRequests(stage, never) };
}

test("a key is kept for 24 hours: until then a repeat has the same answer and no effect, and another request is refused", async () => {
  const { ask, unread, forget, clock } = await openScene();
  assert.equal(keyKeptMs, dayMs);
  const first = await ask("k");
  assert.equal(first.isReplayed, false);
  for (const passMs of [dayMs - 1, 1]) {
    clock.advance(passMs);
    await forget();
    assert.deepEqual(await ask("k"), { ...first, isReplayed: true });
    assert.equal((await ask("k", "b")).id, "idempotency_mismatch");
    assert.equal(await unread(), 1);
  }
});

test("a key is forgotten after 24 hours: the same request, or another one, has its effect anew, and is kept anew", async () => {
  const { ask, unread, forget, clock } = await openScene();
  const [first, other] = [await ask("k"), await ask("other")];
  clock.advance(1);
  const later = await ask("later");
  clock.advance(dayMs);
  await forget();
  const again = await ask("k");
  assert.equal(again.isReplayed, false);
  assert.notEqual(again.id, first.id);
  const changed = await ask("other", "b");
  assert.equal(changed.isReplayed, false);
  assert.notEqual(changed.id, other.id);
  assert.deepEqual(await ask("later"), { ...later, isReplayed: true }, "it is a millisecond younger");
  assert.equal(await unread(), 5);
  await forget();
  assert.deepEqual(await ask("k"), { ...again, isReplayed: true });
});

test("more keys than one transaction forgets are all forgotten at once, and no younger one with them", async () => {
  const { store, ann, ask, forget, clock, db } = await openScene();
  const requests = Array.from({ length: forgetBatchMax + 1 }, (_, n) =>
    requestTo([ann], { idempotency: { key: `k${n}`, fingerprint: "a".repeat(64) } }),
  );
  await store.notify(requests);
  clock.advance(dayMs);
  await ask("young");
  clock.advance(1);
  await forget();
  const { rows } = await db.query<{ key: string }>("select key from notification_request");
  assert.deepEqual(
    rows.map(({ key }) => key),
    ["young"],
  );
});

test("the server forgets keys on its clock, beside what has ended", async (t) => {
  const { app } = await startTestApp(t);
  // The server beside it goes by the clock of the machine: to it, none of this is old.
  const clock = manualClock(Date.now());
  const { timers } = createNotifications({ ...app.deps, clock });
  const { rows } = await app.deps.db.query<{ id: number }>(
    "insert into account_user (username, name) values ('ann', 'Ann') returning id",
  );
  const store = createPostgresStore({ ...app.deps, clock });
  const idempotency = { key: "k", fingerprint: "a".repeat(64) };
  const ask = async () => (await store.notify([requestTo([rows[0]?.id ?? 0], { idempotency })]))[0];
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await timers.find(({ name }) => name === "notification expiry")?.run(never);
  };
  const first = idsOf(await ask());
  await pass(dayMs);
  assert.deepEqual(idsOf(await ask()), first);
  await pass(1);
  assert.notDeepEqual(idsOf(await ask()), first);
});
