import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../protocol/topics.ts";
import type { BenchContext, Figure } from "./harness/bench.ts";
import { cpuSeconds, residentMb } from "./harness/process-use.ts";
import { type Spread, spreadFigures, spreadOf } from "./harness/spread.ts";
import { tidingsDialect, tidingsSocket } from "./gateway/dialects.ts";
import { type Person, addPeople, addRooms, signIn } from "./gateway/people.ts";
import { type Stage, onStage, startGateway } from "./gateway/stage.ts";
import { Sink, type SinkSocket } from "./sink/sink.ts";

/** Sockets of one source address. */
const perAddress = 5_000;
const rooms = 1_000;
const settleMs = 2_000;
const collectMs = 1_500;
const nodeOptions = ["--expose-gc", "--import", path.join(import.meta.dirname, "gateway/collect-garbage.ts")];

type Scene = Stage & {
  readonly people: readonly Person[];
  readonly roomIds: readonly number[];
  /** How long the CPU time is taken that pings need: two turns and a little. */
  readonly watchMs: number;
};

type Outcome = {
  readonly kb: number;
  /** Before the garbage of the handshakes was collected. */
  readonly kbAtOnce: number;
  /** CPU seconds a minute, with all connections and with none. */
  readonly cpu: number;
  readonly cpuAlone: number;
  readonly openedPerSecond: number;
};

/** Each connection is that of another person, who reads a room and what is for them alone. */
export function runIdle(context: BenchContext): Promise<readonly Figure[]> {
  return onStage(context, async (stage) => {
    const { quick, db, table } = stage;
    const people = await addPeople(db, quick ? 3_000 : 15_000);
    const roomIds = await addRooms(db, rooms);
    const scene = { ...stage, people, roomIds, watchMs: quick ? 6_000 : 55_000 };
    const runs: Outcome[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) runs.push(await holdIdle(scene));
    const of = (value: (run: Outcome) => number): Spread => spreadOf(runs.map(value));
    const [kb, kbAtOnce, cpu, alone] = [
      of((run) => run.kb),
      of((run) => run.kbAtOnce),
      of((run) => run.cpu),
      of((run) => run.cpuAlone),
    ];
    table(
      [`${people.length.toLocaleString("en")} connections`, "min", "median", "max"],
      [
        ["KB of memory each", ...columns(kb)],
        ["before garbage is collected", ...columns(kbAtOnce)],
        ["CPU s a minute, pings and all", ...columns(cpu)],
        ["CPU s a minute without connections", ...columns(alone)],
        ["opened a second", ...columns(of((run) => run.openedPerSecond))],
      ],
    );
    return [
      // What the first connections make the heap grow by weighs on few: the short form only reports it.
      ...spreadFigures("kb_per_connection", kb, quick ? {} : { atMost: 12 }),
      { name: "kb_before_gc", value: kbAtOnce.median },
      { name: "ping_cpu_s_per_min", value: cpu.median - alone.median },
      { name: "opened_per_s", value: of((run) => run.openedPerSecond).median },
    ];
  });
}

async function holdIdle(scene: Scene): Promise<Outcome> {
  const { database, watchMs, people } = scene;
  await using gateway = await startGateway(database, nodeOptions);
  const { pid } = gateway;
  await collect(pid);
  const emptyMb = await residentMb(pid);
  const cpuAlone = await cpuPerMinute(pid, Math.min(watchMs, 10_000));
  await using sink = new Sink(scene.sink, {
    port: gateway.port,
    dialect: tidingsDialect,
    sockets: await socketsOf(scene),
    perAddress,
  });
  const { seconds } = await sink.open();
  await sleep(settleMs);
  const atOnceMb = await residentMb(pid);
  await collect(pid);
  const fullMb = await residentMb(pid);
  const cpu = await cpuPerMinute(pid, watchMs);
  const each = (mb: number): number => ((mb - emptyMb) * 1_000) / people.length;
  return {
    kb: each(fullMb),
    kbAtOnce: each(atOnceMb),
    cpu,
    cpuAlone,
    openedPerSecond: people.length / seconds,
  };
}

async function socketsOf({ people, roomIds }: Scene): Promise<readonly SinkSocket[]> {
  const tokens = await signIn(people);
  return people.map(({ id }, place) => {
    const roomId = roomIds[place % roomIds.length] ?? 0;
    return tidingsSocket(tokens[place] ?? "", roomId, [topics.room(roomId), topics.user(id)]);
  });
}

async function collect(pid: number): Promise<void> {
  process.kill(pid, "SIGUSR2");
  await sleep(collectMs);
}

async function cpuPerMinute(pid: number, forMs: number): Promise<number> {
  const before = await cpuSeconds(pid);
  await sleep(forMs);
  return (((await cpuSeconds(pid)) - before) * 60_000) / forMs;
}

function columns({ min, median, max }: Spread): readonly string[] {
  return [min, median, max].map((value) => value.toFixed(2));
}
