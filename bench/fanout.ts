import path from "node:path";
import { type BenchContext, type Figure, verify } from "./harness/bench.ts";
import { interleave } from "./harness/rounds.ts";
import { type Spread, ratios, spreadFigures, spreadOf } from "./harness/spread.ts";
import { type Delivery, type DeliveryLoad, type Side, measureDelivery } from "./gateway/delivery.ts";
import { type Person, addPeople, addRooms } from "./gateway/people.ts";
import { Sending } from "./gateway/sending.ts";
import { socketIo, tidingsForPeople, tidingsInRooms, wsLoop } from "./gateway/sides.ts";
import { type Stage, onStage } from "./gateway/stage.ts";
import { highestSustained } from "./gateway/sustained.ts";

const roomSockets = 1_000;
const highRate = 1_000;
const lowRate = 10;
/** Where all sockets together get a million messages a second, the markers of one of so many are read and checked. */
const sampleOfMany = 8;
/** Messages for one person each, and messages into a thousand rooms. */
const peoplePerSecond = 5_000;
const roomsPerSecond = 2_000;

type Scene = Stage & {
  readonly people: readonly Person[];
  readonly roomIds: readonly number[];
  readonly peers: { readonly ws: Sending; readonly socketIo: Sending };
  readonly rounds: number;
  readonly times: Pick<DeliveryLoad, "warmMs" | "forMs">;
};

/** One measurement of a round: who, and under which load. */
type Run = { readonly name: string; readonly side: () => Promise<Side> | Side; readonly load: DeliveryLoad };

export function runFanout(context: BenchContext): Promise<readonly Figure[]> {
  return onStage(context, async (stage) => {
    const { quick, db } = stage;
    await using ws = await Sending.start(path.join(import.meta.dirname, "peers/ws-loop.ts"));
    await using socketIo = await Sending.start(path.join(import.meta.dirname, "peers/socket-io.ts"));
    const scene: Scene = {
      ...stage,
      people: await addPeople(db, quick ? 1_000 : 10_000),
      roomIds: await addRooms(db, quick ? 100 : 1_000),
      peers: { ws, socketIo },
      rounds: quick ? 1 : 3,
      times: quick ? { warmMs: 500, forMs: 1_200 } : { warmMs: 2_000, forMs: 6_000 },
    };
    return [
      ...(await compareOneRoom(scene)),
      ...(await compareLowRate(scene)),
      ...(await compareDistinct(scene)),
      ...(await reportManyRooms(scene)),
    ];
  });
}

/** Everybody in one room: the case that batching is for. Each peer at the highest rate that it sustains. */
async function compareOneRoom(scene: Scene): Promise<readonly Figure[]> {
  const { print, quick } = scene;
  const load = { ...oneRoom(scene), sample: sampleOfMany };
  const { ws, socketIo } = peerSides(scene);
  const trial = { ...load, warmMs: 300, forMs: quick ? 500 : 1_500, growth: quick ? 1.7 : 1.2 };
  const from = { perSecond: 60 };
  await measureDelivery(scene.sink, ws, { ...trial, ...from, mayLose: true });
  await measureDelivery(scene.sink, socketIo, { ...trial, ...from, mayLose: true });
  const wsRate = await highestSustained(scene.sink, ws, trial, from.perSecond);
  const socketIoRate = await highestSustained(scene.sink, socketIo, trial, from.perSecond);
  print(
    `  highest rates sustained: ws loop ${Math.round(wsRate)}/s, Socket.IO ${Math.round(socketIoRate)}/s`,
  );
  const ours = tidingsSide(scene);
  await measureDelivery(scene.sink, await ours(), { ...trial, perSecond: highRate });
  const [tidings, loop, io] = await inRounds(scene, [
    { name: `Tidings at ${highRate}/s`, side: ours, load: { ...load, perSecond: highRate } },
    {
      name: `ws loop at ${Math.round(wsRate)}/s`,
      side: () => ws,
      load: { ...load, perSecond: wsRate, mayLose: true },
    },
    {
      name: `Socket.IO at ${Math.round(socketIoRate)}/s`,
      side: () => socketIo,
      load: { ...load, perSecond: socketIoRate, mayLose: true },
    },
  ]);
  for (const [name, peer] of [
    ["the ws loop", loop],
    ["Socket.IO", io],
  ] as const) {
    const [server, counting] = [coreOf(peer, "serverCpu"), coreOf(peer, "sinkCpu")];
    verify(counting < server, `${name} used ${server} of a core, and the sink ${counting}: it held it up`);
  }
  const rate = tidings.map(({ perCpuSecond }) => perCpuSecond);
  const against = (peer: readonly Delivery[]): Spread =>
    spreadOf(
      ratios(
        rate,
        peer.map(({ perCpuSecond }) => perCpuSecond),
      ),
    );
  return [
    ...spreadFigures("vs_ws_loop", against(loop), { atLeast: 12 }),
    ...spreadFigures("vs_socketio", against(io), { atLeast: 12 }),
    ...spreadFigures("per_cpu_second", spreadOf(rate)),
    ...spreadFigures(`p99_ms_at_${highRate}`, spreadOf(tidings.map(({ p99 }) => p99)), { atMost: 40 }),
    { name: "ws_loop_core", value: coreOf(loop, "serverCpu") },
    { name: "socketio_core", value: coreOf(io, "serverCpu") },
    { name: "sink_core", value: Math.max(coreOf(loop, "sinkCpu"), coreOf(io, "sinkCpu")) },
    { name: "sustained_per_s", value: spreadOf(tidings.map(({ perSecond }) => perSecond)).median },
  ];
}

/** Share of a core: what holds a peer up at its highest rate must be its own work, and not the counting. */
function coreOf(side: readonly Delivery[], whose: "serverCpu" | "sinkCpu"): number {
  return spreadOf(side.map((one) => one[whose])).median;
}

/** So few messages that nothing can be batched: what the way through the log adds. */
async function compareLowRate(scene: Scene): Promise<readonly Figure[]> {
  const load = { ...oneRoom(scene), sample: 1, perSecond: lowRate };
  const [tidings, loop] = await inRounds(scene, [
    { name: `Tidings at ${lowRate}/s`, side: tidingsSide(scene), load },
    { name: `ws loop at ${lowRate}/s`, side: () => peerSides(scene).ws, load },
  ]);
  const over = tidings.map(({ p50 }, round) => p50 - (loop[round]?.p50 ?? Number.NaN));
  return [
    ...spreadFigures(`p50_over_loop_ms_at_${lowRate}`, spreadOf(over), { atMost: 1 }),
    // What the loop does without.
    { name: `durable_p50_ms_at_${lowRate}`, value: spreadOf(tidings.map((one) => one.durableP50)).median },
  ];
}

/** One message each for many people: as many writes as messages, for everybody. */
async function compareDistinct(scene: Scene): Promise<readonly Figure[]> {
  const { people, peers } = scene;
  const ids = people.map(({ id }) => id);
  const load: DeliveryLoad = {
    ...scene.times,
    to: "people",
    ids,
    readers: 1,
    sample: 1,
    perSecond: peoplePerSecond,
  };
  const [tidings, loop] = await inRounds(scene, [
    { name: `Tidings, ${ids.length} people`, side: () => tidingsForPeople(scene, people), load },
    { name: `ws loop, ${ids.length} people`, side: () => wsLoop(peers.ws, ids.length, ids), load },
  ]);
  const perCpu = (side: readonly Delivery[]): number[] => side.map(({ perCpuSecond }) => perCpuSecond);
  return spreadFigures("distinct_vs_ws", spreadOf(ratios(perCpu(tidings), perCpu(loop))), { atLeast: 0.8 });
}

async function reportManyRooms(scene: Scene): Promise<readonly Figure[]> {
  const { people, roomIds, peers } = scene;
  const readers = people.length / roomIds.length;
  const load: DeliveryLoad = {
    ...scene.times,
    to: "rooms",
    ids: roomIds,
    readers,
    sample: 1,
    perSecond: roomsPerSecond,
  };
  const what = `${roomIds.length} rooms x ${readers}`;
  const [tidings, loop] = await inRounds(scene, [
    { name: `Tidings, ${what}`, side: () => tidingsInRooms(scene, people, roomIds), load },
    {
      name: `ws loop, ${what}`,
      side: () => wsLoop(peers.ws, people.length, roomIds),
      load: { ...load, mayLose: true },
    },
  ]);
  const perCpu = (side: readonly Delivery[]): number[] => side.map(({ perCpuSecond }) => perCpuSecond);
  return [
    { name: "rooms_per_cpu_second", value: spreadOf(perCpu(tidings)).median },
    { name: "rooms_vs_ws", value: spreadOf(ratios(perCpu(tidings), perCpu(loop))).median },
    { name: "rooms_p99_ms", value: spreadOf(tidings.map(({ p99 }) => p99)).median },
  ];
}

function oneRoom({ roomIds, times }: Scene): Omit<DeliveryLoad, "perSecond" | "sample"> {
  return { ...times, to: "rooms", ids: roomIds.slice(0, 1), readers: roomSockets };
}

function tidingsSide(scene: Scene): () => Promise<Side> {
  const { people, roomIds } = scene;
  return () => tidingsInRooms(scene, people.slice(0, roomSockets), roomIds.slice(0, 1));
}

function peerSides({ peers, roomIds }: Scene): { readonly ws: Side; readonly socketIo: Side } {
  const ids = roomIds.slice(0, 1);
  return { ws: wsLoop(peers.ws, roomSockets, ids), socketIo: socketIo(peers.socketIo, roomSockets, ids) };
}

/** Measures in turn, and shows a table of the medians. */
async function inRounds<const R extends readonly Run[]>(
  { sink, rounds, print, table, database }: Scene,
  runs: R,
): Promise<{ [K in keyof R]: Delivery[] }> {
  const results = runs.map((): Delivery[] => []);
  await interleave(
    runs.map(({ name, side, load }, index) => ({
      name,
      measure: async () => {
        const delivery = await measureDelivery(sink, await side(), load);
        results[index]?.push(delivery);
        return delivery.perCpuSecond;
      },
    })),
    rounds,
    {
      onValue: ({ name }, round, value) =>
        print(
          `  round ${round}: ${name}: ${Math.round(value).toLocaleString("en")} deliveries per CPU second`,
        ),
      beforeRound: () => database.checkpoint(),
    },
  );
  table(
    ["medians", "deliveries/s", "per CPU s", "min..max", "p50 ms", "p99 ms", "server CPU", "sink CPU"],
    runs.map(({ name }, index) => rowOf(name, results[index] ?? [])),
  );
  return results as { [K in keyof R]: Delivery[] };
}

function rowOf(name: string, runs: readonly Delivery[]): readonly string[] {
  const of = (value: (run: Delivery) => number): Spread => spreadOf(runs.map(value));
  const whole = (value: number): string => Math.round(value).toLocaleString("en");
  const perCpu = of(({ perCpuSecond }) => perCpuSecond);
  return [
    name,
    whole(of(({ perSecond }) => perSecond).median),
    whole(perCpu.median),
    `${whole(perCpu.min)}..${whole(perCpu.max)}`,
    of(({ p50 }) => p50).median.toFixed(1),
    of(({ p99 }) => p99).median.toFixed(1),
    of(({ serverCpu }) => serverCpu).median.toFixed(2),
    of(({ sinkCpu }) => sinkCpu).median.toFixed(2),
  ];
}
