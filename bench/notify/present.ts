import { setTimeout as sleep } from "node:timers/promises";
import { topics } from "../../protocol/topics.ts";
import { tidingsDialect, tidingsSocket } from "../gateway/dialects.ts";
import { lastNumbers } from "../gateway/load.ts";
import { signIn } from "../gateway/people.ts";
import { settled } from "../gateway/settled.ts";
import { type Figure, verify } from "../harness/bench.ts";
import { cpuSeconds } from "../harness/process-use.ts";
import { type Spread, spreadFigures, spreadOf } from "../harness/spread.ts";
import { Sink, type SinkMeasured } from "../sink/sink.ts";
import type { NotifyResult } from "./notify-load.ts";
import { type Scene, targetsOf } from "./scene.ts";

const perSecond = 2_000;
const arrivalMaxMs = 20_000;
const lookEveryMs = 10;
/** Matches the markers of everybody. */
const anyKey = -1;

type Outcome = NotifyResult & { readonly receipt: SinkMeasured; readonly serverCpu: number };

/** Requests for one person each, by the clock, while everybody is connected. */
export async function measureEach(scene: Scene): Promise<readonly Figure[]> {
  const { quick, rounds, print, table, database } = scene;
  await notifyEach(scene, 2_000);
  const outcomes: Outcome[] = [];
  for (let round = 1; round <= rounds; round++) {
    await database.checkpoint();
    const outcome = await notifyEach(scene, quick ? 3_000 : 10_000);
    outcomes.push(outcome);
    print(
      `  round ${round}: accepted p99 ${fixed(outcome.p99)} ms, received p99 ${fixed(outcome.receipt.p99)} ms`,
    );
  }
  const of = (value: (one: Outcome) => number): Spread => spreadOf(outcomes.map(value));
  const accept = of(({ p99 }) => p99);
  const receipt = of((one) => one.receipt.p99);
  table(
    [`ms from being due, ${perSecond}/s`, "p50", "p99", "min..max of p99", "server CPU"],
    [
      [
        "accepted",
        fixed(of(({ p50 }) => p50).median),
        ...rowOf(accept),
        fixed(of((one) => one.serverCpu).median),
      ],
      ["received", fixed(of((one) => one.receipt.p50).median), ...rowOf(receipt), ""],
    ],
  );
  return [
    { name: "accept_p50_ms", value: of(({ p50 }) => p50).median },
    ...spreadFigures("accept_p99_ms", accept),
    { name: `receipt_p50_ms_at_${perSecond}`, value: of((one) => one.receipt.p50).median },
    ...spreadFigures(`receipt_p99_ms_at_${perSecond}`, receipt, { atMost: 50 }),
  ];
}

async function notifyEach(scene: Scene, forMs: number): Promise<Outcome> {
  const { server, sender, listeners, apiKey } = scene;
  await using sink = await openSink(scene, ({ id }) => id);
  await sink.begin();
  const before = await cpuSeconds(server.pid);
  const begunAt = performance.now();
  const targets = targetsOf(listeners);
  const result = await sender.send({ kind: "each", port: server.port, apiKey, targets, perSecond, forMs });
  const serverCpu = ((await cpuSeconds(server.pid)) - before) / ((performance.now() - begunAt) / 1_000);
  verify(result.failed === 0, `${result.failed} notifications were refused`);
  const lasts = lastNumbers({ ids: listeners.map(({ id }) => id) }, result.accepted);
  const { gaps, duplicates, disordered, stray } = await settled(sink, lasts);
  verify(
    gaps + duplicates + disordered + stray === 0,
    `${gaps} missing, ${duplicates} twice, ${disordered} out of order, ${stray} for others`,
  );
  return { ...result, receipt: await sink.end(), serverCpu };
}

/** One request for everybody, until the last of them has it. */
export async function measureAll(scene: Scene): Promise<readonly Figure[]> {
  const { quick, server, sender, listeners, apiKey, print, table, database } = scene;
  await using sink = await openSink(scene, () => anyKey);
  const outcomes: Outcome[] = [];
  const targets = targetsOf(listeners);
  // The first one only warms up.
  for (let number = 1; number <= (quick ? 2 : 6); number++) {
    await database.checkpoint();
    await sink.begin();
    const before = await cpuSeconds(server.pid);
    const result = await sender.send({ kind: "all", port: server.port, apiKey, targets, number });
    verify(result.failed === 0, "the request for everybody was refused");
    const receipt = await received(sink, listeners.length);
    const outcome = { ...result, receipt, serverCpu: (await cpuSeconds(server.pid)) - before };
    if (number > 1) outcomes.push(outcome);
    print(
      `  request ${number} for all: accepted ${fixed(result.p50)} ms, last received ${fixed(receipt.max)} ms`,
    );
  }
  const of = (value: (one: Outcome) => number): Spread => spreadOf(outcomes.map(value));
  const last = of((one) => one.receipt.max);
  table(
    [`one for ${targets.length.toLocaleString("en")}`, "ms", "min..max", "server CPU s"],
    [
      ["accepted", ...rowOf(of(({ p50 }) => p50)), of((one) => one.serverCpu).median.toFixed(2)],
      ["half have it", ...rowOf(of((one) => one.receipt.p50)), ""],
      ["the last has it", ...rowOf(last), ""],
    ],
  );
  return [
    { name: "wide_accept_ms", value: of(({ p50 }) => p50).median },
    ...spreadFigures("wide_last_receipt_ms", last, { atMost: 1_000 }),
  ];
}

/**
 * Everybody reads what is for them as our own clients do, by a subscription: unlike with the seed's form, it is answered
 * when it stands, so that no notification is pushed as something that waited.
 */
async function openSink(
  { sink: program, server, listeners }: Scene,
  keyOf: (person: { readonly id: number }) => number,
): Promise<Sink> {
  const tokens = await signIn(listeners);
  const sink = new Sink(program, {
    port: server.port,
    dialect: tidingsDialect,
    sockets: listeners.map((person, place) =>
      tidingsSocket(tokens[place] ?? "", keyOf(person), [topics.user(person.id)]),
    ),
    check: true,
  });
  try {
    await sink.open();
    return sink;
  } catch (error) {
    await sink[Symbol.asyncDispose]();
    throw error;
  }
}

async function received(sink: Sink, expected: number): Promise<SinkMeasured> {
  const deadline = performance.now() + arrivalMaxMs;
  for (;;) {
    const measured = await sink.end();
    if (measured.messages >= expected || performance.now() > deadline) {
      verify(measured.messages === expected, `${expected} to be received, ${measured.messages} were`);
      return measured;
    }
    await sleep(lookEveryMs);
  }
}

function rowOf({ min, median, max }: Spread): readonly string[] {
  return [fixed(median), `${fixed(min)}..${fixed(max)}`];
}

function fixed(value: number): string {
  return value.toFixed(1);
}
