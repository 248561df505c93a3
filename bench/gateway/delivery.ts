import { setTimeout as sleep } from "node:timers/promises";
import { verify } from "../harness/bench.ts";
import { cpuSeconds } from "../harness/process-use.ts";
import { type Dialect, Sink, type SinkMeasured, type SinkProgram, type SinkSocket } from "../sink/sink.ts";
import { type Load, type LoadResult, lastNumbers } from "./load.ts";
import { settled } from "./settled.ts";

/** Who delivers: where it listens, which process is charged, and how it is made to send. */
export type Side = {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  readonly dialect: Dialect;
  readonly sockets: readonly SinkSocket[];
  readonly send: (load: Load) => Promise<LoadResult>;
};

export type Delivery = SinkMeasured & {
  readonly perSecond: number;
  /** Deliveries for each second of CPU time, user and system, of the process that delivers. */
  readonly perCpuSecond: number;
  /** Share of a core that the process used, and that the sink did. */
  readonly serverCpu: number;
  readonly sinkCpu: number;
  /** What was to be delivered in that time, by what was offered. */
  readonly offered: number;
  readonly longestDelayMs: number;
  /** How long it took until a message was in the log, the median in milliseconds; not a number for peers. */
  readonly durableP50: number;
};

export type DeliveryLoad = Omit<Load, "forMs"> & {
  readonly warmMs: number;
  readonly forMs: number;
  /** Sockets that each message goes to. */
  readonly readers: number;
  /** Sockets of one source address. */
  readonly perAddress?: number;
  /** Of how many sockets one has its markers read and checked. */
  readonly sample: number;
  /** Less than all may arrive: a peer is driven beyond what it sustains. */
  readonly mayLose?: boolean;
};

const lastArrivalsMs = 20_000;
/** What of a load must have been made for its figures to be those of this load, and how late at most, milliseconds. */
const madeShare = 0.99;
const sendingLateMaxMs = 250;
/** What goes on after the measured time, so that its end is not that of the load. */
const marginMs = 300;

/** Opens the sockets, sends, and counts for `forMs` once `warmMs` have passed; then all that was sent must be there. */
export async function measureDelivery(
  program: SinkProgram,
  side: Side,
  load: DeliveryLoad,
): Promise<Delivery> {
  const { port, dialect, sockets } = side;
  const { perAddress, sample } = load;
  await using sink = new Sink(program, {
    port,
    dialect,
    sockets,
    check: true,
    sample,
    ...(perAddress === undefined ? {} : { perAddress }),
  });
  await sink.open();
  const { perSecond, to, ids } = load;
  const sending = side.send({ perSecond, to, ids, forMs: load.warmMs + load.forMs + marginMs });
  await sleep(load.warmMs);
  const cpuBefore = await cpuSeconds(side.pid);
  await sink.begin();
  await sleep(load.forMs);
  const measured = await sink.end();
  const cpu = (await cpuSeconds(side.pid)) - cpuBefore;
  const { count, failed, longestDelayMs, durableP50 = Number.NaN } = await sending;
  verify(failed === 0, `${side.name}: ${failed} of ${count} messages were not taken`);
  const wanted = (perSecond * (load.warmMs + load.forMs + marginMs)) / 1_000;
  verify(
    load.mayLose === true || (count >= wanted * madeShare && longestDelayMs <= sendingLateMaxMs),
    `${side.name}: the sender made ${count} of ${wanted} messages, up to ${longestDelayMs.toFixed(0)} ms late`,
  );
  await allArrived(sink, side, { load, count });
  const { seconds, messages } = measured;
  return {
    ...measured,
    perSecond: messages / seconds,
    perCpuSecond: messages / cpu,
    serverCpu: cpu / seconds,
    sinkCpu: measured.cpu / seconds,
    offered: perSecond * load.readers * seconds,
    longestDelayMs,
    durableP50,
  };
}

async function allArrived(
  sink: Sink,
  { name }: Side,
  { load, count }: { readonly load: DeliveryLoad; readonly count: number },
): Promise<void> {
  const found = await settled(sink, lastNumbers(load, count), lastArrivalsMs);
  const { gaps, duplicates, disordered, stray } = found;
  verify(
    load.mayLose === true || (gaps === 0 && duplicates === 0 && disordered === 0 && stray === 0),
    `${name}: ${gaps} missing, ${duplicates} twice, ${disordered} out of order, ${stray} for others`,
  );
}
