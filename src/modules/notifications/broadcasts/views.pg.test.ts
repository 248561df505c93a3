import assert from "node:assert/strict";
import { test } from "node:test";
import type { Queryable } from "../../../lib/db.ts";
import { replayUnread } from "../queries.ts";
import { openBroadcastStage } from "./broadcasts.fixture.ts";
import { listBroadcasts } from "./views.ts";
import { toldNothing } from "../store.ts";

/** The same database, in which something happens after so many statements. */
function meanwhile(db: Queryable, after: number, work: () => Promise<void>): Queryable {
  let statements = 0;
  return {
    query: async (text, values, options) => {
      const result = await db.query<never>(text, values, options);
      if (++statements === after) await work();
      return result;
    },
  };
}

test("what somebody has read is never unread again to who looks while it ends and its mark is forgotten", async () => {
  const { db, store, broadcasts, tell, clock, person } = await openBroadcastStage();
  const ann = await person();
  const read = async (id: string): Promise<void> => {
    await store.mark({ userId: ann, actor: `user:${ann}` }, { state: "read", notification_ids: [id] });
  };
  const looks = {
    list: async (from: Queryable): Promise<readonly string[]> => {
      const [list] = await listBroadcasts(from, [ann], clock.now());
      return list?.broadcasts.filter(({ status }) => status !== "read").map(({ message }) => message) ?? [];
    },
    replay: async (from: Queryable): Promise<readonly string[]> => {
      const [page] = await replayUnread(from, [{ userId: ann, after: toldNothing }], clock.now());
      return page?.map(({ message }) => message) ?? [];
    },
  };
  for (const look of Object.values(looks)) {
    for (let after = 1; after <= 3; after++) {
      const [old, fresh] = [await tell({ message: "old" }), await tell({ message: "fresh" })];
      await read(old);
      const seen = await look(
        meanwhile(db, after, async () => {
          await broadcasts.withdraw(old, "key:1");
          await read(fresh);
        }),
      );
      assert.ok(!seen.includes("old"), `after ${after} statements`);
      await broadcasts.withdraw(old, "key:1");
      await broadcasts.withdraw(fresh, "key:1");
    }
  }
});
