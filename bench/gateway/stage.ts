import path from "node:path";
import type { Db } from "../../src/lib/db.ts";
import { openLog } from "../eventlog/tidings-log.ts";
import type { BenchContext } from "../harness/bench.ts";
import { type ServerProcess, startServer } from "../harness/server-process.ts";
import type { TemporaryDatabase } from "../harness/postgres.ts";
import { type SinkProgram, buildSink } from "../sink/sink.ts";
import { jwtSecret } from "./people.ts";
import { Sending } from "./sending.ts";

const unlimited = "1000000";
const unlimitedRate = "1000000/1000000";

/** All clients of a bench come from this machine: no limit of one address or person is to be measured. */
export const serverOptions: Readonly<Record<string, string>> = {
  JWT_SECRET: jwtSecret,
  MAX_CONNECTIONS: unlimited,
  CONNECTIONS_PER_ADDRESS: unlimited,
  CONNECTIONS_PER_USER: unlimited,
  RATE_LIMIT_CONNECT: unlimitedRate,
  RATE_LIMIT_FRAMES: unlimitedRate,
  RATE_LIMIT_IP: unlimitedRate,
  RATE_LIMIT_PERSON: unlimitedRate,
};

/**
 * What the benches of the gateway stand on: a database, a process that is the gateway and nothing else, one for all the
 * rest, one that appends entries, and the sink.
 */
export type Stage = BenchContext & {
  readonly db: Db;
  readonly database: TemporaryDatabase;
  readonly sink: SinkProgram;
  readonly gateway: ServerProcess;
  readonly sender: Sending;
};

export async function onStage<T>(
  context: BenchContext,
  act: (stage: Stage) => Promise<T>,
  gatewayNodeOptions: readonly string[] = [],
): Promise<T> {
  using sink = buildSink();
  context.print(`  sink: ${sink.name}`);
  await using database = await context.postgres.createDatabase();
  await using log = await openLog(database.address);
  await using others = await startServer(database.address, { ...serverOptions, ROLES: "api,worker" });
  await using gateway = await startGateway(database, gatewayNodeOptions);
  await using sender = await startSender(database);
  void others;
  return await act({ ...context, db: log.db, database, sink, gateway, sender });
}

export function startGateway(
  { address }: TemporaryDatabase,
  nodeOptions: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  return startServer(address, { ...serverOptions, ROLES: "gateway", ...env }, nodeOptions);
}

function startSender({ address }: TemporaryDatabase): Promise<Sending> {
  return Sending.start(path.join(import.meta.dirname, "sender-process.ts"), [JSON.stringify(address)]);
}
