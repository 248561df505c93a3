import assert from "node:assert/strict";
import { test } from "node:test";
import { idsOf, requestTo } from "../requests.fixture.ts";
import type { StoreUnderTest } from "../store-under-test.fixture.ts";
import {
  digest,
  heldUntil,
  hourMs,
  minuteMs,
  quietUntilSeven,
  told,
  who,
  wordsTold,
} from "./held.fixture.ts";

const never = new AbortController().signal;

/** What every store promises (`store.ts`) of digests. */
export function testDigests(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: a digest takes what comes at the same time once, and is told once`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    await store.setPreferences(who(ann), { categories: { news: digest }, digest_minutes: 30 });
    const answers = (
      await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          store.notify([requestTo([ann], { category: "news", message: `n${n}` })]),
        ),
      )
    ).flat();
    const ids = new Set(answers.flatMap(idsOf));
    assert.equal(ids.size, 1, "they all are the same digest");
    assert.deepEqual([...new Set(answers.flatMap(heldUntil))], ["2026-01-01T00:30:00.000Z"]);
    clock.advance(30 * minuteMs - 1);
    assert.equal(await store.release(never), 0);
    // What comes late joins it, and does not put it off.
    await store.notify([requestTo([ann], { category: "news", message: "last" })]);
    clock.advance(1);
    assert.equal(await store.release(never), 1);
    const [{ notification } = assert.fail(), ...rest] = await told(stage, ann);
    assert.equal(rest.length, 0);
    assert.deepEqual(
      [notification.gathered, notification.notification_id, notification.message.split("\n").length],
      [21, [...ids][0], 21],
    );
    assert.match(notification.message, /^\+1\n.*last$/s);
    assert.deepEqual(await store.unread(ann), { unread: 1, version: 1 });
    const [next] = await store.notify([requestTo([ann], { category: "news" })]);
    assert.notDeepEqual(idsOf(next), [...ids], "the next one is another digest");
  });

  test(`${name}: a digest that would close in quiet hours gathers until they end`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    const bob = await person();
    await store.setPreferences(who(ann), { ...quietUntilSeven, default: digest });
    await store.setPreferences(who(bob), { default: digest });
    const [answer] = await store.notify([requestTo([ann, bob], { message: "1" })]);
    assert.deepEqual(heldUntil(answer), ["2026-01-01T07:00:00.000Z", "2026-01-01T01:00:00.000Z"]);
    // Where the wish comes after it was opened, it is put off when it is due.
    await store.setPreferences(who(bob), { ...quietUntilSeven, default: digest });
    clock.advance(hourMs);
    assert.equal(await store.release(never), 0);
    clock.advance(6 * hourMs - 1);
    assert.equal(await store.release(never), 0);
    clock.advance(1);
    await store.notify([requestTo([ann, bob], { message: "2" })]);
    assert.equal(await store.release(never), 2);
    for (const id of [ann, bob]) assert.deepEqual(await wordsTold(stage, id), ["1\n2"]);
  });

  test(`${name}: an attempt that is repeated after its digest was told makes another one, which is told as well`, async () => {
    const stage = await open();
    const { store, person } = stage;
    const [ann, bob] = [await person(), await person()];
    for (const id of [ann, bob]) await store.setPreferences(who(id), { default: digest });
    const request = requestTo([ann]);
    await store.notify([request, requestTo([bob])]);
    await store.setPreferences(who(ann), {});
    assert.equal(await store.release(never), 1);
    await store.setPreferences(who(ann), { default: digest });
    stage.clock.advance(1);
    await store.notify([request], { again: true });
    stage.clock.advance(hourMs);
    assert.equal(await store.release(never), 2);
    assert.deepEqual([(await told(stage, ann)).length, (await told(stage, bob)).length], [2, 1]);
  });

  test(`${name}: more digests than one step closes are all closed`, async () => {
    const { store, person, clock, stepMax } = await open();
    const people = await Promise.all(Array.from({ length: stepMax.closed + 1 }, person));
    for (const id of people) await store.setPreferences(who(id), { default: digest });
    await store.notify([requestTo(people)]);
    clock.advance(hourMs);
    assert.equal(await store.release(never), people.length);
    for (const id of people) assert.equal((await store.unread(id)).unread, 1);
  });
}
