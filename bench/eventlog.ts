import { appendCallers, measureAppends } from "./eventlog/append-tidings.ts";
import { measureAppendLatency } from "./eventlog/append-latency.ts";
import { measureConsume } from "./eventlog/consume-tidings.ts";
import { addBatch } from "./eventlog/effects.ts";
import type { BenchContext, Figure } from "./harness/bench.ts";
import type { Latencies } from "./harness/open-loop.ts";
import { interleave } from "./harness/rounds.ts";
import { type Spread, ratios, spreadFigures, spreadOf } from "./harness/spread.ts";
import {
  type GraphileSettings,
  measureGraphile,
  publishedSettings,
  tunedSettings,
} from "./peers/graphile.ts";
import { insertConnections, measureSingleInserts } from "./peers/single-insert.ts";

const latencyRates = [1_000, 5_000, 15_000];
const figureRate = 5_000;

export async function runEventlog(context: BenchContext): Promise<readonly Figure[]> {
  return [
    ...(await compareAppends(context)),
    ...(await compareConsuming(context)),
    ...(await reportLatency(context)),
  ];
}

async function compareAppends(context: BenchContext): Promise<readonly Figure[]> {
  const { quick, postgres, print } = context;
  const forMs = quick ? 1_200 : 2_000;
  const [ours, theirs] = await interleave(
    [
      {
        name: `eventlog.append, ${appendCallers.toLocaleString("en")} callers, one entry a call`,
        measure: () => measureAppends(postgres, forMs),
      },
      {
        name: `one INSERT each, pool of ${insertConnections}`,
        measure: () => measureSingleInserts(postgres, forMs),
      },
    ],
    quick ? 2 : 9,
    { onValue: ({ name }, round, rate) => print(`  round ${round}: ${name}: ${Math.round(rate)}/s`) },
  );
  const ratio = spreadOf(ratios(ours, theirs));
  context.table(spreadHeading("durable appends"), [
    rateRow("eventlog.append", ours),
    rateRow("one INSERT each", theirs),
    ratioRow("ratio", ratio),
  ]);
  return [
    ...spreadFigures("group_commit_ratio", ratio, { atLeast: 5 }),
    { name: "appends_per_s", value: spreadOf(ours).median },
  ];
}

async function compareConsuming(context: BenchContext): Promise<readonly Figure[]> {
  const { quick, postgres, print } = context;
  const amount = quick ? { warmUpItems: 5_000, items: 15_000 } : { warmUpItems: 10_000, items: 100_000 };
  // A rate is a rate: the slowest side is given less, so that a run ends.
  const less = { ...amount, items: amount.items / 4 };
  const [ours, tuned, published] = await interleave(
    [
      { name: "Tidings", measure: () => measureConsume(postgres, amount) },
      { name: describe(tunedSettings), measure: () => measureGraphile(postgres, tunedSettings, amount) },
      {
        name: describe(publishedSettings),
        measure: () => measureGraphile(postgres, publishedSettings, less),
      },
    ],
    quick ? 2 : 3,
    { onValue: ({ name }, round, rate) => print(`  round ${round}: ${name}: ${Math.round(rate)}/s`) },
  );
  const ratio = spreadOf(ratios(ours, tuned));
  const ratioPublished = spreadOf(ratios(ours, published));
  context.table(spreadHeading(`added by ${addBatch} and done, ${amount.items} items`), [
    rateRow("Tidings", ours),
    rateRow("graphile-worker, tuned", tuned),
    rateRow("graphile-worker, as published", published),
    ratioRow("ratio to tuned", ratio),
    ratioRow("ratio to published", ratioPublished),
  ]);
  return [
    ...spreadFigures("consume_vs_graphile", ratio, { atLeast: 1.5 }),
    { name: "consume_vs_graphile_published", value: ratioPublished.median },
    { name: "consumed_per_s", value: spreadOf(ours).median },
  ];
}

function describe(settings: GraphileSettings): string {
  const { processes, concurrentJobs, localQueueSize, completeJobBatchDelayMs, effects } = settings;
  return `graphile-worker, ${processes} processes x ${concurrentJobs} jobs, local queue ${localQueueSize}, completions after ${completeJobBatchDelayMs} ms, ${effects} INSERTs`;
}

async function reportLatency(context: BenchContext): Promise<readonly Figure[]> {
  const { quick, postgres } = context;
  const runs = new Map<number, Latencies[]>(latencyRates.map((rate) => [rate, []]));
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    for (const perSecond of latencyRates) {
      const measured = await measureAppendLatency(postgres, { perSecond, forMs: quick ? 1_500 : 6_000 });
      runs.get(perSecond)?.push(measured);
    }
  }
  const p99 = (rate: number): Spread => spreadOf((runs.get(rate) ?? []).map((run) => run.p99));
  context.table(
    ["append latency at", "p50 ms", "p99 ms", "p99 min..max", "longest ms", "failed"],
    [...runs].map(([rate, of]) => [
      `${rate} entries/s`,
      spreadOf(of.map((run) => run.p50)).median.toFixed(2),
      p99(rate).median.toFixed(1),
      `${p99(rate).min.toFixed(1)}..${p99(rate).max.toFixed(1)}`,
      Math.max(...of.map(({ max }) => max)).toFixed(1),
      of.reduce((sum, { failed }) => sum + failed, 0),
    ]),
  );
  return spreadFigures("append_p99_ms_at_5000", p99(figureRate));
}

function spreadHeading(what: string): readonly string[] {
  return [what, "min", "median", "max"];
}

function rateRow(name: string, rates: readonly number[]): readonly (string | number)[] {
  const { min, median, max } = spreadOf(rates);
  return [name, ...[min, median, max].map((rate) => `${Math.round(rate).toLocaleString("en")}/s`)];
}

function ratioRow(name: string, { min, median, max }: Spread): readonly (string | number)[] {
  return [name, min.toFixed(2), median.toFixed(2), max.toFixed(2)];
}
