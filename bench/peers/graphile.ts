import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Logger, makeWorkerUtils } from "graphile-worker";
import { type Db, type DbAddress, openDb } from "../../src/lib/db.ts";
import { type Amount, addAndDrain, effectSchema, verifyEffects } from "../eventlog/effects.ts";
import { nextEntries } from "../eventlog/entries.ts";
import { verify } from "../harness/bench.ts";
import { type TemporaryPostgres, benchLog } from "../harness/postgres.ts";
import { openPeerPool } from "./peer-pool.ts";

export type GraphileSettings = {
  readonly processes: number;
  readonly concurrentJobs: number;
  readonly localQueueSize: number;
  readonly completeJobBatchDelayMs: number;
  /** `own`: each job inserts its row itself. `shared`: jobs that run at the same time share one INSERT. */
  readonly effects: "own" | "shared";
};

/**
 * The settings its documentation publishes its best figure with (local queue of 500, completions batched, 24 jobs at a
 * time per process), each job doing its own work. Four processes there; on two cores two were faster.
 */
export const publishedSettings: GraphileSettings = {
  processes: 2,
  concurrentJobs: 24,
  localQueueSize: 500,
  completeJobBatchDelayMs: 0,
  effects: "own",
};

/**
 * The best we could get out of it on two cores, and the peer that the goal is about: jobs hand their rows to a batcher
 * of the process, so many more at a time pay. Tried: 1 to 3 processes, 24 to 1,000 jobs at a time, local queues of 25
 * to 1,000, completion delays of 0 to 10 ms, 1 and 2 adders; what follows was within 5 % of the best of each.
 * No named queues, so no order per topic, which the log keeps: with them it runs at a fraction of this.
 * Array payloads are another thing: the array is one job, which fails and is repeated as one.
 */
export const tunedSettings: GraphileSettings = {
  processes: 2,
  concurrentJobs: 500,
  localQueueSize: 500,
  completeJobBatchDelayMs: 0,
  effects: "shared",
};

export const effectTask = "effect";
const pollMs = 2;
const drainTimeoutMs = 120_000;

/** Items per second that graphile-worker adds, runs, and completes, each leaving its row in the effect table. */
export async function measureGraphile(
  postgres: TemporaryPostgres,
  settings: GraphileSettings,
  { warmUpItems, items }: Amount,
): Promise<number> {
  await using database = await postgres.createDatabase();
  const db = openDb(database.address, { poolMax: 1, log: benchLog });
  const pool = openPeerPool(database.address, 4);
  const logger = new Logger(() => () => undefined);
  const utils = await makeWorkerUtils({ pgPool: pool, logger, preset: { worker: { logger } } });
  const workers = new Workers();
  try {
    await utils.migrate();
    await db.query(effectSchema);
    await workers.start(database.address, settings);
    const add = (size: number): Promise<unknown> =>
      utils.addJobs(
        nextEntries(size).map(({ id, topic, data }) => ({
          identifier: effectTask,
          payload: { id, topic, data },
        })),
      );
    let target = 0;
    const round = (count: number): Promise<number> => {
      target += count;
      return addAndDrain(count, add, () => drained(db, workers, target));
    };
    await round(warmUpItems);
    await database.checkpoint();
    const rate = await round(items);
    await verifyEffects(db, target, "graphile-worker");
    return rate;
  } finally {
    await workers.stop();
    await utils.release();
    await pool.end();
    await db.close();
  }
}

/** Until every effect is there and every job is completed, which is a row that is gone. */
async function drained(db: Db, workers: Workers, effects: number): Promise<void> {
  const deadline = performance.now() + drainTimeoutMs;
  while (workers.effects < effects) {
    verify(workers.alive, "a process of graphile-worker has ended");
    verify(performance.now() < deadline, `graphile-worker has done ${workers.effects} of ${effects} jobs`);
    await sleep(pollMs);
  }
  for (;;) {
    const { rowCount } = await db.query("select 1 from graphile_worker._private_jobs limit 1");
    if (rowCount === 0) return;
    await sleep(pollMs);
  }
}

/** Processes that run graphile-worker and tell how many effects they have committed. */
class Workers {
  readonly #children: ChildProcess[] = [];
  readonly #effects: number[] = [];

  get effects(): number {
    return this.#effects.reduce((sum, effects) => sum + effects, 0);
  }

  get alive(): boolean {
    return this.#children.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  }

  async start(address: DbAddress, settings: GraphileSettings): Promise<void> {
    const program = path.join(import.meta.dirname, "graphile-process.ts");
    for (let index = 0; index < settings.processes; index++) {
      const child = fork(program, [JSON.stringify({ address, settings })], {
        env: { ...process.env, NO_LOG_SUCCESS: "1" },
      });
      this.#children.push(child);
      this.#effects.push(0);
      child.on("message", ({ effects }: { effects: number }) => {
        this.#effects[index] = effects;
      });
      await Promise.race([once(child, "message"), once(child, "exit")]);
      verify(this.alive, "graphile-worker did not start");
    }
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        child.disconnect();
        await ended;
      }),
    );
  }
}
