import { setTimeout as sleep } from "node:timers/promises";
import { groupStates } from "../../src/eventlog/consumer-admin.ts";
import type { Db } from "../../src/lib/db.ts";
import { verify } from "../harness/bench.ts";
import type { Acknowledged } from "./load.ts";

const lookEveryMs = 20;
const drainTimeoutMs = 120_000;

/** Seconds until the consumers are behind by less than `belowS`; nothing behind at all for 0. */
export async function secondsUntilLag(db: Db, belowS: number): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const groups = await groupStates(db);
    const drained = groups.every(({ lagSeconds, lagEntries }) =>
      belowS > 0 ? lagSeconds < belowS : lagEntries === 0,
    );
    const waitedMs = performance.now() - startedAt;
    if (drained) return waitedMs / 1_000;
    verify(waitedMs < drainTimeoutMs, "the consumers do not catch up");
    await sleep(lookEveryMs);
  }
}

/** Every message that was acknowledged is in the log once and in the inbox once, and nothing else is. */
export async function verifyStored(db: Db, acknowledged: Acknowledged): Promise<void> {
  const number = "('x' || right(replace(external_message_id::text, '-', ''), 8))::bit(32)::bigint";
  const { rows } = await db.query<{ count: number; distinct: number; sum: number; entries: number }>(
    `select count(*), count(distinct external_message_id) as "distinct", coalesce(sum(${number}), 0)::float8 as sum,
            (select count(distinct id) from eventlog_entry) as entries
       from inbox_message`,
  );
  const [stored] = rows;
  const { count, sum } = acknowledged;
  verify(
    stored?.count === count && stored.distinct === count && stored.entries === count && stored.sum === sum,
    `${count} webhooks acknowledged, ${stored?.entries} entries, ${stored?.count} messages (${stored?.distinct} different)`,
  );
}
