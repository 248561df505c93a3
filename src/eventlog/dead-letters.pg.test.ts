import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../test/harness.ts";
import { showDeadLetter } from "./dead-letters.ts";
import { noteFailure } from "./parking.ts";

test("a dead letter tells when it was given up, not when its entry began to wait", async (t) => {
  const db = await openTestDatabase(t);
  const { rows } = await db.query<{ id: number }>(
    `insert into eventlog_parked (group_name, part, entry_offset, entry_id, topic, type, time, actor, data, state, parked_at)
     values ('tally', 0, 1, gen_random_uuid(), 'room/1', 'test.thing', now() - interval '2 days', 'system', '{}', 'parked',
             now() - interval '1 day')
     returning id`,
  );
  const id = rows[0]?.id ?? 0;
  const parkedAt = async (): Promise<Date | undefined> =>
    (await db.query<{ parked_at: Date }>("select parked_at from eventlog_parked where id = $1", [id])).rows[0]
      ?.parked_at;
  const began = await parkedAt();
  await noteFailure(db, id, { attempts: 7, error: "broken", delayMs: 1_000, dead: false });
  assert.deepEqual(await parkedAt(), began);

  const [before] = (await db.query<{ now: Date }>("select date_trunc('milliseconds', now()) as now")).rows;
  await noteFailure(db, id, { attempts: 8, error: "broken", delayMs: 0, dead: true });
  const letter = await showDeadLetter(db, id);
  assert.ok(letter.parkedAt.getTime() >= (before?.now.getTime() ?? Infinity), letter.parkedAt.toISOString());
});
