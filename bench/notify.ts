import type { Db } from "../src/lib/db.ts";
import { type BenchContext, type Figure, verify } from "./harness/bench.ts";
import { measureAll, measureEach } from "./notify/present.ts";
import { measureReplay } from "./notify/returning.ts";
import { onScene } from "./notify/scene.ts";

/**
 * Notifications through the whole server: for one person at a time and for everybody at once while all are connected, and
 * for those who come back.
 */
export function runNotify(context: BenchContext): Promise<readonly Figure[]> {
  const { quick } = context;
  const counts = quick ? { listeners: 1_000, absent: 2_000 } : { listeners: 10_000, absent: 50_000 };
  return onScene(context, counts, async (scene) => {
    const each = await measureEach(scene);
    const all = await measureAll(scene);
    const replay = await measureReplay(scene, quick ? 500 : 5_000);
    await verifyCounts(scene.db);
    return [...each, ...all, ...replay];
  });
}

/** What is counted for each person is what is there, and every change of it has had its version. */
async function verifyCounts(db: Db): Promise<void> {
  const { rows } = await db.query<{ wrong: number }>(
    `select count(*)::int as wrong
       from notification_person p
       left join (select user_id, count(*) as stored, count(*) filter (where state in ('unread', 'seen')) as unread,
                         max(stream_ms) as last_ms from notification group by user_id) n using (user_id)
      where (p.stored, p.unread, p.version, p.stream_ms) is distinct from
            (coalesce(n.stored, 0), coalesce(n.unread, 0), coalesce(n.stored, 0), coalesce(n.last_ms, 0))`,
  );
  verify(rows[0]?.wrong === 0, `${rows[0]?.wrong} people of whom something else is counted than is there`);
}
