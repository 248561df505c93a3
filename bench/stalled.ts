import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../protocol/topics.ts";
import type { BenchContext, Figure } from "./harness/bench.ts";
import { peakMb, residentMb } from "./harness/process-use.ts";
import { spreadOf } from "./harness/spread.ts";
import { tidingsDialect, tidingsSocket } from "./gateway/dialects.ts";
import { lastNumbers } from "./gateway/load.ts";
import { type Person, addPeople, addRooms, signIn } from "./gateway/people.ts";
import { settled } from "./gateway/settled.ts";
import { type Stage, onStage } from "./gateway/stage.ts";
import { Sink, type SinkCheck } from "./sink/sink.ts";

const sockets = 1_000;
const stalledSockets = 50;
/** So many messages a second that a stalled reader misses more than it is sent afterwards, and so few that it does not. */
const busyRate = 1_000;
const quietRate = 20;
const sample = 8;
const warmMs = 1_500;
const marginMs = 2_000;
/** Each stalled reader may have 256 KiB that wait for it and one batch more; the rest is room for garbage. */
const memoryGrowthMaxMb = 100;
/** What the measurement itself swings by. */
const noise = 1.5;

type Scene = Stage & { readonly people: readonly Person[]; readonly roomId: number };

type Outcome = SinkCheck & {
  /** p99 of those who read, milliseconds: before and while the others do not. */
  readonly before: number;
  readonly during: number;
  readonly growthMb: number;
};

export function runStalled(context: BenchContext): Promise<readonly Figure[]> {
  return onStage(context, async (stage) => {
    const { quick, db, table } = stage;
    const people = await addPeople(db, sockets);
    const [roomId = 0] = await addRooms(db, 1);
    const scene = { ...stage, people, roomId };
    const stallMs = quick ? 4_000 : 60_000;
    const busy: Outcome[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++)
      busy.push(await stallSome(scene, busyRate, stallMs));
    const quiet = await stallSome(scene, quietRate, stallMs);
    table(
      [
        `${stalledSockets} of ${sockets} stalled for ${stallMs / 1_000} s`,
        "p99 before",
        "p99 meanwhile",
        "memory + MB",
        "limited",
        "missing",
        "twice",
      ],
      [...busy.map((one) => rowOf(`${busyRate}/s`, one)), rowOf(`${quietRate}/s`, quiet)],
    );
    return figuresOf(busy, quiet);
  });
}

async function stallSome(scene: Scene, perSecond: number, stallMs: number): Promise<Outcome> {
  const { gateway, sender, people, roomId } = scene;
  const tokens = await signIn(people);
  await using sink = new Sink(scene.sink, {
    port: gateway.port,
    dialect: tidingsDialect,
    sockets: tokens.map((token) => tidingsSocket(token, roomId, [topics.room(roomId)])),
    check: true,
    reconnect: true,
    sample,
    small: stalledSockets,
  });
  await sink.open();
  const beforeMs = Math.min(stallMs / 2, 10_000);
  const ids = [roomId];
  const forMs = warmMs + beforeMs + stallMs + marginMs;
  const sending = sender.send({ to: "rooms", ids, perSecond, forMs });
  await sleep(warmMs);
  await sink.begin();
  await sleep(beforeMs);
  const { p99: before } = await sink.end();
  const startMb = await residentMb(gateway.pid);
  await sink.stall(stalledSockets);
  await sink.begin();
  const peak = await peakMb(gateway.pid, () => sleep(stallMs));
  const { p99: during } = await sink.end();
  await sink.read();
  const { count } = await sending;
  const check = await settled(sink, lastNumbers({ ids }, count));
  return { ...check, before, during, growthMb: peak - startMb };
}

function figuresOf(busy: readonly Outcome[], quiet: Outcome): readonly Figure[] {
  const all = [...busy, quiet];
  const sum = (of: (one: Outcome) => number): number => all.reduce((total, one) => total + of(one), 0);
  return [
    {
      name: "memory_growth_mb",
      value: spreadOf(busy.map(({ growthMb }) => growthMb)).max,
      atMost: memoryGrowthMaxMb,
    },
    {
      name: "others_p99_ratio",
      value: spreadOf(busy.map(({ before, during }) => during / before)).median,
      atMost: noise,
    },
    { name: "others_p99_ms", value: spreadOf(busy.map(({ during }) => during)).median },
    // What was missed and not told. Whoever was told reads the state anew over HTTP.
    { name: "gaps", value: sum(({ gaps }) => gaps), atMost: 0 },
    { name: "duplicates", value: sum(({ duplicates }) => duplicates), atMost: 0 },
    { name: "disordered", value: sum(({ disordered }) => disordered), atMost: 0 },
    { name: `limited_at_${busyRate}`, value: spreadOf(busy.map(({ limited }) => limited)).median },
    { name: `limited_at_${quietRate}`, value: quiet.limited, atMost: 0 },
  ];
}

function rowOf(name: string, outcome: Outcome): readonly (string | number)[] {
  const { before, during, growthMb, limited, gaps, duplicates } = outcome;
  return [name, before.toFixed(1), during.toFixed(1), growthMb.toFixed(1), limited, gaps, duplicates];
}
