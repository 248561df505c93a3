import { uuidv7 } from "../../protocol/ids.ts";
import { type NewEntry, jsonText } from "../../src/eventlog/eventlog.ts";
import type { DbAddress } from "../../src/lib/db.ts";
import { Prng } from "../chaos/prng.ts";
import { type LogKind, openTestLog } from "./logs.ts";
import { Tail } from "./tail.ts";
import type { Seen, Written } from "./violations.ts";

/**
 * One writing process: `process.argv[2]` is its `WriterPlan`. Says `ready`, writes for as long as it is told to each
 * time that it is told, reports what it wrote, and ends when its channel closes. A tailing one also reads, through
 * the same log that it writes to, and reports what it saw when it is told to finish.
 */
export type WriterPlan = {
  readonly address: DbAddress;
  readonly kind: LogKind;
  readonly writer: number;
  readonly seed: number;
  readonly tails: boolean;
};
export type Order = { readonly writeMs: number } | { readonly finish: true };
export type Report = { readonly written: readonly Written[] } | { readonly seen: readonly Seen[] } | "ready";

const chains = 4;
const topics = 60;
const openShare = 0.3;
const openMaxMs = 25;
const rollBackShare = 0.15;

const plan = JSON.parse(process.argv[2] ?? "") as WriterPlan;
const log = await openTestLog(plan.kind, plan.address);
const tail = plan.tails ? new Tail(log) : undefined;
const prng = new Prng(plan.seed);
let numbers = 0;

process.on("message", (order: Order) => void obey(order));
process.on("disconnect", () => process.exit());
process.send?.("ready" satisfies Report);

async function obey(order: Order): Promise<void> {
  if ("finish" in order) {
    const seen = (await tail?.finish()) ?? [];
    process.send?.({ seen } satisfies Report);
    return;
  }
  const until = performance.now() + order.writeMs;
  const written = await Promise.all(
    Array.from({ length: chains }, (_, chain) => writeChain(`${plan.writer}/${chain}`, until, prng.fork())),
  );
  process.send?.({ written: written.flat() } satisfies Report);
}

/** Calls that follow one another, each with a handful of entries of random topics. */
async function writeChain(chain: string, until: number, prng: Prng): Promise<Written[]> {
  const written: Written[] = [];
  while (performance.now() < until) {
    const open = prng.chance(openShare);
    const entries = Array.from({ length: prng.between(1, open ? 5 : 30) }, () => newEntry(prng));
    const rolledBack = open && prng.chance(rollBackShare);
    const sentUs = nowUs();
    if (open) await log.appendOpen(entries, { afterMs: prng.between(0, openMaxMs), commit: !rolledBack });
    else await log.append(entries);
    const acknowledgedUs = nowUs();
    for (const { id, topic } of entries) {
      written.push({ id, topic, chain, number: numbers++, sentUs, acknowledgedUs, rolledBack });
    }
  }
  return written;
}

function newEntry(prng: Prng): NewEntry {
  const topic = `room/${prng.between(1, topics)}`;
  return { id: uuidv7(), topic, type: "test.happened", actor: "system", data: jsonText({}) };
}

function nowUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}
