import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../protocol/topics.ts";
import type { Db } from "../src/lib/db.ts";
import { openLog } from "./eventlog/tidings-log.ts";
import { type BenchContext, type Figure, verify } from "./harness/bench.ts";
import type { TemporaryDatabase } from "./harness/postgres.ts";
import { cpuSeconds } from "./harness/process-use.ts";
import { interleave } from "./harness/rounds.ts";
import { type ServerProcess, startServer } from "./harness/server-process.ts";
import { type Spread, spreadFigures, spreadOf } from "./harness/spread.ts";
import { tidingsDialect, tidingsSocket } from "./gateway/dialects.ts";
import { addPeople, addRooms, signIn } from "./gateway/people.ts";
import { serverOptions } from "./gateway/stage.ts";
import { Sending } from "./gateway/sending.ts";
import type { SendLoad, SendResult } from "./send/send-load.ts";
import { Sink, type SinkMeasured, type SinkProgram, buildSink } from "./sink/sink.ts";

const senders = 64;
const manyRooms = 1_000;
/** Members who read along: some in the one room, one in each of many. */
const readersOfOne = 10;
const arrivalMaxMs = 15_000;
const lookEveryMs = 20;

type Scene = BenchContext & {
  readonly db: Db;
  readonly database: TemporaryDatabase;
  readonly sink: SinkProgram;
  readonly server: ServerProcess;
  readonly sender: Sending<SendLoad, SendResult>;
  readonly people: Awaited<ReturnType<typeof addPeople>>;
  readonly oneRoom: readonly number[];
  readonly rooms: readonly number[];
};

type Way = { readonly name: string; readonly via: SendLoad["via"]; readonly roomIds: readonly number[] };

type Outcome = SendResult & {
  /** From when a message was sent, or was due, to when another member had it. */
  readonly receipt: SinkMeasured;
  readonly serverCpu: number;
};

/** The whole server in one process, as it is started by default. */
export async function runSend(context: BenchContext): Promise<readonly Figure[]> {
  using sink = buildSink();
  context.print(`  sink: ${sink.name}`);
  await using database = await context.postgres.createDatabase();
  await using log = await openLog(database.address);
  const { db } = log;
  const people = await addPeople(db, senders + 1);
  const oneRoom = await addRooms(db, 1, people);
  const rooms = await addRooms(db, context.quick ? 200 : manyRooms, people);
  await using server = await startServer(database.address, serverOptions);
  await using sender = await Sending.start<SendLoad, SendResult>(
    path.join(import.meta.dirname, "send/send-process.ts"),
  );
  const scene: Scene = { ...context, db, database, sink, server, sender, people, oneRoom, rooms };
  const ways = [
    { name: "one room, socket", via: "socket", roomIds: oneRoom },
    { name: "one room, HTTP", via: "http", roomIds: oneRoom },
    { name: `${rooms.length} rooms, socket`, via: "socket", roomIds: rooms },
    { name: `${rooms.length} rooms, HTTP`, via: "http", roomIds: rooms },
  ] as const;
  const rates = await compareMaximum(scene, ways);
  const half = await measureHalf(scene, ways, rates);
  await verifySaved(db);
  return [
    ...spreadFigures("one_room_per_s", rates[0], { atLeast: 5_000 }),
    ...spreadFigures("one_room_http_per_s", rates[1], { atLeast: 5_000 }),
    ...spreadFigures("thousand_rooms_per_s", rates[2]),
    ...spreadFigures("thousand_rooms_http_per_s", rates[3]),
    ...half,
  ];
}

/** Closed loop, as fast as answers come. */
async function compareMaximum(
  scene: Scene,
  ways: readonly [Way, Way, Way, Way],
): Promise<readonly [Spread, Spread, Spread, Spread]> {
  const { quick, print, table, database } = scene;
  const forMs = quick ? 1_500 : 5_000;
  const outcomes = new Map<Way, Outcome[]>(ways.map((way) => [way, []]));
  for (const way of ways) await measure(scene, way, { forMs: Math.min(forMs, 1_500) });
  const rates = await interleave(
    ways.map((way) => ({
      name: way.name,
      measure: async () => {
        const outcome = await measure(scene, way, { forMs });
        outcomes.get(way)?.push(outcome);
        return outcome.perSecond;
      },
    })),
    quick ? 1 : 3,
    {
      onValue: ({ name }, round, rate) => print(`  round ${round}: ${name}: ${Math.round(rate)}/s`),
      beforeRound: () => database.checkpoint(),
    },
  );
  const spreads = rates.map((values) => spreadOf(values));
  table(
    ["messages/s, closed loop", "min", "median", "max", "answer p50 ms", "p99 ms", "server CPU"],
    ways.map((way, place) => {
      const { min = 0, median = 0, max = 0 } = spreads[place] ?? {};
      const of = (value: (one: Outcome) => number): number =>
        spreadOf((outcomes.get(way) ?? []).map(value)).median;
      return [
        way.name,
        ...[min, median, max].map((rate) => Math.round(rate).toLocaleString("en")),
        of(({ p50 }) => p50).toFixed(1),
        of(({ p99 }) => p99).toFixed(1),
        of(({ serverCpu }) => serverCpu).toFixed(2),
      ];
    }),
  );
  return spreads as [Spread, Spread, Spread, Spread];
}

/** Open loop at half of that: from sending to receipt by another member. */
async function measureHalf(
  scene: Scene,
  ways: readonly [Way, Way, Way, Way],
  rates: readonly Spread[],
): Promise<readonly Figure[]> {
  const { quick, table } = scene;
  const rows: (readonly string[])[] = [];
  const p99s = new Map<Way, Spread>();
  for (const [place, way] of ways.entries()) {
    const perSecond = (rates[place]?.median ?? 0) / 2;
    const outcomes: Outcome[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      outcomes.push(await measure(scene, way, { forMs: quick ? 2_000 : 8_000, perSecond }));
    }
    const p99 = spreadOf(outcomes.map(({ receipt }) => receipt.p99));
    p99s.set(way, p99);
    rows.push([
      `${way.name}, ${Math.round(perSecond).toLocaleString("en")}/s`,
      spreadOf(outcomes.map(({ receipt }) => receipt.p50)).median.toFixed(1),
      p99.median.toFixed(1),
      `${p99.min.toFixed(1)}..${p99.max.toFixed(1)}`,
      spreadOf(outcomes.map(({ p99 }) => p99)).median.toFixed(1),
    ]);
  }
  table(["send to receipt at half", "p50 ms", "p99 ms", "min..max", "p99 of the answer"], rows);
  const [one, http, many] = ways;
  const median = (way: Way): number => p99s.get(way)?.median ?? Number.NaN;
  return [
    ...spreadFigures("p99_ms_at_half", p99s.get(one) ?? spreadOf([Number.NaN])),
    { name: "http_p99_ms_at_half", value: median(http) },
    { name: "thousand_rooms_p99_ms_at_half", value: median(many) },
  ];
}

async function measure(
  scene: Scene,
  { via, roomIds }: Way,
  how: Pick<SendLoad, "forMs" | "perSecond">,
): Promise<Outcome> {
  const { server, sender, people } = scene;
  const readers = roomIds.length === 1 ? readersOfOne : 1;
  const tokens = await signIn(people);
  const readerToken = tokens.at(-1) ?? "";
  await using sink = new Sink(scene.sink, {
    port: server.port,
    dialect: tidingsDialect,
    sockets: roomIds.flatMap((id) =>
      Array.from({ length: readers }, () => tidingsSocket(readerToken, id, [topics.room(id)])),
    ),
  });
  await sink.open();
  await sink.begin();
  const before = await cpuSeconds(server.pid);
  const startedAt = performance.now();
  const result = await sender.send({
    ...how,
    via,
    roomIds,
    port: server.port,
    tokens: tokens.slice(0, senders),
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  const serverCpu = ((await cpuSeconds(server.pid)) - before) / seconds;
  verify(result.failed === 0, `${result.failed} messages were refused`);
  const receipt = await received(sink, result.accepted * readers);
  return { ...result, receipt, serverCpu };
}

/** Every message that was answered reaches every reader, once. */
async function received(sink: Sink, expected: number): Promise<SinkMeasured> {
  const deadline = performance.now() + arrivalMaxMs;
  for (;;) {
    const measured = await sink.end();
    if (measured.messages >= expected || performance.now() > deadline) {
      verify(
        measured.messages === expected,
        `${expected} messages to be received, ${measured.messages} were`,
      );
      return measured;
    }
    await sleep(lookEveryMs);
  }
}

/** In every room: 1, 2, 3 without a gap, and the room knows how far it is. */
async function verifySaved(db: Db): Promise<void> {
  const { rows } = await db.query<{ wrong: number; messages: number }>(
    `select count(*) filter (where r.last_seq <> m.count or m.last <> m.count) as wrong, sum(m.count)::float8 as messages
       from chat_room r join (select room_id, count(*) as count, max(seq) as last from chat_message group by room_id) m
         on m.room_id = r.id`,
  );
  verify(rows[0]?.wrong === 0, `${rows[0]?.wrong} rooms whose messages are not 1, 2, 3 without a gap`);
}
