import { type Db, openDb } from "../src/lib/db.ts";
import type { BenchContext, Figure } from "./harness/bench.ts";
import { benchLog } from "./harness/postgres.ts";
import { interleave } from "./harness/rounds.ts";
import type { LoadedServer } from "./harness/server-process.ts";
import { type Spread, ratios, spreadFigures, spreadOf } from "./harness/spread.ts";
import { Generator } from "./ingest/generator.ts";
import { secondsUntilLag, verifyStored } from "./ingest/lag.ts";
import type { LoadResult } from "./ingest/load.ts";
import { type MemoryTrend, watchMemory } from "./ingest/memory.ts";
import { type TidingsServer, startNoop, startTidings } from "./ingest/servers.ts";

/**
 * Requests on their way at once. With few, a closed loop divides them by the commit's latency instead of measuring
 * what the server can take; with 64, 256 and 512 the no-op's rate is much the same, and the server's is best at 256.
 */
const connections = 256;
const warmUpMs = 1_500;
/** More than any side answers on the machines this is run on; who runs out ends early. */
const preparedPerSecond = 20_000;
const lagBelowS = 1;

type Stage = BenchContext & {
  readonly db: Db;
  readonly checkpoint: () => Promise<void>;
  readonly tidings: TidingsServer;
  readonly noop: LoadedServer;
  readonly generator: Generator;
  readonly failures: Map<string, number>;
};

export async function runIngest(context: BenchContext): Promise<readonly Figure[]> {
  await using database = await context.postgres.createDatabase();
  const db = openDb(database.address, { poolMax: 2, log: benchLog });
  try {
    await using tidings = await startTidings(database.address);
    await using noop = await startNoop();
    await using generator = new Generator();
    const stage: Stage = {
      ...context,
      checkpoint: () => database.checkpoint(),
      db,
      tidings,
      noop,
      generator,
      failures: new Map(),
    };
    await warmUp(stage);
    const { accepted, figures } = await compareMaximum(stage);
    await secondsUntilLag(db, 0);
    await database.checkpoint();
    const half = await measureHalf(stage, accepted / 2);
    // Told before the stored messages are counted: it may explain what is found there.
    const failed = countFailures(stage);
    await secondsUntilLag(db, 0);
    await verifyStored(db, await generator.acknowledged());
    return [...figures, ...half, { name: "failed_requests", value: failed, atMost: 0 }];
  } finally {
    await db.close();
  }
}

async function warmUp(stage: Stage): Promise<void> {
  const { tidings, noop } = stage;
  await prepare(stage, warmUpMs);
  await load(stage, noop, { forMs: warmUpMs, repeat: true });
  await load(stage, tidings, { forMs: warmUpMs, repeat: false });
}

/** Closed loop, as fast as answers come; after each load of the server, how long its consumers take to catch up. */
async function compareMaximum(
  stage: Stage,
): Promise<{ readonly accepted: number; readonly figures: readonly Figure[] }> {
  const { quick, print, tidings, noop, db } = stage;
  const forMs = quick ? 3_000 : 5_000;
  const drainTimes: number[] = [];
  // The no-op first, with the bytes that the server is sent next: so nothing of the server's is still at work.
  const [theirs, ours] = await interleave(
    [
      {
        name: "no-op: parsed and checked",
        measure: async () => (await load(stage, noop, { forMs, repeat: true })).perSecond,
      },
      {
        name: "Tidings: signed, durable",
        measure: async () => {
          const { perSecond } = await load(stage, tidings, { forMs, repeat: false });
          drainTimes.push(await secondsUntilLag(db, lagBelowS));
          return perSecond;
        },
      },
    ],
    quick ? 2 : 5,
    {
      onValue: ({ name }, round, rate) => print(`  round ${round}: ${name}: ${Math.round(rate)}/s`),
      beforeRound: async () => {
        await prepare(stage, forMs);
        await secondsUntilLag(db, 0);
        await stage.checkpoint();
      },
    },
  );
  const rate = spreadOf(ours);
  const ratio = spreadOf(ratios(ours, theirs));
  const drained = spreadOf(drainTimes);
  stage.table(
    [`webhooks/s, ${connections} connections`, "min", "median", "max"],
    [
      ["Tidings: signed, durable", ...columns(rate, 0)],
      ["no-op: parsed and checked", ...columns(spreadOf(theirs), 0)],
      ["ratio", ...columns(ratio, 2)],
      [`s until lag < ${lagBelowS} s`, ...columns(drained, 2)],
    ],
  );
  return {
    accepted: rate.median,
    figures: [
      ...spreadFigures("accepted_vs_noop", ratio, { atLeast: 0.6 }),
      { name: "accepted_per_s", value: rate.median },
      // The goal is for every time, so the worst one is the figure.
      { name: "drain_s", value: drained.max, atMost: 2 },
      { name: "drain_s_median", value: drained.median },
    ],
  };
}

/** Open loop at half of what the server took at most: latencies, and what its memory does. */
async function measureHalf(stage: Stage, perSecond: number): Promise<readonly Figure[]> {
  const { quick, tidings, noop } = stage;
  const runs = quick ? 1 : 3;
  const forMs = quick ? 6_000 : 20_000;
  await prepareCount(stage, Math.ceil((perSecond * forMs * runs) / 1_000));
  const { value: ours, trend } = await watchMemory(tidings.pid, async () => {
    const results: LoadResult[] = [];
    for (let run = 0; run < runs; run++) {
      results.push(await load(stage, tidings, { forMs, perSecond, repeat: false }));
    }
    return results;
  });
  const theirs = await load(stage, noop, { forMs: Math.min(forMs, 6_000), perSecond, repeat: true });
  reportHalf(stage, { perSecond, ours, theirs, trend });
  return [
    { name: "p50_ms_at_half", value: spreadOf(ours.map(({ p50 }) => p50)).median },
    ...spreadFigures("p99_ms_at_half", spreadOf(ours.map(({ p99 }) => p99))),
    { name: "rss_mb", value: trend.endMb },
    // A few seconds say nothing about a trend: the short form only reports it.
    { name: "rss_slope_mb_per_min", value: trend.slopeMbPerMin, ...(quick ? {} : { atMost: 10 }) },
  ];
}

function reportHalf(
  { quick, table, print }: Stage,
  half: {
    readonly perSecond: number;
    readonly ours: readonly LoadResult[];
    readonly theirs: LoadResult;
    readonly trend: MemoryTrend;
  },
): void {
  const { perSecond, ours, theirs, trend } = half;
  const latencyRow = (name: string, results: readonly LoadResult[]): readonly string[] => [
    name,
    spreadOf(results.map(({ p50 }) => p50)).median.toFixed(2),
    ...columns(spreadOf(results.map(({ p99 }) => p99)), 1),
    Math.max(...results.map(({ max }) => max)).toFixed(0),
  ];
  table(
    [`open loop, ${Math.round(perSecond)}/s`, "p50 ms", "p99 min", "p99 median", "p99 max", "longest ms"],
    [latencyRow("Tidings", ours), latencyRow("no-op", [theirs])],
  );
  print(
    `  server memory: ${trend.startMb.toFixed(0)} MB before, ${trend.endMb.toFixed(0)} MB after, slope ${trend.slopeMbPerMin.toFixed(1)} MB/min${quick ? " (too short to say much)" : ""}`,
  );
}

function prepare(stage: Stage, forMs: number): Promise<void> {
  return prepareCount(stage, (preparedPerSecond * forMs) / 1_000);
}

async function prepareCount({ generator, tidings }: Stage, count: number): Promise<void> {
  const { sourceName, secret } = tidings;
  await generator.prepare({ count, sourceName, secret });
}

async function load(
  { generator, failures }: Stage,
  server: LoadedServer,
  how: { readonly forMs: number; readonly perSecond?: number; readonly repeat: boolean },
): Promise<LoadResult> {
  const result = await generator.run({ port: server.port, connections, ...how });
  for (const [status, count] of Object.entries(result.failures)) {
    failures.set(status, (failures.get(status) ?? 0) + count);
  }
  return result;
}

function countFailures({ failures, print }: Stage): number {
  let sum = 0;
  for (const [status, count] of failures) {
    print(`  not accepted: ${count} x ${status}`);
    sum += count;
  }
  return sum;
}

function columns({ min, median, max }: Spread, digits: number): readonly string[] {
  return [min, median, max].map((value) =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
}
