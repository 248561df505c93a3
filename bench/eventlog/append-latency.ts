import { verify } from "../harness/bench.ts";
import { type Latencies, openLoop } from "../harness/open-loop.ts";
import type { TemporaryPostgres } from "../harness/postgres.ts";
import { nextEntry } from "./entries.ts";
import { openLog, storedEntries } from "./tidings-log.ts";

const warmUpMs = 500;

/** Milliseconds from the moment an entry was due until `eventlog.append` says it is durable, one entry per call. */
export async function measureAppendLatency(
  postgres: TemporaryPostgres,
  load: { readonly perSecond: number; readonly forMs: number },
): Promise<Latencies> {
  await using database = await postgres.createDatabase();
  await using log = await openLog(database.address);
  let acknowledged = 0;
  const append = async (): Promise<void> => {
    await log.eventlog.append([nextEntry()]);
    acknowledged++;
  };
  await openLoop(append, { ...load, forMs: warmUpMs });
  await database.checkpoint();
  const latencies = await openLoop(append, load);
  const { count } = await storedEntries(log.db);
  // A refused append is unknown, not absent.
  verify(
    latencies.failed > 0 ? count >= acknowledged : count === acknowledged,
    `${acknowledged} appends acknowledged, ${count} stored`,
  );
  return latencies;
}
