import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AppError } from "./errors.ts";
import { Batcher, type BatcherOptions } from "./batcher.ts";

/** A batcher whose batches wait until the test answers them. */
function openBatcher(options: Partial<BatcherOptions<number, number>> = {}) {
  const batches: {
    items: readonly number[];
    lane: number;
    answer: (given?: readonly (number | AppError)[]) => void;
    fail: (error: Error) => void;
  }[] = [];
  let now = 0;
  const batcher = new Batcher<number, number>({
    lanes: 1,
    batchItemsMax: 3,
    batchBytesMax: 1_000,
    queueItemsMax: 10,
    queueBytesMax: 10_000,
    timeoutMs: 1_000,
    now: () => now,
    what: "numbers",
    work: (items, lane) => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly (number | AppError)[]>();
      const answer = (given?: readonly (number | AppError)[]): void =>
        resolve(given ?? items.map((item) => item * 10));
      batches.push({ items, lane, answer, fail: reject });
      return promise;
    },
    ...options,
  });
  return { batcher, batches, advance: (ms: number) => (now += ms) };
}

async function turns(count = 3): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

const unsettled = Symbol("unsettled");
async function outcome(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise.catch((error: unknown) => error), turns(5).then(() => unsettled)]);
}

test("batches that are spaced begin no sooner than that, and what comes meanwhile goes together", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { batcher, batches, advance } = openBatcher({ spacingMs: 5 });
  const first = batcher.add(1);
  await turns();
  advance(2);
  batches[0]?.answer();
  assert.equal(await first, 10);
  const later = [batcher.add(2)];
  await turns();
  later.push(batcher.add(3));
  t.mock.timers.tick(2);
  await turns();
  assert.equal(batches.length, 1);
  t.mock.timers.tick(1);
  await turns();
  assert.deepEqual(batches[1]?.items, [2, 3]);
  batches[1]?.answer();
  assert.deepEqual(await Promise.all(later), [20, 30]);
});

test("what comes in one turn goes together, and while it is under way the next gather, up to the bound", async () => {
  const { batcher, batches } = openBatcher();
  const first = [1, 2].map((n) => batcher.add(n));
  await turns();
  const later = [3, 4, 5, 6].map((n) => batcher.add(n));
  await turns();
  assert.deepEqual(
    batches.map(({ items }) => items),
    [[1, 2]],
  );
  batches[0]?.answer();
  assert.deepEqual(await Promise.all(first), [10, 20]);
  await turns();
  assert.deepEqual(batches[1]?.items, [3, 4, 5]);
  batches[1]?.answer();
  await turns();
  assert.deepEqual(batches[2]?.items, [6]);
  batches[2]?.answer();
  assert.deepEqual(await Promise.all(later), [30, 40, 50, 60]);
  assert.equal(batcher.size, 0);
});

test("lanes work side by side, and each in its own order", async () => {
  const { batcher, batches } = openBatcher({ lanes: 2 });
  for (const n of [1, 2, 3, 4]) void batcher.add(n, { lane: n % 2 });
  await turns();
  assert.deepEqual(
    batches.map(({ items, lane }) => [lane, items]),
    [
      [0, [2, 4]],
      [1, [1, 3]],
    ],
  );
  for (const { answer } of batches) answer();
});

test("one more than the queue holds is refused at once, and there is room again after an answer", async () => {
  const { batcher, batches } = openBatcher({ queueItemsMax: 4 });
  const waiting = [1, 2, 3, 4].map((n) => batcher.add(n));
  await assert.rejects(batcher.add(5), (error: unknown) => {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "overloaded");
    assert.equal(error.details.retryAfterS, 1);
    return true;
  });
  await turns();
  batches[0]?.answer();
  await turns();
  const sixth = batcher.add(6);
  batches[1]?.answer();
  await turns();
  batches[2]?.answer();
  assert.deepEqual(await Promise.all([...waiting, sixth]), [10, 20, 30, 40, 60]);
});

test("bytes are bounded too, in the queue and in a batch; one item alone may be as large as the queue", async () => {
  const { batcher, batches } = openBatcher({ batchBytesMax: 100, queueBytesMax: 200 });
  void batcher.add(1, { bytes: 60 });
  void batcher.add(2, { bytes: 40 });
  void batcher.add(3, { bytes: 100 });
  assert.deepEqual(((await outcome(batcher.add(4, { bytes: 1 }))) as AppError).code, "overloaded");
  await turns();
  assert.deepEqual(
    batches.map(({ items }) => items),
    [[1, 2]],
  );
  batches[0]?.answer();
  await turns();
  assert.deepEqual(batches[1]?.items, [3]);
  batches[1]?.answer();
  await turns();
  void batcher.add(5, { bytes: 200 });
  await turns();
  assert.deepEqual(batches[2]?.items, [5]);
  batches[2]?.answer();
});

test("an item that is refused among the answers is refused alone", async () => {
  const { batcher, batches } = openBatcher();
  const [first, second] = [batcher.add(1), batcher.add(2)];
  await turns();
  batches[0]?.answer([new AppError("forbidden"), 2]);
  await assert.rejects(first, { code: "forbidden" });
  assert.equal(await second, 2);
});

test("a batch that fails is halved until the guilty stand alone: all others are answered", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(30)), fc.integer({ min: 1, max: 30 }), async (guilty, count) => {
      const batcher = new Batcher<number, number>({
        lanes: 1,
        batchItemsMax: 16,
        batchBytesMax: 1,
        queueItemsMax: 100,
        queueBytesMax: 1,
        timeoutMs: 1_000,
        now: () => 0,
        what: "numbers",
        work: (items) =>
          items.some((item) => guilty.includes(item))
            ? Promise.reject(new Error("cannot take one of them"))
            : Promise.resolve(items),
      });
      const items = Array.from({ length: count }, (_, i) => i);
      const outcomes = await Promise.allSettled(items.map((item) => batcher.add(item)));
      assert.deepEqual(
        items.filter((_, i) => outcomes[i]?.status === "rejected"),
        items.filter((item) => guilty.includes(item)),
      );
    }),
    { numRuns: 50 },
  );
});

test("no item is to blame for a database that is away or at a limit: one attempt, and all are told to try again", async () => {
  for (const code of ["ECONNREFUSED", "57P03", "57014", "40001"]) {
    const { batcher, batches } = openBatcher();
    const waiting = [1, 2, 3].map((n) => outcome(batcher.add(n)));
    await turns();
    batches[0]?.fail(Object.assign(new Error("the database is away"), { code }));
    for (const error of await Promise.all(waiting)) {
      assert.ok(error instanceof AppError, code);
      assert.deepEqual([error.code, error.details.retryAfterS], ["unavailable", 1]);
    }
    await turns();
    assert.equal(batches.length, 1, code);
  }
});

test("a half in which nobody waits any more is not tried, and of the other only those who do", async () => {
  const { batcher, batches, advance } = openBatcher({ batchItemsMax: 8 });
  const early = [1, 2, 3, 4, 5].map((n) => assert.rejects(batcher.add(n), { code: "unavailable" }));
  advance(500);
  const late = batcher.add(6);
  await turns();
  advance(501);
  await Promise.all(early);
  batches[0]?.fail(new Error("cannot take one of them"));
  await turns();
  assert.deepEqual(
    batches.map(({ items }) => items),
    [[1, 2, 3, 4, 5, 6], [6]],
  );
  batches[1]?.answer();
  assert.equal(await late, 60);
});

test("who waits too long is told that the outcome is unknown; what was not begun is not begun any more", async () => {
  const { batcher, batches, advance } = openBatcher({ batchItemsMax: 1 });
  const [begun, queued] = [batcher.add(1), batcher.add(2)];
  await turns();
  advance(1_001);
  for (const late of [begun, queued]) await assert.rejects(late, { code: "unavailable" });
  batches[0]?.answer();
  await turns();
  assert.equal(batches.length, 1);
  assert.equal(batcher.size, 0);
});

test("an answer that is missing is a fault, not a success", async () => {
  const { batcher, batches } = openBatcher();
  const [first, second] = [batcher.add(1), batcher.add(2)];
  await turns();
  batches[0]?.answer([1]);
  assert.equal(await first, 1);
  await assert.rejects(second, /without an answer/);
});

test("what took too long is told so once, however long its batch goes on without an answer", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { batcher, advance } = openBatcher();
  const errors: unknown[] = [];
  for (let i = 0; i < 5; i++) batcher.add(i).catch((error: unknown) => errors.push(error));
  await turns();
  advance(1_000);
  const made = t.mock.method(Error, "captureStackTrace");
  for (let i = 0; i < 10; i++) t.mock.timers.tick(1_000);
  await turns();
  assert.equal(errors.length, 5);
  assert.ok(made.mock.callCount() <= 5, `${made.mock.callCount()} errors were made`);
});
