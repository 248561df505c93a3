import { setTimeout as sleep } from "node:timers/promises";
import type { Db } from "../../src/lib/db.ts";
import { type Person, signIn } from "../gateway/people.ts";
import { settled } from "../gateway/settled.ts";
import { type Figure, verify } from "../harness/bench.ts";
import { cpuSeconds } from "../harness/process-use.ts";
import { type Spread, spreadFigures, spreadOf } from "../harness/spread.ts";
import { type Dialect, Sink } from "../sink/sink.ts";
import { storeUnread, unreadEach } from "./backlog.ts";
import type { Scene } from "./scene.ts";

const plainDialect: Dialect = { subprotocol: "", counted: '{"type":"notification.push"', ready: "" };
/** PostgreSQL's connections tell what they have done after so long without work, milliseconds. */
const toldAfterMs = 11_000;

type Outcome = {
  readonly seconds: number;
  /** Until all WebSockets stand, whatever they have heard. */
  readonly openSeconds: number;
  readonly serverCpu: number;
  readonly transactions: number;
};

/** People come back all at once, in the seed's form, and hear what has waited for them in a large table. */
export async function measureReplay(scene: Scene, returning: number): Promise<readonly Figure[]> {
  const { quick, rounds, db, database, absent, print, table } = scene;
  const begunAt = performance.now();
  await storeUnread(db, absent);
  await db.query("vacuum analyze notification, notification_person");
  const stored = absent.length * unreadEach;
  print(
    `  ${stored.toLocaleString("en")} unread stored, ${unreadEach} each, in ${Math.round((performance.now() - begunAt) / 1_000)} s`,
  );
  const outcomes: Outcome[] = [];
  for (let round = 1; round <= rounds; round++) {
    await database.checkpoint();
    const people = absent.slice((round - 1) * returning, round * returning);
    const outcome = await comeBack(scene, people);
    outcomes.push(outcome);
    print(`  round ${round}: ${people.length} have all theirs after ${outcome.seconds.toFixed(2)} s`);
  }
  const of = (value: (one: Outcome) => number): Spread => spreadOf(outcomes.map(value));
  const rate = of(({ seconds }) => returning / seconds);
  table(
    [`${returning.toLocaleString("en")} come back`, "median", "min..max"],
    [
      [
        "all are connected, s",
        ...rowOf(
          of((one) => one.openSeconds),
          2,
        ),
      ],
      [
        `all have all ${unreadEach}, s`,
        ...rowOf(
          of((one) => one.seconds),
          2,
        ),
      ],
      ["people a second", ...rowOf(rate, 0)],
      [
        "server CPU s",
        ...rowOf(
          of((one) => one.serverCpu),
          2,
        ),
      ],
      ...(quick
        ? []
        : [
            [
              "transactions of PostgreSQL",
              ...rowOf(
                of((one) => one.transactions),
                0,
              ),
            ],
          ]),
    ],
  );
  return spreadFigures("replay_users_per_s", rate);
}

async function comeBack(scene: Scene, people: readonly Person[]): Promise<Outcome> {
  const { db, server, quick } = scene;
  const tokens = await signIn(people);
  await using sink = new Sink(scene.sink, {
    port: server.port,
    dialect: plainDialect,
    sockets: people.map(({ id }, place) => ({
      path: `/ws?user_id=${id}&token=${tokens[place] ?? ""}`,
      first: "",
      topic: "",
      key: id,
    })),
    check: true,
  });
  const transactionsBefore = quick ? 0 : await transactions(db);
  const cpuBefore = await cpuSeconds(server.pid);
  await sink.begin();
  const begunAt = performance.now();
  const { seconds: openSeconds } = await sink.open();
  const lasts = new Map(people.map(({ id }) => [id, unreadEach]));
  const { gaps, duplicates, disordered, stray } = await settled(sink, lasts);
  const seconds = (performance.now() - begunAt) / 1_000;
  const serverCpu = (await cpuSeconds(server.pid)) - cpuBefore;
  verify(
    gaps + duplicates + disordered + stray === 0,
    `${gaps} missing, ${duplicates} twice, ${disordered} out of order, ${stray} for others`,
  );
  const { messages } = await sink.end();
  verify(messages === people.length * unreadEach, `${messages} were heard`);
  return {
    seconds,
    openSeconds,
    serverCpu,
    transactions: quick ? 0 : (await transactions(db)) - transactionsBefore,
  };
}

/** That were committed so far. Statements outside of a transaction are one each. */
async function transactions(db: Db): Promise<number> {
  await sleep(toldAfterMs);
  const { rows } = await db.query<{ count: number }>(
    "select xact_commit::float8 as count from pg_stat_database where datname = current_database()",
  );
  return rows[0]?.count ?? Number.NaN;
}

function rowOf({ min, median, max }: Spread, digits: number): readonly string[] {
  return [median.toFixed(digits), `${min.toFixed(digits)}..${max.toFixed(digits)}`];
}
