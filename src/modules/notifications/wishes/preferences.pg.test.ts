import assert from "node:assert/strict";
import { test } from "node:test";
import { openStage } from "../notifications.fixture.ts";
import { createPostgresStore } from "../postgres-store.ts";
import { requestTo } from "../requests.fixture.ts";
import { quietUntilSeven, who } from "./held.fixture.ts";

test("what is due already is not written again when something else is wished", async () => {
  const { store, person, db } = await openStage(createPostgresStore);
  const ann = await person();
  await store.setPreferences(who(ann), quietUntilSeven);
  await store.notify([requestTo([ann])]);
  const whereIt = async () =>
    (await db.query<{ place: string }>("select ctid::text as place from notification_held")).rows[0]?.place;
  const held = await whereIt();
  await store.setPreferences(who(ann), { ...quietUntilSeven, digest_minutes: 30 });
  const due = await whereIt();
  assert.notEqual(due, held, "it was written when it became due");
  await store.setPreferences(who(ann), { ...quietUntilSeven, digest_minutes: 40 });
  assert.equal(await whereIt(), due);
});
