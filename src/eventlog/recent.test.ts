import assert from "node:assert/strict";
import { test } from "node:test";
import v8 from "node:v8";
import vm from "node:vm";
import fc from "fast-check";
import { uuidv7 } from "../../protocol/ids.ts";
import { type Entry, jsonText, redactedType } from "./eventlog.ts";
import { RecentEntries } from "./recent.ts";

const partitions = 2;
const bounds = { entriesMax: 12, bytesMax: 20_000, totalBytesMax: 40_000 };

function entry(partition: number, offset: number, dataLength = 0): Entry {
  return {
    id: uuidv7(),
    partition,
    offset,
    topic: "room/1",
    type: "test.happened",
    time: 0,
    actor: "system",
    data: jsonText("x".repeat(dataLength)),
    trace: undefined,
  };
}

/** What happens to the log, as the process that keeps recent entries lives it. */
type Step =
  /** Own entries that lie side by side. */
  | { readonly kind: "add"; readonly partition: number; readonly sizes: readonly number[] }
  /** Offsets that went to another process, or to nobody. */
  | { readonly kind: "foreign"; readonly partition: number; readonly count: number }
  | { readonly kind: "clear"; readonly partition: number | undefined }
  | { readonly kind: "read"; readonly partition: number; readonly back: number; readonly limit: number };

const partition = fc.nat(partitions - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("add"), partition, sizes: sizes() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("foreign"), partition, count: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("clear"),
      partition: fc.option(partition, { nil: undefined }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("read"),
      partition,
      back: fc.nat(30),
      limit: fc.integer({ min: 1, max: 20 }),
    }),
  },
);

function sizes(): fc.Arbitrary<number[]> {
  return fc.array(fc.oneof(fc.nat(50), fc.integer({ min: 1_000, max: 12_000 })), {
    minLength: 1,
    maxLength: 8,
  });
}

/** The truth in plain arrays: the log of one partition, and the own entries since the last hole or clearing. */
class Model {
  readonly log: (Entry | undefined)[] = [];
  run: Entry[] = [];

  add(entries: readonly Entry[]): void {
    if (this.run.at(-1)?.offset !== this.log.length) this.run = [];
    this.log.push(...entries);
    this.run.push(...entries);
  }

  /** The newest of the run, as many as both bounds allow; an entry counts as the ring counts it. */
  kept(): Entry[] {
    let bytes = 0;
    const fits = this.run.toReversed().findIndex(({ data }, i) => {
      bytes += data.length * 2 + 400;
      return i >= bounds.entriesMax || bytes > bounds.bytesMax;
    });
    return fits === -1 ? this.run : this.run.slice(this.run.length - fits);
  }

  read(after: number, limit: number): Entry[] | undefined {
    const kept = this.kept();
    const from = kept.findIndex(({ offset }) => offset === after + 1);
    return from === -1 ? undefined : kept.slice(from, from + limit);
  }
}

function apply(step: Step, recent: RecentEntries, models: readonly Model[]): void {
  const model = models[step.partition ?? 0]!;
  switch (step.kind) {
    case "add": {
      const entries = step.sizes.map((size, i) => entry(step.partition, model.log.length + 1 + i, size));
      model.add(entries);
      recent.add(entries);
      return;
    }
    case "foreign":
      for (let i = 0; i < step.count; i++) model.log.push(undefined);
      return;
    case "clear":
      recent.clear(step.partition);
      for (const each of step.partition === undefined ? models : [model]) each.run = [];
      return;
    case "read": {
      const after = Math.max(0, model.log.length - step.back);
      const answer = recent.read(step.partition, after, step.limit);
      assert.deepEqual(answer, model.read(after, step.limit));
      if (answer !== undefined) assert.deepEqual(answer, model.log.slice(after, after + answer.length));
      return;
    }
    default:
      step satisfies never;
  }
}

test("whatever is added, cleared or appended by others, an answer is exactly what the log holds there", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const recent = new RecentEntries(bounds);
      const models = Array.from({ length: partitions }, () => new Model());
      for (const each of steps) apply(each, recent, models);
    }),
    { numRuns: 1_000 },
  );
});

test("the newest entries up to the bound are at hand, the one before them is not", () => {
  const recent = new RecentEntries({ entriesMax: 100, bytesMax: 1_000_000, totalBytesMax: 1_000_000 });
  for (let offset = 1; offset <= 1_000; offset++) recent.add([entry(0, offset)]);
  assert.equal(recent.read(0, 900, 1_000)?.length, 100);
  assert.equal(recent.read(0, 899, 1_000), undefined);
  assert.equal(recent.read(0, 1_000, 1), undefined);
});

test("an entry that is larger than the bound is not kept, and the next one is", () => {
  const recent = new RecentEntries({ entriesMax: 100, bytesMax: 10_000, totalBytesMax: 1_000_000 });
  recent.add([entry(0, 1), entry(0, 2, 20_000)]);
  assert.equal(recent.read(0, 0, 10), undefined);
  assert.equal(recent.read(0, 1, 10), undefined);
  recent.add([entry(0, 3)]);
  assert.deepEqual(
    recent.read(0, 2, 10)?.map(({ offset }) => offset),
    [3],
  );
});

test("beyond the bound for all partitions, those that were appended to the longest time ago are forgotten", () => {
  const entryBytes = jsonText("x".repeat(1_000)).length * 2 + 400;
  const recent = new RecentEntries({ entriesMax: 10, bytesMax: 10_000, totalBytesMax: 3 * entryBytes });
  const kept = (): number[] => [0, 1, 2, 3].filter((each) => recent.read(each, 0, 1) !== undefined);
  for (const each of [0, 1, 2]) recent.add([entry(each, 1, 1_000)]);
  assert.deepEqual(kept(), [0, 1, 2]);
  recent.add([entry(3, 1, 1_000)]);
  assert.deepEqual(kept(), [1, 2, 3]);
  recent.clear(2);
  recent.add([entry(1, 2, 1_000)]);
  assert.deepEqual(kept(), [1, 3]);
  recent.add([entry(2, 1, 1_000)]);
  assert.deepEqual(kept(), [1, 2]);
});

test("what the bounds push out is let go of", async () => {
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc") as () => void;
  const recent = new RecentEntries({ entriesMax: 1_000, bytesMax: 20_000, totalBytesMax: 1_000_000 });
  const added = Array.from({ length: 200 }, (_, i) => {
    const one = entry(0, i + 1, 1_000);
    recent.add([one]);
    return new WeakRef(one);
  });
  // A weak reference holds its target until the turn in which it was made has ended.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  const alive = added.filter((each) => each.deref() !== undefined).length;
  assert.ok(alive <= 20, `${alive} of ${added.length} entries are still in memory`);
});

test("entries of another process are kept in order, beside one's own, and not where they leave a hole", () => {
  const recent = new RecentEntries(bounds);
  recent.add([entry(0, 1)]);
  recent.addForeign([entry(1, 4), entry(0, 3), entry(0, 2), entry(1, 7)]);
  assert.deepEqual(
    recent.read(0, 0, 10)?.map(({ offset }) => offset),
    [1, 2, 3],
  );
  assert.equal(recent.read(1, 3, 10), undefined);
});

test("what another process has redacted is not read from here any more", () => {
  const recent = new RecentEntries(bounds);
  recent.add([entry(0, 1), entry(0, 2)]);
  recent.addForeign([{ ...entry(0, 3), type: redactedType }]);
  for (const after of [0, 1, 2]) assert.equal(recent.read(0, after, 10), undefined);
});
