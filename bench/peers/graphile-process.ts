import { EventEmitter } from "node:events";
import { type JobHelpers, Logger, run } from "graphile-worker";
import type { Pool } from "pg";
import type { DbAddress } from "../../src/lib/db.ts";
import { insertEffect, insertEffects } from "../eventlog/effects.ts";
import { type GraphileSettings, effectTask } from "./graphile.ts";
import { openPeerPool } from "./peer-pool.ts";

type Payload = { readonly id: string; readonly topic: string; readonly data: string };

const tellEveryMs = 2;
/** Connections of a process whose jobs share their INSERTs: one for those, the rest for the library. */
const sharedConnections = 8;

const { address, settings } = JSON.parse(process.argv[2] ?? "") as {
  readonly address: DbAddress;
  readonly settings: GraphileSettings;
};
let effects = 0;

async function insertOwn({ id, topic, data }: Payload, { withPgClient }: JobHelpers): Promise<void> {
  await withPgClient((client) =>
    client.query({ name: "effect", text: insertEffect, values: [id, topic, data] }),
  );
  effects++;
}

type Waiting = {
  readonly payload: Payload;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/** Jobs wait until the INSERT that carries their row has committed; while it runs, the next one gathers. */
class SharedInserts {
  readonly #pool: Pool;
  #waiting: Waiting[] = [];
  #running = false;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  insert(payload: Payload): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      setImmediate(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const rows = batch.map(({ payload }) => payload);
      const values = [rows.map(({ id }) => id), rows.map(({ topic }) => topic), rows.map(({ data }) => data)];
      try {
        await this.#pool.query({ name: "effects", text: insertEffects, values });
        effects += batch.length;
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = false;
  }
}

async function main(): Promise<void> {
  const shared = settings.effects === "shared";
  const pool = openPeerPool(address, shared ? sharedConnections : settings.concurrentJobs + 1);
  const inserts = new SharedInserts(pool);
  const logger = new Logger(() => () => undefined);
  const runner = await run({
    pgPool: pool,
    logger,
    preset: {
      worker: {
        logger,
        concurrentJobs: settings.concurrentJobs,
        localQueue: { size: settings.localQueueSize },
        completeJobBatchDelay: settings.completeJobBatchDelayMs,
        failJobBatchDelay: settings.completeJobBatchDelayMs,
      },
    },
    taskList: { [effectTask]: shared ? (payload: Payload) => inserts.insert(payload) : insertOwn },
    noHandleSignals: true,
    parsedCronItems: [],
    events: new EventEmitter(),
  });
  process.once("disconnect", () => {
    clearInterval(telling);
    void runner
      .stop()
      .then(() => pool.end())
      .finally(() => process.exit());
  });
  let told = -1;
  const telling = setInterval(() => {
    if (effects === told) return;
    told = effects;
    process.send?.({ effects });
  }, tellEveryMs);
}

await main();
