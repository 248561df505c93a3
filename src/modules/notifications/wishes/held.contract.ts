import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewPreferences } from "../../../../protocol/preferences.ts";
import { limits } from "../../../../protocol/limits.ts";
import { toldNothing } from "../store.ts";
import { idsOf, requestTo } from "../requests.fixture.ts";
import type { StoreUnderTest } from "../store-under-test.fixture.ts";
import {
  digest,
  each,
  heldUntil,
  hourMs,
  off,
  quietUntilSeven,
  told,
  who,
  wordsTold,
} from "./held.fixture.ts";

const never = new AbortController().signal;

/** What every store promises (`store.ts`) of what is told later because of what the person wishes. */
export function testHeld(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: in quiet hours what is told is held, counts nowhere, and is told when they end, in order and in full`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const [ann, bob] = [await person(), await person()];
    await store.setPreferences(who(ann), quietUntilSeven);
    const [first] = await store.notify([requestTo([ann, bob], { message: "1", ttlS: 60 })]);
    const [second] = await store.notify([requestTo([ann], { message: "2", ttlS: 60 })]);
    assert.deepEqual(heldUntil(first), ["2026-01-01T07:00:00.000Z", undefined]);
    assert.deepEqual(await store.unread(ann), { unread: 0, version: 0 });
    assert.deepEqual((await store.list(ann, { state: "any" })).notifications, []);
    assert.deepEqual(await store.replay([{ userId: ann, after: toldNothing }]), [[]]);
    assert.deepEqual(await told(stage, ann), []);
    clock.advance(7 * hourMs - 1);
    assert.equal(await store.release(never), 0);
    clock.advance(1);
    assert.equal(await store.release(never), 2);
    assert.equal(await store.release(never), 0);
    const [one, two, ...rest] = await told(stage, ann);
    assert.deepEqual([one?.notification.message, two?.notification.message, rest.length], ["1", "2", 0]);
    assert.deepEqual(
      [one?.notification.notification_id, two?.notification.notification_id],
      [idsOf(first)[0], idsOf(second)[0]],
    );
    assert.equal(
      one?.notification.expires_at,
      "2026-01-01T07:01:00.000Z",
      "it ends so long after it is told",
    );
    assert.equal(one?.notification.created_at, "2026-01-01T00:00:00.000Z", "it is as old as it is");
    assert.deepEqual([two?.unread, two?.version], [2, 2]);
    assert.deepEqual(await store.unread(ann), { unread: 2, version: 2 });
  });

  test(`${name}: what is critical is told at once, whatever anybody wishes`, async () => {
    const stage = await open();
    const { store, person } = stage;
    const ann = await person();
    for (const wished of [
      quietUntilSeven,
      { muted_until: "2027-01-01T00:00:00Z" },
      { default: off },
      { default: digest },
    ]) {
      await store.setPreferences(who(ann), wished);
      const [answer] = await store.notify([requestTo([ann], { critical: true })]);
      assert.deepEqual(heldUntil(answer), [undefined]);
    }
    assert.equal((await told(stage, ann)).length, 4);
  });

  test(`${name}: who does not want to be told is named, and nothing is kept for later`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const [ann, bob] = [await person(), await person()];
    await store.setPreferences(who(ann), {
      muted_until: "2026-01-01T01:00:00Z",
      categories: { ads: off, news: each },
    });
    const ask = async (category: string) =>
      idsOf((await store.notify([requestTo([ann, bob], { category, message: category })]))[0])[0];
    assert.deepEqual([await ask("news"), await ask("ads")], ["muted", "muted"]);
    assert.equal((await store.unread(bob)).unread, 2);
    clock.advance(hourMs);
    assert.notEqual(await ask("news"), "muted");
    assert.notEqual(
      await ask("constructor"),
      "muted",
      "a category by the name of an object's own member is none",
    );
    assert.equal(await ask("ads"), "muted");
    assert.equal(await store.release(never), 0);
    assert.deepEqual(await wordsTold(stage, ann), ["news", "constructor"]);
  });

  test(`${name}: who has quiet hours again before it could be told is told when these end`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    await store.notify([requestTo([ann], { message: "late" })]);
    clock.advance(23 * hourMs);
    assert.equal(await store.release(never), 0);
    clock.advance(8 * hourMs);
    assert.equal(await store.release(never), 1);
    assert.deepEqual(await wordsTold(stage, ann), ["late"]);
  });

  test(`${name}: a pause puts off what was accepted before it, and loses nothing of it`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    const wished: NewPreferences = { ...quietUntilSeven, digest_minutes: 5, categories: { news: digest } };
    await store.setPreferences(who(ann), wished);
    for (const category of ["general", "news"])
      await store.notify([requestTo([ann], { category, message: category })]);
    await store.setPreferences(who(ann), { ...wished, muted_until: "2026-01-01T00:30:00Z" });
    assert.equal(await store.release(never), 0);
    // The pause outlasts the quiet hours.
    await store.setPreferences(who(ann), { ...wished, muted_until: "2026-01-01T08:00:00Z" });
    clock.advance(8 * hourMs - 1);
    assert.equal(await store.release(never), 0);
    clock.advance(1);
    await store.release(never);
    assert.deepEqual((await wordsTold(stage, ann)).toSorted(), ["general", "news"]);
  });

  test(`${name}: an attempt that is repeated because nobody knows what became of it holds once`, async () => {
    const { store, person, clock } = await open();
    const [ann, bob] = [await person(), await person()];
    await store.setPreferences(who(ann), quietUntilSeven);
    await store.setPreferences(who(bob), { default: digest });
    const request = requestTo([ann, bob, ann]);
    const [first] = await store.notify([request]);
    const [again] = await store.notify([request], { again: true });
    assert.deepEqual([idsOf(again), heldUntil(again)], [idsOf(first), heldUntil(first)]);
    clock.advance(7 * hourMs);
    assert.equal(await store.release(never), 2);
    assert.deepEqual([(await store.unread(ann)).unread, (await store.unread(bob)).unread], [1, 1]);
    assert.equal((await store.list(bob, {})).notifications[0]?.gathered, 1);
  });

  test(`${name}: the same request under the same key is held once, and answered in the same way`, async () => {
    const { store, person } = await open();
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    const idempotency = { key: "held", fingerprint: "a".repeat(64) };
    const [first] = await store.notify([requestTo([ann], { idempotency })]);
    const [again] = await store.notify([requestTo([ann], { idempotency })]);
    assert.deepEqual([idsOf(again), heldUntil(again)], [idsOf(first), heldUntil(first)]);
  });

  test(`${name}: what is held takes its place among what waits for a person, so that there is room when it is told`, async () => {
    const stage = await open();
    const { store, person, clock, stepMax } = stage;
    const ann = await person();
    const max = limits.notificationsPerPerson;
    await store.setPreferences(who(ann), { ...quietUntilSeven, categories: { news: digest } });
    const ask = (count: number, parts: Parameters<typeof requestTo>[1]) =>
      store.notify(Array.from({ length: count }, () => requestTo([ann], parts)));
    await ask(stepMax.told + 1, { ttlS: 86_400 });
    await ask(1_000, { category: "news" });
    await ask(max - 1 - (stepMax.told + 1) - 1_000, { critical: true, ttlS: 86_400 });
    const [fits, full, digested] = [...(await ask(2, {})), ...(await ask(1, { category: "news" }))];
    assert.equal(idsOf(fits)[0]?.length, 36);
    assert.deepEqual([full, digested].flatMap(idsOf), ["inbox_full", "inbox_full"]);
    const told = max - 2 - stepMax.told - 1_000;
    assert.equal((await store.unread(ann)).unread, told);
    clock.advance(7 * hourMs);
    assert.equal(await store.release(never), stepMax.told + 3);
    assert.equal((await store.unread(ann)).unread, max - 1_000 + 1, "a thousand have become one");
    const [roomy] = await ask(1, {});
    assert.equal(idsOf(roomy)[0]?.length, 36, "and there is room again");
  });

  test(`${name}: what is critical does not wait behind what is held, and has the bound of its own`, async () => {
    const { store, person } = await open();
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    const ask = async (parts: Parameters<typeof requestTo>[1]) =>
      (await store.notify([requestTo([ann], { waitingMax: 2, ...parts })])).flatMap(idsOf)[0]?.length;
    assert.deepEqual([await ask({}), await ask({}), await ask({})], [36, 36, "inbox_full".length]);
    const critical = { critical: true };
    assert.deepEqual(
      [await ask(critical), await ask(critical), await ask(critical)],
      [36, 36, "inbox_full".length],
    );
    assert.equal(await ask({ waitingMax: 5 }), 36);
    assert.equal(await ask({ waitingMax: 5 }), "inbox_full".length);
  });
}
