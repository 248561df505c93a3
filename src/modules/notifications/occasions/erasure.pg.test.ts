import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewPreferences } from "../../../../protocol/preferences.ts";
import { topics } from "../../../../protocol/topics.ts";
import type { UserActor } from "../../../access/actor.ts";
import { type RedactedData, parseData, redactedType } from "../../../eventlog/eventlog.ts";
import { type OccasionStage, openOccasions } from "./occasions.fixture.ts";

const never = new AbortController().signal;
const words = "words to forget";
/** The clock of the stage shows midnight. */
const quiet: NewPreferences = { quiet_hours: { from: "22:00", to: "07:00" } };
const digest: NewPreferences = { default: { inbox: "digest", push: true }, digest_minutes: 60 };
const minuteMs = 60_000;

/** A room in which bob is mentioned, with what he wishes. */
async function openScene(wished: NewPreferences = {}, options: Parameters<typeof openOccasions>[0] = {}) {
  const stage = await openOccasions(options);
  const [ann, bob, eve] = [await stage.person("ann"), await stage.person("bob"), await stage.person("eve")];
  const roomId = await stage.room(ann, [bob, eve]);
  const wish = ({ id: userId }: UserActor, wishes: NewPreferences) =>
    stage.store.setPreferences({ userId, actor: `user:${userId}` }, wishes);
  await wish(bob, wished);
  const mention = (text: string) => stage.say(ann, roomId, `@bob ${text}`);
  return { ...stage, ann, bob, eve, roomId, wish, mention };
}

/** What is counted for somebody, and what is there. */
async function countsOf({ db, store }: OccasionStage, { id }: UserActor) {
  const { rows } = await db.query<{ held: number; rows: number; gathered: number | null }>(
    `select held, (select count(*) from notification_held h where h.user_id = p.user_id) as rows,
            (select sum(gathered) from notification_digest d where d.user_id = p.user_id) as gathered
       from notification_person p where user_id = $1`,
    [id],
  );
  const [row] = rows;
  assert.equal(row?.held, row?.rows, "what is held is what is counted");
  return { held: row?.held ?? 0, gathered: row?.gathered ?? null, unread: (await store.unread(id)).unread };
}

test("what was told is erased with the message, from every table, and counts no more", async () => {
  const scene = await openScene();
  const { ann, bob, mention, remove, settle } = scene;
  const message = await mention(words);
  await mention("that stays");
  await settle();
  assert.notDeepEqual(await scene.traces(words), {});
  await remove(ann, message);
  await settle();
  assert.deepEqual(await scene.traces(words), {});
  assert.deepEqual(
    [await scene.wordsTold(bob), await countsOf(scene, bob)],
    [["ann: @bob that stays"], { held: 0, gathered: null, unread: 1 }],
  );
  const { rows } = await scene.db.query("select from notification_origin where origin = $1", [message.id]);
  assert.equal(rows.length, 0);
});

test("what an edit told, and an answer, is erased as well, also when the log has lost the message by age", async () => {
  const scene = await openScene();
  const { ann, bob, eve, roomId, say, edit, remove, settle, db } = scene;
  const message = await say(ann, roomId, "no names");
  const answer = await say(eve, roomId, words, await say(bob, roomId, "ask me"));
  await edit(ann, message, `@bob ${words}`);
  await settle();
  assert.equal((await countsOf(scene, bob)).unread, 2);
  await db.query("delete from eventlog_entry where topic = $1 and type like 'message.%'", [
    topics.room(roomId),
  ]);
  for (const [actor, gone] of [
    [ann, message],
    [eve, answer],
  ] as const)
    await remove(actor, gone);
  await settle();
  assert.deepEqual([await scene.traces(words), (await countsOf(scene, bob)).unread], [{}, 0]);
});

test("what was deleted before anybody was told of it is not told, whether its words were read before or not", async () => {
  const { ann, bob, mention, remove, take, follow, settle, traces, wordsTold } = await openScene();
  const [first, second] = [await mention(words), await mention(words)];
  const before = await take();
  await remove(ann, first);
  await follow([...before.filter(({ id }) => id !== second.id), ...(await take())]);
  assert.deepEqual(await wordsTold(bob), []);
  // The second one is met by its name alone: a tombstone is not handed over.
  await remove(ann, second);
  await settle();
  assert.deepEqual([await wordsTold(bob), await traces(words)], [[], {}]);
});

test("what was read before it was erased, and told after that, is erased with the notice", async () => {
  const { ann, bob, mention, remove, take, follow, settle, traces, wordsTold } = await openScene();
  const message = await mention(words);
  const before = await take();
  await remove(ann, message);
  await follow(before);
  assert.notDeepEqual(await traces(words), {});
  await settle();
  assert.deepEqual([await traces(words), await wordsTold(bob)], [{}, []]);
});

test("what waits for the morning is taken back, and the morning tells the rest", async () => {
  const scene = await openScene(quiet);
  const { ann, bob, mention, remove, settle, store, clock } = scene;
  const message = await mention(words);
  await mention("that stays");
  await settle();
  assert.equal((await countsOf(scene, bob)).held, 2);
  await remove(ann, message);
  await settle();
  assert.deepEqual([await scene.traces(words), (await countsOf(scene, bob)).held], [{}, 1]);
  clock.advance(8 * 60 * minuteMs);
  await store.release(never);
  assert.deepEqual(
    [await scene.wordsTold(bob), await countsOf(scene, bob)],
    [["ann: @bob that stays"], { held: 0, gathered: null, unread: 1 }],
  );
});

test("out of a digest that gathers only what was erased is taken, and an empty one is no digest", async () => {
  const scene = await openScene(digest);
  const { ann, bob, mention, remove, settle, store, clock } = scene;
  const first = await mention(words);
  await mention("that stays");
  await settle();
  assert.deepEqual(await countsOf(scene, bob), { held: 2, gathered: 2, unread: 0 });
  await remove(ann, first);
  await settle();
  assert.deepEqual(
    [await scene.traces(words), await countsOf(scene, bob)],
    [{}, { held: 1, gathered: 1, unread: 0 }],
  );
  clock.advance(61 * minuteMs);
  await store.release(never);
  assert.deepEqual(await scene.wordsTold(bob), ["ann: @bob that stays"]);

  const [third, fourth] = [await mention("three"), await mention("four")];
  await settle();
  for (const message of [third, fourth]) await remove(ann, message);
  await settle();
  assert.deepEqual(await countsOf(scene, bob), { held: 0, gathered: null, unread: 1 });
  await mention("five");
  await settle();
  clock.advance(61 * minuteMs);
  await store.release(never);
  assert.deepEqual(await scene.wordsTold(bob), ["ann: @bob that stays", "ann: @bob five"]);
});

test("what is told at the very moment in which it is to be taken back is found anew, and erased", async () => {
  let meanwhile = (): Promise<unknown> => Promise.resolve();
  const redacting: { redact: OccasionStage["eventlog"]["redact"] | undefined } = { redact: undefined };
  const scene = await openScene(quiet, {
    redact: async (targets, reason) => {
      await meanwhile();
      return redacting.redact?.(targets, reason) ?? 0;
    },
  });
  const { ann, bob, roomId, say, remove, take, follow, settle, store, clock, eventlog } = scene;
  redacting.redact = (targets, reason) => eventlog.redact(targets, reason);
  const message = await say(ann, roomId, `@bob @eve ${words}`);
  await settle();
  await remove(ann, message);
  meanwhile = () => {
    clock.advance(8 * 60 * minuteMs);
    return store.release(never);
  };
  const entries = await take();
  await assert.rejects(follow(entries), { message: "what was to be taken back was told meanwhile" });
  assert.deepEqual(await scene.wordsTold(bob), [`ann: @bob @eve ${words}`]);
  meanwhile = () => Promise.resolve();
  await follow(entries);
  await settle();
  assert.deepEqual(
    [await scene.traces(words), await countsOf(scene, bob)],
    [{}, { held: 0, gathered: null, unread: 0 }],
  );
});

test("somebody is told and something taken back from them in one batch, and both are right", async () => {
  const scene = await openScene(quiet);
  const { ann, bob, eve, roomId, say, mention, remove, settle, take, follow } = scene;
  const message = await say(ann, roomId, `@eve @bob ${words}`);
  await settle();
  await mention("that stays");
  await remove(ann, message);
  const entries = await take();
  const notices = entries.filter(({ type }) => type === redactedType);
  assert.deepEqual(
    notices.map((notice) => parseData<RedactedData>(notice).entry_ids),
    [[message.id]],
  );
  await follow(entries);
  await settle();
  assert.deepEqual(
    [await scene.traces(words), (await countsOf(scene, bob)).held, (await countsOf(scene, eve)).unread],
    [{}, 1, 0],
  );
});

test("those who are told and those from whom something is taken back are locked at once, in order", async () => {
  const locks: string[] = [];
  const { ann, bob, eve, roomId, say, mention, remove, settle, take, follow } = await openScene(quiet, {
    locks,
  });
  const message = await mention(words);
  await settle();
  await say(bob, roomId, "@ann and @eve");
  await remove(ann, message);
  const entries = await take();
  locks.length = 0;
  await follow(entries);
  assert.deepEqual(
    [...new Set(locks)],
    [...[ann, bob, eve].map(({ id }) => `person ${id}`), "origins", "log"],
  );
});
