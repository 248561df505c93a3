import type { Consumer } from "../../src/eventlog/consumer.ts";
import { Worker } from "../../src/worker/worker.ts";
import type { TemporaryPostgres } from "../harness/postgres.ts";
import { benchLog } from "../harness/postgres.ts";
import { verify } from "../harness/bench.ts";
import { type Amount, addAndDrain, effectSchema, insertEffects, verifyEffects } from "./effects.ts";
import { entryTypes, nextEntries } from "./entries.ts";
import { openLog, storedEntries } from "./tidings-log.ts";

/**
 * Entries per second that are appended and consumed effectively once: one consumer of one worker, its effects and its
 * checkpoint in one transaction, appending and consuming at the same time in one process.
 */
export async function measureConsume(
  postgres: TemporaryPostgres,
  { warmUpItems, items }: Amount,
): Promise<number> {
  await using database = await postgres.createDatabase();
  await using log = await openLog(database.address);
  await log.db.query(effectSchema);
  const counter = new EffectCounter();
  const worker = new Worker({ ...log, log: benchLog, consumers: [effectConsumer(counter)], timers: [] });
  await worker.start();
  try {
    const round = (count: number): Promise<number> => {
      const target = counter.committed + count;
      return addAndDrain(
        count,
        (size) => log.eventlog.append(nextEntries(size)),
        () => counter.reached(target),
      );
    };
    await round(warmUpItems);
    await database.checkpoint();
    const rate = await round(items);
    const { count, distinct } = await storedEntries(log.db);
    const expected = warmUpItems + items;
    verify(count === expected && distinct === expected, `${expected} entries appended, ${count} stored`);
    await verifyEffects(log.db, expected, "Tidings");
    return rate;
  } finally {
    await worker.stop();
  }
}

function effectConsumer(counter: EffectCounter): Consumer {
  return {
    group: "bench-effects",
    kind: "projection",
    types: entryTypes,
    start: "first",
    onPoison: "skip",
    batchMax: 1_000,
    attemptsMax: 5,
    handle: async (entries, tx) => {
      await tx.query(
        insertEffects,
        [entries.map(({ id }) => id), entries.map(({ topic }) => topic), entries.map(({ data }) => data)],
        { name: "bench_effects" },
      );
      tx.afterCommit(() => counter.add(entries.length));
    },
  };
}

/** Counts committed effects and wakes who waits for a number of them. */
class EffectCounter {
  committed = 0;
  #target = Number.POSITIVE_INFINITY;
  #wake: (() => void) | undefined;

  add(count: number): void {
    this.committed += count;
    if (this.committed >= this.#target) this.#wake?.();
  }

  async reached(target: number): Promise<void> {
    if (this.committed >= target) return;
    await new Promise<void>((resolve) => {
      this.#target = target;
      this.#wake = resolve;
    });
  }
}
