import assert from "node:assert/strict";
import { test } from "node:test";
import { idsOf, requestTo } from "./requests.fixture.ts";
import type { StoreUnderTest } from "./store-under-test.fixture.ts";

const never = new AbortController().signal;
const dayMs = 86_400_000;

/** What every store promises (`store.ts`) of requests that come again. */
export function testRepeats(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: the same request under the same key has its effect once, and another one is refused`, async () => {
    const { store, person } = await open();
    const ann = await person();
    const key = (fingerprint: string) => ({
      idempotency: { key: "k1", fingerprint: fingerprint.repeat(64) },
    });
    const [first, second, third] = await store.notify([
      requestTo([ann], key("a")),
      requestTo([ann], key("a")),
      requestTo([ann], key("b")),
    ]);
    assert.deepEqual(idsOf(second), idsOf(first));
    assert.deepEqual(idsOf(third), ["idempotency_mismatch"]);
    const [again, other, others] = await store.notify([
      requestTo([ann], key("a")),
      requestTo([ann], key("b")),
      requestTo([ann], { ...key("b"), actor: "key:2" }),
    ]);
    assert.deepEqual([idsOf(again), idsOf(other)], [idsOf(first), ["idempotency_mismatch"]]);
    assert.deepEqual(
      [first, second, again].map((answer) => answer !== undefined && "replayed" in answer && answer.replayed),
      [false, true, true],
    );
    assert.notDeepEqual(idsOf(others), idsOf(first));
    assert.equal((await store.unread(ann)).unread, 2);
  });

  test(`${name}: a key is kept for 24 hours, also when what it has told ended long ago`, async () => {
    const { store, person, clock } = await open();
    const ann = await person();
    const ask = async (fingerprint: string) => {
      const idempotency = { key: "k3", fingerprint: fingerprint.repeat(64) };
      return (await store.notify([requestTo([ann], { idempotency, ttlS: 60 })])).flatMap(idsOf);
    };
    const first = await ask("d");
    clock.advance(dayMs - 1);
    assert.equal(await store.expire(never), 1);
    assert.deepEqual([await ask("d"), await ask("e")], [first, ["idempotency_mismatch"]]);
    assert.equal((await store.unread(ann)).unread, 0);
  });

  test(`${name}: of the same key asked for from everywhere at once, one has its effect, the others are in flight or repeated`, async () => {
    const { store, person } = await open();
    const ann = await person();
    const idempotency = { key: "k2", fingerprint: "c".repeat(64) };
    const answers = (
      await Promise.all(Array.from({ length: 20 }, () => store.notify([requestTo([ann], { idempotency })])))
    ).flat();
    const codes = answers.map((answer) => idsOf(answer)[0] ?? "");
    const done = new Set(codes.filter((code) => code !== "request_in_flight"));
    assert.equal(done.size, 1);
    assert.equal((await store.unread(ann)).unread, 1);
  });

  test(`${name}: an attempt that is repeated because nobody knows what became of it has its effect once`, async () => {
    const { store, person } = await open();
    const [ann, bob] = [await person(), await person()];
    const request = requestTo([ann, bob]);
    const [first] = await store.notify([request]);
    const [again] = await store.notify([request], { again: true });
    assert.deepEqual(idsOf(again), idsOf(first));
    assert.deepEqual(await store.unread(ann), { unread: 1, version: 1 });
  });
}
