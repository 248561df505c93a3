import { type Logger, createLogger } from "../lib/logger.ts";
import type { Db, Tx } from "../lib/db.ts";
import { createMetrics } from "../observe/metrics.ts";
import { testLog } from "../../test/harness.ts";
import { Worker, type WorkerOptions } from "../worker/worker.ts";
import type { Consumer } from "./consumer.ts";
import type { Entry, EventLog } from "./eventlog.ts";
import { partitionOf } from "./murmur2.ts";

export type Cleanup = { after(callback: () => Promise<void>): void };

export type ConsumersUnderTest = {
  readonly log: EventLog;
  readonly db: Db;
  readonly expireAll: () => Promise<void>;
};

/** A database with a log, workers on it, and what their consumers have written. */
export type Workshop = ConsumersUnderTest & {
  readonly work: (...consumers: Consumer[]) => Promise<Worker>;
  readonly workWith: (
    options: Partial<Omit<WorkerOptions, "consumers">>,
    ...consumers: Consumer[]
  ) => Promise<Worker>;
  readonly effects: (topic?: string) => Promise<unknown[]>;
};

/** Opens it; everything is stopped after the test. */
export async function openWorkshop(t: Cleanup, open: () => Promise<ConsumersUnderTest>): Promise<Workshop> {
  const workers: Worker[] = [];
  const logs: EventLog[] = [];
  // Hooks run in the order in which they were made: workers stop before their database goes.
  t.after(async () => {
    for (const worker of workers) await worker.stop();
    for (const log of logs) await log.close();
  });
  const under = await open();
  const { db } = under;
  logs.push(under.log);
  await db.query(
    "create table effect (no bigint generated always as identity, entry_id uuid, topic text, data text)",
  );
  const workWith: Workshop["workWith"] = async (options, ...consumers) => {
    const metrics = createMetrics({ process: false });
    const base = { db, eventlog: under.log, log: testLog, metrics, timers: [] };
    const worker = new Worker({ ...base, ...options, consumers });
    workers.push(worker);
    await worker.start();
    return worker;
  };
  return {
    ...under,
    workWith,
    work: (...consumers) => workWith({}, ...consumers),
    effects: async (topic) => {
      const { rows } = await db.query<{ data: string }>(
        "select data from effect where $1::text is null or topic = $1 order by no",
        [topic ?? null],
      );
      return rows.map(({ data }) => JSON.parse(data) as unknown);
    },
  };
}

/** A consumer that notes what it was given in a table, in the order in which it was given it. */
export function tally(
  overrides: Partial<Consumer> = {},
  before?: (entries: readonly Entry[], tx: Tx, signal: AbortSignal) => Promise<void>,
): Consumer {
  return {
    group: "tally",
    kind: "projection",
    types: ["test.happened"],
    start: "first",
    onPoison: "quarantine-topic",
    batchMax: 100,
    attemptsMax: 3,
    handle: async (entries, tx, signal) => {
      await before?.(entries, tx, signal);
      await tx.query(
        "insert into effect (entry_id, topic, data) select * from unnest($1::uuid[], $2::text[], $3::text[])",
        [entries.map(({ id }) => id), entries.map(({ topic }) => topic), entries.map(({ data }) => data)],
      );
    },
    ...overrides,
  };
}

/** Makes a handler refuse batches with such an entry. */
export function failing(bad: (entry: Entry) => boolean): (entries: readonly Entry[]) => Promise<void> {
  return (entries) =>
    entries.some(bad)
      ? Promise.reject(new Error(`cannot take ${entries.find(bad)?.data ?? ""}`))
      : Promise.resolve();
}

export function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => i + from);
}

/** The first `count` topics that lie in the partition. */
export function topicsIn(partition: number, count: number): readonly string[] {
  const found: string[] = [];
  for (let i = 0; found.length < count; i++) {
    if (partitionOf(`topic/${i}`, 16) === partition) found.push(`topic/${i}`);
  }
  return found;
}

/** Puts rows into the retry stage as if their entries had come and failed long ago. */
export async function parkMany(
  db: Db,
  parked: { group: string; topic: string; state: "parked" | "dead"; count: number },
): Promise<void> {
  await db.query(
    `insert into eventlog_parked (group_name, part, entry_offset, entry_id, topic, type, time, actor, data, state)
     select $1, $2, coalesce((select min(entry_offset) from eventlog_parked where group_name = $1 and part = $2), 0) - n,
            gen_random_uuid(), $3, 'test.happened', now(), 'system', '1', $4
       from generate_series(1, $5::int) n`,
    [parked.group, partitionOf(parked.topic, 16), parked.topic, parked.state, parked.count],
  );
}

/** A logger that keeps its lines. */
export function recordingLog(level: "error" | "info"): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  return { log: createLogger(level, { write: (line) => lines.push(line) }), lines };
}
