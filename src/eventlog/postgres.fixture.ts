import { after } from "node:test";
import { testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import type { Db } from "../lib/db.ts";
import { type PostgresEventLog, type PostgresEventLogOptions, openPostgresEventLog } from "./postgres.ts";
import type { SegmentRules } from "./segments.ts";

export const dayMs = 86_400_000;
/** Nothing is opened or dropped while a test runs. */
export const ordinary: SegmentRules = {
  openAfterMs: dayMs,
  openAfterEntries: 5_000_000,
  keepMs: dayMs,
  keepMaxMs: 2 * dayMs,
};
/** Every call of `maintain` opens a segment, and nothing closed is kept. */
export const impatient: SegmentRules = {
  openAfterMs: 0,
  openAfterEntries: 1,
  keepMs: -60_000,
  keepMaxMs: -60_000,
};
/** Every call of `maintain` opens a segment, and all are kept. */
export const rotating: SegmentRules = { ...impatient, keepMs: dayMs, keepMaxMs: dayMs };

/** A log as a server opens it; closed after the file's last test. */
export async function openLog(
  db: Db,
  options: Partial<PostgresEventLogOptions> = {},
): Promise<PostgresEventLog> {
  const log = await openPostgresEventLog(db, {
    partitions: 16,
    queueEntriesMax: 20_000,
    appendTimeoutMs: 5_000,
    notify: true,
    retention: ordinary,
    clock: systemClock,
    log: testLog,
    ...options,
  });
  opened.push(log);
  return log;
}

const opened: PostgresEventLog[] = [];
after(async () => {
  for (const log of opened) await log.close();
});
