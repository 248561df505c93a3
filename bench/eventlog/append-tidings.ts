import { verify } from "../harness/bench.ts";
import type { TemporaryPostgres } from "../harness/postgres.ts";
import { appendUntil } from "./closed-loop.ts";
import { openLog, storedEntries } from "./tidings-log.ts";

/** Callers with one entry on its way each, as many webhooks at once have. Enough to fill both writers' batches. */
export const appendCallers = 4_000;

/** Durable appends per second through `eventlog.append`, one entry per call. */
export async function measureAppends(postgres: TemporaryPostgres, forMs: number): Promise<number> {
  await using database = await postgres.createDatabase();
  await using log = await openLog(database.address);
  const { rate, acknowledged } = await appendUntil(
    (entry) => log.eventlog.append([entry]),
    { callers: appendCallers, forMs },
    () => database.checkpoint(),
  );
  const { count, distinct } = await storedEntries(log.db);
  verify(
    count === acknowledged && distinct === acknowledged,
    `${acknowledged} appends acknowledged, ${count} stored`,
  );
  return rate;
}
