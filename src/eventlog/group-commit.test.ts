import assert from "node:assert/strict";
import { mock, test as nodeTest } from "node:test";
import fc from "fast-check";
import { uuidv7 } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { AppError } from "../lib/errors.ts";
import type { JsonText, NewEntry } from "./eventlog.ts";
import {
  type CommitBatch,
  GroupCommit,
  type QueuedEntry,
  batchBytesMax,
  batchEntriesMax,
  jointEntriesMax,
  queueBytesMax,
} from "./group-commit.ts";

const lanes = 2;
const timeoutMs = 1_000;
const poison = "test.poison";
/** No less than the pause between two looks at the deadlines. */
const sweepMs = 100;

/**
 * Sweepers run when a test says so; one that fails leaves none behind that would keep the process alive. Only while it
 * runs: other files share the process, and what they load must find the real timers.
 */
function test(name: string, body: () => Promise<void>): void {
  nodeTest(name, async (t) => {
    mock.timers.enable({ apis: ["setInterval"] });
    t.after(() => mock.timers.reset());
    await body();
  });
}

/** A topic is the number of its partition. */
function append(group: GroupCommit, entries: readonly NewEntry[]): Promise<readonly number[]> {
  return group.append(
    entries,
    entries.map(({ topic }) => Number(topic)),
  );
}

function entry(partition: number, data = "{}", type = "test.happened"): NewEntry {
  return { id: uuidv7(), topic: String(partition), type, actor: "system", data: data as JsonText };
}

function open(commit: CommitBatch, queueEntriesMax = 100_000, now = () => 0): GroupCommit {
  return new GroupCommit({ lanes, queueEntriesMax, timeoutMs, now }, commit);
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** `ok`, or the code or message that a call was refused with. */
function verdictOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "ok",
    (error: unknown) => (error instanceof AppError ? error.code : (error as Error).message),
  );
}

/** The same, or `waiting` when nothing has come of it soon. */
async function outcomeOf(call: Promise<unknown>): Promise<string> {
  return Promise.race([verdictOf(call), turns(3).then(() => "waiting")]);
}

/** A log in memory that checks what it is asked for, is slow, and refuses batches that hold a poisoned entry. */
class FakeLog {
  readonly partitions = new Map<number, NewEntry[]>();
  readonly batches: number[] = [];
  readonly #busy = new Set<number>();
  readonly #underWay = new Set<number>();
  readonly #delays: readonly number[];

  constructor(delays: readonly number[] = [0]) {
    this.#delays = delays;
  }

  readonly commit: CommitBatch = async (batch, lane) => {
    assert.ok(!this.#busy.has(lane), "a lane has one batch on its way");
    this.#busy.add(lane);
    const partitions = new Set(batch.map(({ partition }) => partition));
    assert.ok(partitions.isDisjointFrom(this.#underWay), "a partition is in one batch on its way");
    for (const partition of partitions) this.#underWay.add(partition);
    this.#check(batch);
    await turns(this.#delays[this.batches.length % this.#delays.length] ?? 0);
    this.#busy.delete(lane);
    for (const partition of partitions) this.#underWay.delete(partition);
    if (batch.some(({ entry }) => entry.type === poison)) throw new Error("poisoned");
    return batch.map(({ entry, partition }) => {
      const stored = this.partitions.get(partition) ?? [];
      this.partitions.set(partition, stored);
      return stored.push(entry);
    });
  };

  #check(batch: readonly QueuedEntry[]): void {
    this.batches.push(batch.length);
    assert.ok(batch.length > 0 && batch.length <= batchEntriesMax);
    assert.ok(batch.length === 1 || batch.reduce((sum, { bytes }) => sum + bytes, 0) <= batchBytesMax);
  }
}

/** A commit whose batches the test answers by hand. */
function byHand(): {
  readonly commit: CommitBatch;
  readonly batches: (readonly NewEntry[])[];
  readonly answer: (outcome: "ok" | Error) => Promise<void>;
} {
  const batches: (readonly NewEntry[])[] = [];
  const waiting: { readonly size: number; resolve(offsets: number[]): void; reject(error: Error): void }[] =
    [];
  return {
    batches,
    commit: (batch) => {
      batches.push(batch.map(({ entry }) => entry));
      return new Promise((resolve, reject) => waiting.push({ size: batch.length, resolve, reject }));
    },
    answer: async (outcome) => {
      const batch = waiting.shift();
      assert.ok(batch !== undefined, "no batch is on its way");
      if (outcome === "ok") batch.resolve(Array.from({ length: batch.size }, (_, i) => i + 1));
      else batch.reject(outcome);
      await turns(2);
    },
  };
}

const texts = { small: "{}", medium: `"${"x".repeat(2_000)}"`, large: `"${"x".repeat(150_000)}"` };
const anyEntry = fc.record({
  partition: fc.nat(5),
  size: fc.constantFrom("small" as const, "medium" as const, "large" as const),
  type: fc.oneof(
    { weight: 20, arbitrary: fc.constant("test.happened") },
    { weight: 1, arbitrary: fc.constant(poison) },
  ),
});
const anyCall = fc.record({
  entries: fc.array(anyEntry, { minLength: 1, maxLength: 12, size: "max" }),
  /** Copies of the call's entries, so that batches meet their bound. */
  times: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(300) }),
  pause: fc.nat(3),
});

test("every call is answered once and truly: stored in order per partition at these offsets, or refused for what it holds", async () => {
  const scenario = fc.asyncProperty(
    fc.array(anyCall, { maxLength: 25, size: "max" }),
    fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }),
    async (calls, delays) => {
      const log = new FakeLog(delays);
      const group = open(log.commit);
      const made: NewEntry[][] = [];
      const answers: Promise<readonly number[]>[] = [];
      for (const { entries, times, pause } of calls) {
        const batch = Array.from({ length: times }, () => entries).flatMap((list) =>
          list.map(({ partition, size, type }) => entry(partition, texts[size], type)),
        );
        made.push(batch);
        answers.push(append(group, batch));
        answers.at(-1)?.catch(() => undefined);
        await turns(pause);
      }
      const outcomes = await underWay(Promise.allSettled(answers), log);
      for (const [i, outcome] of outcomes.entries()) checkAnswer(outcome, made[i] ?? [], log);
      await underWay(
        group.close().then(() => "closed"),
        log,
      );
      checkStored(made, outcomes, log);
      assert.deepEqual(group.backlog(), { entries: 0, oldestMs: 0 });
    },
  );
  await fc.assert(scenario, { numRuns: 150 });
});

/** What becomes of the promise; rejects when nothing has although the log has nothing to do any more. */
async function underWay<T>(promise: Promise<T>, log: FakeLog): Promise<T> {
  for (let commits = -1; commits < log.batches.length;) {
    commits = log.batches.length;
    const [found] = await Promise.race([promise.then((value) => [value]), turns(20).then(() => [])]);
    if (found !== undefined) return found;
  }
  throw new Error("something is left in the queue");
}

function checkAnswer(
  outcome: PromiseSettledResult<readonly number[]>,
  entries: readonly NewEntry[],
  log: FakeLog,
): void {
  if (outcome.status === "fulfilled") {
    const found = entries.map(
      ({ topic }, i) => log.partitions.get(Number(topic))?.[(outcome.value[i] ?? 0) - 1]?.id,
    );
    assert.deepEqual(
      found,
      entries.map(({ id }) => id),
    );
  } else if (outcome.reason instanceof AppError) {
    assert.equal(outcome.reason.code, "overloaded");
    const refused = new Set(entries.map(({ id }) => id));
    assert.ok(![...log.partitions.values()].flat().some(({ id }) => refused.has(id)));
  } else {
    assert.equal((outcome.reason as Error).message, "poisoned");
    assert.ok(entries.some(({ type }) => type === poison));
  }
}

/** The entries of calls that succeeded are there once; nothing is there twice or out of the order of the calls. */
function checkStored(
  made: readonly (readonly NewEntry[])[],
  outcomes: readonly PromiseSettledResult<unknown>[],
  log: FakeLog,
): void {
  const stored = new Set([...log.partitions.values()].flat().map(({ id }) => id));
  const expected = made
    .flatMap((call, i) => call.filter(({ id }) => outcomes[i]?.status === "fulfilled" || stored.has(id)))
    .filter(({ type }) => type !== poison);
  for (let partition = 0; partition < 6; partition++) {
    assert.deepEqual(
      (log.partitions.get(partition) ?? []).map(({ id }) => id),
      expected.filter(({ topic }) => Number(topic) === partition).map(({ id }) => id),
    );
  }
}

test("a poisoned entry is found by halving: its neighbours cost it about two commits per level", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: batchEntriesMax }), fc.nat(), async (size, at) => {
      const log = new FakeLog();
      const group = open(log.commit);
      const calls = Array.from({ length: size }, (_, i) =>
        append(group, [entry(0, "{}", i === at % size ? poison : "test.happened")]),
      );
      const outcomes = await Promise.allSettled(calls);
      assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 1);
      assert.equal(outcomes[at % size]?.status, "rejected");
      assert.ok(log.batches.length <= 2 * Math.ceil(Math.log2(size)) + 1, `${log.batches.length} commits`);
    }),
    { numRuns: 50 },
  );
});

test("an idle lane sends what one turn brings, and gathers while a batch is on its way", async () => {
  const { commit, batches, answer } = byHand();
  const group = open(commit);
  const calls = [entry(0), entry(2), entry(0)].map((each) => append(group, [each]));
  await turns(2);
  const later = [];
  for (let i = 0; i < 4; i++) {
    later.push(append(group, [entry(0), entry(0)]));
    await turns(1);
  }
  assert.deepEqual(
    batches.map((batch) => batch.length),
    [3],
  );
  await answer("ok");
  assert.deepEqual(await Promise.all(calls), [[1], [2], [3]]);
  assert.deepEqual(
    batches.map((batch) => batch.length),
    [3, 8],
  );
  await answer("ok");
  await Promise.all(later);
});

test("few entries wait for the batch that is on its way and go together; a lane with many goes beside it", async () => {
  const { commit, batches, answer } = byHand();
  const group = open(commit);
  const stuck = append(group, [entry(0)]);
  await turns(2);
  const few = append(group, [entry(0), entry(1)]);
  await turns(2);
  assert.equal(batches.length, 1);
  const many = append(
    group,
    Array.from({ length: jointEntriesMax }, () => entry(1)),
  );
  await turns(2);
  assert.deepEqual(
    batches.map(({ length }) => length),
    [1, jointEntriesMax + 1],
  );
  await answer("ok");
  await answer("ok");
  assert.deepEqual(await stuck, [1]);
  assert.equal((await many).length, jointEntriesMax);
  await answer("ok");
  assert.equal((await few).length, 2);
});

test("little that waits in one lane goes out although another lane always has much", async () => {
  const { commit, batches, answer } = byHand();
  const group = open(commit);
  const much = (): Promise<unknown> =>
    append(
      group,
      Array.from({ length: jointEntriesMax + 1 }, () => entry(0)),
    );
  const calls = [much()];
  await turns(2);
  const little = entry(1);
  calls.push(much(), append(group, [little]));
  await answer("ok");
  calls.push(much());
  await answer("ok");
  assert.ok(batches.flat().includes(little));
  while (group.backlog().entries > 0) await answer("ok");
  await Promise.all(calls);
});

test("a lane full of entries that nobody waits for any more holds up no other lane, and not the end", async () => {
  const { commit, batches, answer } = byHand();
  const group = open(commit);
  const refused = assert.rejects(
    append(
      group,
      Array.from({ length: batchEntriesMax + jointEntriesMax + 1 }, () => entry(0)),
    ),
  );
  await turns(2);
  const waiting = entry(1);
  const call = append(group, [waiting]);
  await turns(2);
  await answer(new AppError("unavailable"));
  await refused;
  assert.ok(batches.flat().includes(waiting));
  while (group.backlog().entries > 0) await answer("ok");
  await call;
  await group.close();
});

test("a lane has one batch on its way also when another one turns out to hold nothing any more", async () => {
  const { commit, batches, answer } = byHand();
  const { now, pass } = manualTime();
  const group = open(commit, 10_000, now);
  const call = (partition: number, count: number): Promise<string> =>
    verdictOf(
      append(
        group,
        Array.from({ length: count }, () => entry(partition)),
      ),
    );
  const verdicts = [call(0, 1), call(1, 1)];
  await turns(2);
  verdicts.push(call(0, jointEntriesMax + 1));
  pass(timeoutMs);
  verdicts.push(call(1, batchEntriesMax + jointEntriesMax));
  await answer("ok");
  assert.deepEqual(
    batches.map(({ length }) => length),
    [2, batchEntriesMax],
  );
  while (group.backlog().entries > 0) await answer("ok");
  assert.deepEqual(await Promise.all(verdicts), ["unavailable", "unavailable", "unavailable", "ok"]);
});

test("a batch has as many entries as its bound says, and not one more", async () => {
  const log = new FakeLog();
  await append(
    open(log.commit),
    Array.from({ length: 2 * batchEntriesMax + 1 }, () => entry(0)),
  );
  assert.deepEqual(log.batches, [batchEntriesMax, batchEntriesMax, 1]);
});

test("the queue takes as many entries as its bound says: one more is refused and leaves nothing behind", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }),
      async (sizes) => {
        const { commit, batches, answer } = byHand();
        const queueEntriesMax = 60;
        const group = open(commit, queueEntriesMax);
        let queued = 0;
        const accepted: Promise<unknown>[] = [];
        for (const size of sizes) {
          const call = append(
            group,
            Array.from({ length: size }, () => entry(0)),
          );
          if (queued + size > queueEntriesMax) assert.equal(await outcomeOf(call), "overloaded");
          else {
            queued += size;
            accepted.push(call);
          }
          assert.equal(group.backlog().entries, queued);
        }
        await turns(2);
        while (group.backlog().entries > 0) await answer("ok");
        await Promise.all(accepted);
        assert.equal(batches.flat().length, queued);
        const again = append(
          group,
          Array.from({ length: queueEntriesMax }, () => entry(0)),
        );
        assert.equal(await outcomeOf(again), "waiting");
        await answer("ok");
        await again;
      },
    ),
    { numRuns: 100 },
  );
});

test("the queue is bounded in bytes as well, and its room is given back", async () => {
  const { commit, batches, answer } = byHand();
  const group = open(commit);
  const large = "x".repeat(limits.entryDataBytes / 2);
  const room = Math.floor(queueBytesMax / (limits.entryDataBytes + 129));
  const call = (count: number, data?: string): Promise<unknown> =>
    append(
      group,
      Array.from({ length: count }, () => entry(0, data)),
    );
  const full = call(room, large);
  assert.equal(await outcomeOf(call(1, large)), "overloaded");
  const small = call(1);
  assert.equal(group.backlog().entries, room + 1);
  await turns(2);
  while (group.backlog().entries > 0) await answer("ok");
  await Promise.all([full, small]);
  assert.equal(batches.flat().length, room + 1);
  const again = call(room, large);
  assert.equal(await outcomeOf(again), "waiting");
  while (group.backlog().entries > 0) await answer("ok");
  await again;
});

test("a batch that the log refuses as a whole is not halved, and a single entry's error reaches its caller", async () => {
  const { commit, batches, answer } = byHand();
  const group = open(commit);
  const calls = [entry(0), entry(0)].map((each) => append(group, [each]));
  const outcomes = Promise.allSettled(calls);
  await turns(2);
  await answer(new AppError("unavailable"));
  await outcomes;
  assert.deepEqual(await Promise.all(calls.map(outcomeOf)), ["unavailable", "unavailable"]);
  assert.equal(batches.length, 1);
  const alone = assert.rejects(append(group, [entry(0)]), { message: "what nobody could mend" });
  await turns(2);
  await answer(new Error("what nobody could mend"));
  await alone;
});

test("an append of nothing is answered at once", async () => {
  const { commit, batches } = byHand();
  assert.deepEqual(await append(open(commit), []), []);
  assert.equal(batches.length, 0);
});

/** Time by hand, for both the deadlines and the sweeper that looks at them. */
function manualTime(): { readonly now: () => number; readonly pass: (ms: number) => void } {
  let ms = 0;
  return {
    now: () => ms,
    pass: (more) => {
      ms += more;
      mock.timers.tick(sweepMs);
    },
  };
}

test("a commit that never answers: each call is answered `unavailable` at its own deadline, not before", async () => {
  const { commit, batches } = byHand();
  const { now, pass } = manualTime();
  const group = open(commit, 100, now);
  const inFlight = append(group, [entry(0)]);
  await turns(2);
  pass(600);
  const queued = append(group, [entry(0)]);
  assert.deepEqual(group.backlog(), { entries: 2, oldestMs: 600 });
  pass(timeoutMs - 601);
  assert.deepEqual(await Promise.all([inFlight, queued].map(outcomeOf)), ["waiting", "waiting"]);
  pass(1);
  assert.deepEqual(await Promise.all([inFlight, queued].map(outcomeOf)), ["unavailable", "waiting"]);
  pass(600);
  assert.equal(await outcomeOf(queued), "unavailable");
  assert.equal(batches.length, 1);
});

test("the backlog is as old as its oldest entry, whichever lane that is of", async () => {
  const { commit, answer } = byHand();
  const { now, pass } = manualTime();
  const group = open(commit, 100, now);
  const calls = [append(group, [entry(0)])];
  await turns(2);
  pass(100);
  calls.push(append(group, [entry(1)]));
  pass(100);
  calls.push(append(group, [entry(0)]));
  assert.deepEqual(group.backlog(), { entries: 3, oldestMs: 200 });
  await answer("ok");
  assert.deepEqual(group.backlog(), { entries: 2, oldestMs: 100 });
  await answer("ok");
  await Promise.all(calls);
});

test("a late success changes no answer, what timed out in the queue is never sent, and the lane goes on", async () => {
  const { commit, batches, answer } = byHand();
  const { now, pass } = manualTime();
  const group = open(commit, 100, now);
  const early = [entry(0), entry(0)].map((each) => append(group, [each]));
  await turns(2);
  const gaveUp = append(group, [entry(0), entry(2)]);
  pass(timeoutMs);
  assert.deepEqual(await Promise.all([...early, gaveUp].map(outcomeOf)), Array(3).fill("unavailable"));
  const last = entry(0);
  const patient = append(group, [last]);
  await turns(2);
  await answer("ok");
  assert.deepEqual(batches.at(-1), [last]);
  await answer("ok");
  assert.deepEqual(await patient, [1]);
  assert.deepEqual(group.backlog(), { entries: 0, oldestMs: 0 });
});

test("close waits until what was accepted is durable, and refuses the rest", async () => {
  const { commit, answer } = byHand();
  const group = open(commit);
  const first = append(group, [entry(0)]);
  await turns(2);
  const second = append(group, [entry(0)]);
  const closed = group.close();
  assert.equal(await outcomeOf(append(group, [entry(0)])), "draining");
  assert.equal(await outcomeOf(closed), "waiting");
  await answer("ok");
  assert.equal(await outcomeOf(first), "ok");
  assert.equal(await outcomeOf(closed), "waiting");
  await answer("ok");
  assert.deepEqual(await Promise.all([second, closed].map(outcomeOf)), ["ok", "ok"]);
});

test("close of an idle group is immediate, also twice", async () => {
  const group = open(new FakeLog().commit);
  await append(group, [entry(0)]);
  await Promise.all([group.close(), group.close()]);
});

test("close does not outwait a commit that never answers", async () => {
  const { commit } = byHand();
  const { now, pass } = manualTime();
  const group = open(commit, 100, now);
  const call = append(group, [entry(0)]);
  await turns(2);
  const closed = group.close();
  pass(timeoutMs);
  assert.equal(await outcomeOf(call), "unavailable");
  assert.equal(await outcomeOf(closed), "ok");
});
