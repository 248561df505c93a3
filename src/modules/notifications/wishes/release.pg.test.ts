import assert from "node:assert/strict";
import { test } from "node:test";
import type { NotificationCreatedData } from "../../../../protocol/notifications.ts";
import type { NewPreferences } from "../../../../protocol/preferences.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import { openStage } from "../notifications.fixture.ts";
import { createPostgresStore } from "../postgres-store.ts";
import { idsOf, requestTo } from "../requests.fixture.ts";
import { asideMax, asideOfOneMax, clearedMax, putOffMs, trialsMax } from "./release.ts";

const never = new AbortController().signal;
const hourMs = 3_600_000;
/** The clock of the stage shows midnight. */
const quietUntilSeven: NewPreferences = { quiet_hours: { from: "22:00", to: "07:00" } };
const digest = { inbox: "digest", push: true } as const;

/** So many people who sleep until seven and gather their news in digests. */
async function openScene(count: number) {
  const stage = await openStage(createPostgresStore);
  const { store, person, clock, db, entries } = stage;
  const people: number[] = [];
  for (let n = 0; n < count; n++) people.push(await person());
  for (const userId of people) {
    const wishes = { ...quietUntilSeven, categories: { news: digest } };
    await store.setPreferences({ userId, actor: `user:${userId}` }, wishes);
  }
  /** Something else has the ids of these: they cannot be told. */
  const take = (ids: readonly string[]) =>
    db.query(
      `insert into notification (id, user_id, stream_ms, stream_n, message, source, category, critical, created_at, expires_at)
       select id, $2, 1, n, 'x', 'x', 'x', false, now(), now() from unnest($1::uuid[]) with ordinality t(id, n)`,
      [ids, people[0]],
    );
  const give = (ids: readonly string[]) =>
    db.query("delete from notification where id = any($1::uuid[])", [ids]);
  const told = async (userId: number): Promise<readonly string[]> => {
    const own = (await entries(userId)).filter(({ type }) => type === "notification.created");
    return own.map((entry) => parseData<NotificationCreatedData>(entry).notification.message);
  };
  /** The tables are those of another version while `work` runs. */
  const withOtherSchema = async (work: () => Promise<void>): Promise<void> => {
    await db.query("alter table notification rename column gathered to g");
    await work();
    await db.query("alter table notification rename column g to gathered");
  };
  return { ...stage, people, take, give, told, withOtherSchema, wake: () => clock.advance(7 * hourMs) };
}

test("what cannot be told holds up nobody, and is tried again after a while", async () => {
  const { store, people, clock, take, give, told, wake } = await openScene(9);
  const [held] = await store.notify([requestTo(people)]);
  const [digests] = await store.notify([requestTo(people, { category: "news" })]);
  const taken = [idsOf(held)[4] ?? "", idsOf(digests)[7] ?? ""];
  await take(taken);
  wake();
  assert.equal(await store.release(never), 16);
  assert.deepEqual(
    await Promise.all(people.map(async (id) => (await told(id)).length)),
    people.map((_, n) => (n === 4 || n === 7 ? 1 : 2)),
  );
  await give(taken);
  assert.equal(await store.release(never), 0, "they are tried again after a while");
  clock.advance(putOffMs);
  assert.equal(await store.release(never), 2);
});

test("the only person is told what lies behind one that cannot be told, before the next run", async () => {
  const { store, people, told, take, give, clock, wake } = await openScene(1);
  const [ann = 0] = people;
  const ids: string[] = [];
  for (const message of ["bad", "good", "better"])
    ids.push(...idsOf((await store.notify([requestTo([ann], { message })]))[0]));
  const bad = ids.slice(0, 1);
  await take(bad);
  wake();
  assert.equal(await store.release(never), 2);
  assert.deepEqual(await told(ann), ["good", "better"]);
  await give(bad);
  clock.advance(5_000);
  assert.equal(await store.release(never), 0, "it is put off");
  clock.advance(putOffMs);
  assert.equal(await store.release(never), 1);
});

for (const [where, isTold, before, behind] of [
  ["between as many that cannot be told as are tried", true, trialsMax / 2 - 1, trialsMax / 2],
  ["behind as many as are tried from there", true, trialsMax / 2 - 1, trialsMax],
  ["before as many as are tried from there", true, trialsMax, trialsMax / 2 - 1],
  ["between more than are tried", false, trialsMax / 2, trialsMax / 2],
] as const) {
  test(`the only person is ${isTold ? "" : "not "}told what lies ${where}`, async () => {
    const { store, people, told, take, wake, clock } = await openScene(1);
    const [ann = 0] = people;
    const ids: string[] = [];
    const place = asideOfOneMax + before;
    for (let n = 0; n <= place + behind; n++)
      ids.push(...idsOf((await store.notify([requestTo([ann], { message: `${n}` })]))[0]));
    await take(ids.filter((_, n) => n !== place));
    wake();
    for (let runs = 0; runs < trialsMax / asideOfOneMax + 2; runs++) {
      await store.release(never);
      clock.advance(5_000);
    }
    assert.deepEqual(await told(ann), isTold ? [`${place}`] : []);
  });
}

test("a digest of the only person is told behind one that cannot be", async () => {
  const { store, people, told, take, wake } = await openScene(1);
  const [ann = 0] = people;
  const wishes = { ...quietUntilSeven, categories: { news: digest, sport: digest } };
  await store.setPreferences({ userId: ann, actor: `user:${ann}` }, wishes);
  const [first] = await store.notify([requestTo([ann], { category: "news", message: "bad" })]);
  await store.notify([requestTo([ann], { category: "sport", message: "good" })]);
  await take(idsOf(first));
  wake();
  assert.equal(await store.release(never), 1);
  assert.deepEqual(await told(ann), ["good"]);
});

test("as many as one run leaves aside end it without a fault", async () => {
  const { store, people, take, told, wake } = await openScene(asideMax + 1);
  const [answer] = await store.notify([requestTo(people)]);
  await take(idsOf(answer).slice(0, -1));
  wake();
  assert.equal(await store.release(never), 1);
  assert.deepEqual(await told(people.at(-1) ?? 0), ["Hello"]);
});

test("of more than one run leaves aside it says so, and holds up neither digests nor the next run", async () => {
  const { store, people, clock, take, give, told, wake } = await openScene(asideMax + 2);
  const [answer] = await store.notify([requestTo(people)]);
  const [ann = 0] = people;
  const last = people.at(-1) ?? 0;
  await store.notify([requestTo([ann], { category: "news" })]);
  const taken = idsOf(answer).slice(0, -1);
  await take(taken);
  wake();
  await assert.rejects(store.release(never), /duplicate key/);
  assert.deepEqual([(await told(ann)).length, await told(last)], [1, []]);
  assert.equal(await store.release(never), 1);
  assert.deepEqual(await told(last), ["Hello"]);
  await give(taken);
  clock.advance(putOffMs);
  assert.equal(await store.release(never), asideMax + 1);
});

test("who can be told something is, be it between as many others as are tried from either end, and beside some with much more", async () => {
  const { store, people, take, told, wake, clock } = await openScene(asideMax + 1 + trialsMax);
  const good = people[asideMax + 1] ?? 0;
  const isMuch = (n: number): boolean => n === 0 || n === people.length - 1;
  const bad: string[] = [];
  for (const [n, userId] of people.entries()) {
    for (let more = isMuch(n) ? asideMax + trialsMax : 0; more >= 0; more--) {
      const ids = idsOf((await store.notify([requestTo([userId])]))[0]);
      if (userId !== good) bad.push(...ids);
    }
  }
  await take(bad);
  wake();
  // Those before the good one are found in one run, and those behind in the next.
  for (let runs = 0; runs < 2; runs++) {
    await store.release(never).catch((error: unknown) => assert.match(String(error), /duplicate key/));
    clock.advance(5_000);
  }
  assert.deepEqual(await told(good), ["Hello"]);
});

test("as many as are tried from either end hide somebody who can be told something", async () => {
  const { store, people, told, take, give, wake, clock } = await openScene(asideMax + 2 * trialsMax + 1);
  const good = people[asideMax + trialsMax / 2] ?? 0;
  const [answer] = await store.notify([requestTo(people)]);
  const bad = idsOf(answer).filter((_, n) => people[n] !== good);
  await take(bad);
  wake();
  await assert.rejects(store.release(never), /duplicate key/);
  await give(bad);
  clock.advance(5_000);
  // Nothing was put off, so nothing is told out of its order.
  assert.equal(await store.release(never), people.length);
  assert.deepEqual(await told(good), ["Hello"]);
});

test("as many people with as much that cannot be told as one run finds end it without a fault", async () => {
  const { store, people, take, told, wake } = await openScene(asideMax + 1);
  const bad: string[] = [];
  for (let n = 0; n < asideOfOneMax; n++)
    bad.push(...idsOf((await store.notify([requestTo(people.slice(0, -1))]))[0]));
  await store.notify([requestTo(people.slice(-1))]);
  await take(bad);
  wake();
  assert.equal(await store.release(never), 1);
  assert.deepEqual(await told(people.at(-1) ?? 0), ["Hello"]);
});

test("as many as are tried from either end and one less hide nobody", async () => {
  const { store, people, told, take, wake, clock } = await openScene(asideMax + 2 * trialsMax);
  const good = people[asideMax + trialsMax / 2] ?? 0;
  const [answer] = await store.notify([requestTo(people)]);
  await take(idsOf(answer).filter((_, n) => people[n] !== good));
  wake();
  for (let runs = 0; runs < 3; runs++) {
    await store.release(never).catch((error: unknown) => assert.match(String(error), /duplicate key/));
    clock.advance(5_000);
  }
  assert.deepEqual(await told(good), ["Hello"]);
});

test("those whose newest cannot be told are told what is behind it, be they as many as a trial takes", async () => {
  const { store, people, told, take, wake, clock } = await openScene(asideMax + trialsMax / 2);
  const both = people.slice(asideMax);
  const bad = [...idsOf((await store.notify([requestTo(people)]))[0])];
  await store.notify([requestTo(both, { message: "good" })]);
  bad.push(...idsOf((await store.notify([requestTo(both)]))[0]));
  await take(bad);
  wake();
  for (let runs = 0; runs < 3; runs++) {
    await store.release(never).catch((error: unknown) => assert.match(String(error), /duplicate key/));
    clock.advance(5_000);
  }
  for (const userId of both) assert.deepEqual(await told(userId), ["good"]);
});

test("what is wanted no more hides nothing, and is there no more", async () => {
  const { store, people, told, take, wake, clock, db } = await openScene(1);
  const [ann = 0] = people;
  const tell = async (count: number, category: string, message: string): Promise<readonly string[]> => {
    const answers: string[] = [];
    for (let n = 0; n < count; n++)
      answers.push(...idsOf((await store.notify([requestTo([ann], { category, message })]))[0]));
    return answers;
  };
  const bad = await tell(asideOfOneMax, "general", "bad");
  await tell(trialsMax, "sport", "sport");
  await tell(1, "general", "good");
  await tell(trialsMax, "sport", "sport");
  await take(bad);
  wake();
  // As it is when the wish is written in the very moment: what is held stays where it was.
  await db.query(
    'update notification_person set preferences = jsonb_set(preferences::jsonb, \'{categories,sport}\', \'{"inbox":"off","push":true}\')::json',
  );
  for (let runs = 0; runs < 3; runs++) {
    await store.release(never);
    clock.advance(5_000);
  }
  assert.deepEqual(await told(ann), ["good"]);
  const { rows } = await db.query("select id from notification_held");
  assert.equal(rows.length, bad.length);
});

for (const [whose, count] of [
  ["of who has more that cannot be told than it looks for", 1],
  ["of somebody behind more people than it leaves aside", asideMax + 2],
] as const) {
  test(`a run takes away so much that is wanted no more by trials, and the next one more: ${whose}`, async () => {
    const { store, people, take, wake, clock, db } = await openScene(count);
    const others = people.length === 1 ? people : people.slice(0, -1);
    const last = people.at(-1) ?? 0;
    const bad: string[] = [];
    for (let n = 0; n < (count === 1 ? asideOfOneMax : 1); n++)
      bad.push(...idsOf((await store.notify([requestTo(others)]))[0]));
    for (let n = 0; n <= clearedMax; n++) await store.notify([requestTo([last], { category: "sport" })]);
    await take(bad);
    wake();
    await db.query(
      'update notification_person set preferences = jsonb_set(preferences, \'{categories,sport}\', \'{"inbox":"off","push":true}\')',
    );
    const held = async (): Promise<number> => {
      await store.release(never).catch((error: unknown) => assert.match(String(error), /duplicate key/));
      clock.advance(5_000);
      const { rows } = await db.query("select from notification_held");
      return rows.length - bad.length;
    };
    assert.deepEqual([await held(), await held()], [1, 0]);
  });
}

test("that somebody wants something no more does not prove that anything can be told", async () => {
  const { store, people, told, wake, clock, db } = await openScene(2);
  const [ann = 0, bob = 0] = people;
  for (let n = 0; n < 2 * asideOfOneMax; n++) await store.notify([requestTo([ann], { message: `${n}` })]);
  await store.notify([requestTo([bob], { category: "sport" })]);
  const off = { categories: { sport: { inbox: "off", push: true } } } as const;
  await store.setPreferences({ userId: bob, actor: `user:${bob}` }, { ...quietUntilSeven, ...off });
  wake();
  await db.query("alter table notification add constraint nothing check (false) not valid");
  assert.equal(await store.release(never), 1);
  await db.query("alter table notification drop constraint nothing");
  clock.advance(5_000);
  await store.release(never);
  assert.deepEqual(await told(ann), ["0", "1", "2", "3", "4", "5"]);
});

test("nor does it when a trial meets it", async () => {
  const { store, people, wake, clock, db } = await openScene(asideMax + 2);
  const bob = people.at(-1) ?? 0;
  await store.notify([requestTo(people.slice(0, -1))]);
  await store.notify([requestTo([bob], { category: "sport" })]);
  const off = { categories: { sport: { inbox: "off", push: true } } } as const;
  await store.setPreferences({ userId: bob, actor: `user:${bob}` }, { ...quietUntilSeven, ...off });
  wake();
  // Behind all others, and met from the other end.
  await db.query("update notification_held set release_at = $2 where user_id = $1", [
    bob,
    new Date(clock.now()),
  ]);
  await db.query("alter table notification add constraint nothing check (false) not valid");
  await assert.rejects(store.release(never), /nothing/);
  await db.query("alter table notification drop constraint nothing");
  clock.advance(5_000);
  // What nobody wants is gone; nothing else was put off.
  assert.equal(await store.release(never), people.length - 1);
});

test("a server of another version that is met by a trial is no proof against what was left aside", async () => {
  const { store, people, take, told, wake, clock, db } = await openScene(1);
  const [ann = 0] = people;
  const ids: string[] = [];
  for (let n = 0; n <= asideOfOneMax; n++)
    ids.push(...idsOf((await store.notify([requestTo([ann], { message: `${n}` })]))[0]));
  const bad = ids.slice(0, -1);
  await take(bad);
  wake();
  await db.query(
    `create function other_version() returns trigger language plpgsql as $$
     begin raise exception 'no such column' using errcode = 'undefined_column'; end $$`,
  );
  await db.query(
    `create trigger other_version before insert on notification for each row when (new.message = '${asideOfOneMax}')
     execute function other_version()`,
  );
  await assert.rejects(store.release(never), /no such column/);
  await db.query("drop trigger other_version on notification");
  await db.query("delete from notification where id = any($1::uuid[])", [bad]);
  clock.advance(5_000);
  assert.equal(await store.release(never), ids.length);
  assert.deepEqual(
    await told(ann),
    ids.map((_, n) => `${n}`),
  );
});

test("who is the last of many is told something once those before are put off, a run's number at a time", async () => {
  const { store, people, take, told, wake, clock } = await openScene(2 * asideMax + trialsMax + 5);
  const [answer] = await store.notify([requestTo(people)]);
  await take(idsOf(answer).slice(0, -1));
  wake();
  for (let runs = 0; runs < 4; runs++) {
    await store.release(never).catch((error: unknown) => assert.match(String(error), /duplicate key/));
    clock.advance(5_000);
  }
  assert.deepEqual(await told(people.at(-1) ?? 0), ["Hello"]);
});

test("when more cannot be told something than are tried, none of it is put off", async () => {
  const { store, people, take, give, wake } = await openScene(asideMax + trialsMax + 1);
  const [answer] = await store.notify([requestTo(people)]);
  await take(idsOf(answer));
  wake();
  await assert.rejects(store.release(never), /duplicate key/);
  await give(idsOf(answer));
  assert.equal(await store.release(never), people.length);
});

test("when nothing can be told it is nobody's fault: all of it is told as soon as it can be, in its order", async () => {
  const { store, people, clock, told, take, give, withOtherSchema, wake } = await openScene(1);
  const [ann = 0] = people;
  const count = asideMax + 5;
  const ids: string[] = [];
  for (let n = 0; n < count; n++)
    ids.push(...idsOf((await store.notify([requestTo([ann], { message: `${n}` })]))[0]));
  wake();
  await withOtherSchema(async () => {
    await assert.rejects(store.release(never), /gathered/);
  });
  // Of all of them something else has the ids.
  await take(ids);
  assert.equal(await store.release(never), 0);
  await give(ids);
  clock.advance(5_000);
  assert.equal(await store.release(never), count);
  assert.deepEqual(
    await told(ann),
    ids.map((_, n) => `${n}`),
  );
});

test("what one run has left aside and could not put off is tried again by the next", async () => {
  const { store, people, take, give, wake } = await openScene(2);
  const [answer] = await store.notify([requestTo(people)]);
  wake();
  await take(idsOf(answer));
  assert.equal(await store.release(never), 0);
  await give(idsOf(answer));
  assert.equal(await store.release(never), 2);
});
