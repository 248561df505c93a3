import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../../test/harness.ts";
import { openStage } from "./notifications.fixture.ts";
import { createPostgresStore } from "./postgres-store.ts";
import { requestTo } from "./requests.fixture.ts";

test("what ends while others are waited for is not counted by who has waited", async () => {
  const { store, person, clock, db } = await openStage(createPostgresStore);
  const ann = await person();
  await store.notify([requestTo([ann], { ttlS: 5 }), requestTo([ann])]);
  const locked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const holding = db.transaction(async (tx) => {
    await tx.query("select from notification_person where user_id = $1 for update", [ann]);
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  const telling = store.notify([requestTo([ann])]);
  await eventually("it waits", async () => {
    const { rows } = await db.query("select from pg_locks where not granted");
    return rows.length > 0;
  });
  clock.advance(6_000);
  released.resolve();
  await Promise.all([holding, telling]);
  assert.deepEqual(await store.unread(ann), { unread: 2, version: 3 });
  const { notifications } = await store.list(ann, {});
  assert.equal(notifications[0]?.created_at, new Date(clock.now()).toISOString());
});
