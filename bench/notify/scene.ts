import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import type { Db } from "../../src/lib/db.ts";
import { openLog } from "../eventlog/tidings-log.ts";
import type { BenchContext } from "../harness/bench.ts";
import type { TemporaryDatabase } from "../harness/postgres.ts";
import { type ServerProcess, program, startServer } from "../harness/server-process.ts";
import { type Person, addPeople } from "../gateway/people.ts";
import { Sending } from "../gateway/sending.ts";
import { serverOptions } from "../gateway/stage.ts";
import { type SinkProgram, buildSink } from "../sink/sink.ts";
import type { NotifyLoad, NotifyResult } from "./notify-load.ts";

/** The whole server in one process, as it is started by default, and people of two kinds. */
export type Scene = BenchContext & {
  readonly db: Db;
  readonly database: TemporaryDatabase;
  readonly sink: SinkProgram;
  readonly server: ServerProcess;
  readonly sender: Sending<NotifyLoad, NotifyResult>;
  readonly apiKey: string;
  /** Who is there and hears what comes. */
  readonly listeners: readonly Person[];
  /** Who comes later, when something waits for them. */
  readonly absent: readonly Person[];
  readonly rounds: number;
};

export async function onScene<T>(
  context: BenchContext,
  counts: { readonly listeners: number; readonly absent: number },
  act: (scene: Scene) => Promise<T>,
): Promise<T> {
  using sink = buildSink();
  context.print(`  sink: ${sink.name}`);
  await using database = await context.postgres.createDatabase();
  await using log = await openLog(database.address);
  const { db } = log;
  const people = await addPeople(db, counts.listeners + counts.absent);
  await using server = await startServer(database.address, serverOptions);
  await using sender = await Sending.start<NotifyLoad, NotifyResult>(
    path.join(import.meta.dirname, "notify-process.ts"),
  );
  return await act({
    ...context,
    db,
    database,
    sink,
    server,
    sender,
    apiKey: await createKey(server),
    listeners: people.slice(0, counts.listeners),
    absent: people.slice(counts.listeners),
    rounds: context.quick ? 1 : 3,
  });
}

async function createKey({ directory, env }: ServerProcess): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, "key", "create", "bench", "--scopes", "notify:write"],
    { cwd: directory, env },
  );
  return stdout.trim();
}

export function targetsOf(people: readonly Person[]): NotifyLoad["targets"] {
  return people.map(({ id, username }) => ({ id, login: username }));
}
