import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../protocol/topics.ts";
import { type BenchContext, type Figure, verify } from "./harness/bench.ts";
import type { ServerProcess } from "./harness/server-process.ts";
import { spreadFigures, spreadOf } from "./harness/spread.ts";
import { tidingsDialect, tidingsSocket } from "./gateway/dialects.ts";
import { lastNumbers } from "./gateway/load.ts";
import { type Person, addPeople, addRooms, signIn } from "./gateway/people.ts";
import { settled } from "./gateway/settled.ts";
import { type Stage, onStage, startGateway } from "./gateway/stage.ts";
import { Sink, type SinkCaught, type SinkCheck } from "./sink/sink.ts";

const rooms = 100;
const perSecond = 200;
const beforeMs = 2_000;
/** When all must be back at the latest. */
const backWithinMs = 30_000;

type Scene = Stage & {
  readonly people: readonly Person[];
  readonly roomIds: readonly number[];
  /** How long messages go on. */
  readonly loadMs: number;
};
type Cause = "cut off" | "gateway killed";
type Outcome = SinkCaught & SinkCheck & { readonly cause: Cause; readonly failures: number };

/** Everybody reads one of the rooms, and comes back as clients do: after a random pause, with their last position. */
export function runReconnect(context: BenchContext): Promise<readonly Figure[]> {
  return onStage(context, async (stage) => {
    const { quick, db } = stage;
    const people = await addPeople(db, quick ? 2_000 : 10_000);
    const roomIds = await addRooms(db, rooms);
    const scene = { ...stage, people, roomIds, loadMs: quick ? 7_000 : 15_000 };
    const cuts: Outcome[] = [];
    const kills: Outcome[] = [];
    let { gateway } = stage;
    await using restarted = new AsyncDisposableStack();
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      cuts.push(await interrupt(scene, gateway));
      const outcome = await interrupt(scene, gateway, async () => {
        gateway = restarted.use(await restart(stage, gateway));
      });
      kills.push(outcome);
    }
    report(scene, [...cuts, ...kills]);
    return figuresOf(cuts, kills);
  });
}

/** `restart` brings a gateway back that is killed meanwhile; without it, the sockets are cut off. */
async function interrupt(
  scene: Scene,
  gateway: ServerProcess,
  restart?: () => Promise<unknown>,
): Promise<Outcome> {
  const { sender, people, roomIds } = scene;
  await using sink = createSink(scene, gateway, await signIn(people));
  await sink.open();
  const sending = sender.send({ to: "rooms", ids: roomIds, perSecond, forMs: scene.loadMs });
  await sleep(beforeMs);
  await sink.storm(restart === undefined);
  await restart?.();
  const deadline = performance.now() + backWithinMs;
  while ((await sink.state()).open < people.length && performance.now() < deadline) await sleep(50);
  const { count, failed } = await sending;
  verify(failed === 0, `${failed} of ${count} messages were not taken`);
  const check = await settled(sink, lastNumbers({ ids: roomIds }, count));
  const caught = await sink.caught();
  const { failures } = await sink.state();
  return { ...check, ...caught, cause: restart === undefined ? "cut off" : "gateway killed", failures };
}

function createSink({ sink, roomIds }: Scene, { port }: ServerProcess, tokens: readonly string[]): Sink {
  return new Sink(sink, {
    port,
    dialect: tidingsDialect,
    sockets: tokens.map((token, place) => {
      const id = roomIds[place % roomIds.length] ?? 0;
      return tidingsSocket(token, id, [topics.room(id)]);
    }),
    check: true,
    reconnect: true,
  });
}

/** As whoever watches over processes does: at once, at the same place. */
async function restart({ database }: Stage, gateway: ServerProcess): Promise<ServerProcess> {
  await gateway.kill();
  return startGateway(database, [], { PORT: String(gateway.port) });
}

function figuresOf(cuts: readonly Outcome[], kills: readonly Outcome[]): readonly Figure[] {
  const all = [...cuts, ...kills];
  const sum = (of: (one: Outcome) => number): number => all.reduce((total, one) => total + of(one), 0);
  const p99 = (those: readonly Outcome[]) =>
    spreadOf(those.map((one) => (one.p99 < 0 ? Number.POSITIVE_INFINITY : one.p99)));
  return [
    ...spreadFigures("p99_caught_up_s", p99(cuts), { atMost: 5 }),
    ...spreadFigures("killed_p99_caught_up_s", p99(kills), { atMost: 5 }),
    { name: "gaps", value: sum(({ gaps }) => gaps), atMost: 0 },
    { name: "duplicates", value: sum(({ duplicates }) => duplicates), atMost: 0 },
    { name: "disordered", value: sum(({ disordered }) => disordered), atMost: 0 },
    { name: "stray", value: sum(({ stray }) => stray), atMost: 0 },
    // Nobody missed so much that they may be told to read the state anew.
    { name: "limited", value: sum(({ limited }) => limited), atMost: 0 },
  ];
}

function report({ table, people }: Scene, outcomes: readonly Outcome[]): void {
  table(
    [
      `${people.length.toLocaleString("en")} sockets`,
      "back",
      "p50 s",
      "p99 s",
      "last s",
      "missing",
      "twice",
      "disordered",
      "limited",
      "failed attempts",
    ],
    outcomes.map((one) => [
      one.cause,
      one.caught,
      one.p50.toFixed(2),
      one.p99.toFixed(2),
      one.max.toFixed(2),
      one.gaps,
      one.duplicates,
      one.disordered,
      one.limited,
      one.failures,
    ]),
  );
}
