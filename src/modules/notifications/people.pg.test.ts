import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock, openTestDatabase } from "../../../test/harness.ts";
import { nobodyYet } from "./person-state.ts";
import { People, knownPeopleMax, savePeople } from "./people.ts";

test("a statement that was prepared while nobody was counted reads no others when the counts are saved later", async () => {
  const db = await openTestDatabase();
  await db.query(
    "insert into account_user (username, name) select 'p' || n, 'p' from generate_series(1, 50) n",
  );
  const { rows: users } = await db.query<{ id: number }>("select id from account_user order by id");
  const ids = users.map(({ id }) => id);
  // What is read in a transaction is known in it at once; a prepared statement lives as long as its connection.
  const seqScans = await db.transaction(async (tx) => {
    await tx.query("insert into notification_person (user_id) select id from account_user");
    // From the sixth on, PostgreSQL may keep the plan.
    for (let i = 0; i < 20; i++) {
      await savePeople(tx, new Map(ids.slice(i, i + 2).map((id) => [id, { ...nobodyYet, version: i }])));
    }
    const { rows } = await tx.query<{ count: number }>(
      "select seq_scan::int as count from pg_stat_xact_user_tables where relname = 'notification_person'",
    );
    return rows[0]?.count;
  });
  assert.equal(seqScans, 0);
});

test("names are asked for once, those of nobody each time, and no more are remembered than may be", async () => {
  const db = await openTestDatabase();
  const { rows: users } = await db.query<{ id: number; username: string }>(
    "insert into account_user (username, name) select 'p' || n, 'p' from generate_series(1, 3) n returning id, username",
  );
  const [ann, bob] = users.map(({ id }) => id);
  let statements = 0;
  const counting = {
    query: (...args: Parameters<typeof db.query>) => {
      statements++;
      return db.query(...args);
    },
  } as typeof db;
  const people = new People();
  const ask = async (...ids: readonly (number | undefined)[]) => [
    ...(
      await people.usernames(
        counting,
        ids.filter((id) => id !== undefined),
      )
    ).values(),
  ];
  assert.deepEqual(await ask(ann, bob, 999_999), ["p1", "p2"]);
  assert.deepEqual(await ask(bob, ann, bob), ["p2", "p1"]);
  assert.equal(statements, 1);
  assert.deepEqual(await ask(999_999, ann), ["p1"]);
  assert.equal(statements, 2);
  await db.query(
    "insert into account_user (username, name) select 'q' || n, 'q' from generate_series(1, $1::int) n",
    [knownPeopleMax],
  );
  const { rows: others } = await db.query<{ id: number }>(
    "select id from account_user where username like 'q%'",
  );
  await people.usernames(
    counting,
    others.map(({ id }) => id),
  );
  assert.equal(statements, 3);
  assert.deepEqual(await ask(ann), ["p1"]);
  assert.equal(statements, 4, "the first has made room");
});

test("what has ended is looked for once it may have, and not before", async () => {
  const db = await openTestDatabase();
  const { rows } = await db.query<{ id: number }>(
    "insert into account_user (username, name) values ('ann', 'Ann') returning id",
  );
  const id = rows[0]?.id ?? 0;
  const people = new People();
  const clock = manualClock();
  const endsMs = clock.now() + 1_000;
  let looks = 0;
  const lock = (endsLater?: number) =>
    db.transaction(async (tx) => {
      const counting = {
        ...tx,
        query: (...args: Parameters<typeof tx.query>) => {
          if (args[0].includes("n.expires_at <= $2")) looks++;
          return tx.query(...args);
        },
      } as typeof tx;
      const { people: states } = await people.lock(counting, [id], clock);
      const state = states.get(id) ?? nobodyYet;
      if (endsLater !== undefined) await savePeople(tx, new Map([[id, { ...state, endsMs: endsLater }]]));
    });
  await lock(endsMs);
  assert.equal(looks, 1, "nobody knew");
  await lock();
  clock.advance(999);
  await lock();
  assert.equal(looks, 1);
  clock.advance(1);
  await lock(Number.POSITIVE_INFINITY);
  assert.equal(looks, 2);
  clock.advance(1_000_000);
  await lock();
  assert.equal(looks, 2, "nothing is stored");
  // As a server does that knows nothing of it.
  await db.query("update notification_person set version = version + 1");
  await lock(Number.POSITIVE_INFINITY);
  await lock();
  assert.equal(looks, 3);
});
