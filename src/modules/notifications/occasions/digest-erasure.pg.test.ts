import assert from "node:assert/strict";
import { test } from "node:test";
import type { Notification, NotificationCreatedData } from "../../../../protocol/notifications.ts";
import { topics } from "../../../../protocol/topics.ts";
import type { UserActor } from "../../../access/actor.ts";
import { parseData, redactedData, redactedType } from "../../../eventlog/eventlog.ts";
import { limits } from "../../../../protocol/limits.ts";
import { type Message, generalRoomId } from "../../../../protocol/chat.ts";
import { settlePushes, takeDue } from "../push/due.ts";
import { followForPush } from "../push/follow.ts";
import { rewriteBatchMax } from "./rewrite-digests.ts";
import { digestLinesMax } from "../wishes/digest-text.ts";
import { requestTo } from "../requests.fixture.ts";
import { type OccasionStage, openOccasions } from "./occasions.fixture.ts";

const never = new AbortController().signal;
const words = "words to forget";
const hourMs = 3_600_000;

/** A room in which bob and eve gather what they are mentioned in for an hour. */
async function openScene(options: Parameters<typeof openOccasions>[0] = {}) {
  const stage = await openOccasions(options);
  const { store, clock, settle } = stage;
  const [ann, bob, eve] = [await stage.person("ann"), await stage.person("bob"), await stage.person("eve")];
  const roomId = await stage.room(ann, [bob, eve]);
  for (const { id: userId } of [bob, eve])
    await store.setPreferences(
      { userId, actor: `user:${userId}` },
      { default: { inbox: "digest", push: true }, digest_minutes: 60 },
    );
  const say = (text: string) => stage.say(ann, roomId, text);
  /** Mentions bob in each of these, and tells him of all together. */
  const digest = async (texts: readonly string[], to = "@bob"): Promise<readonly Message[]> => {
    const messages: Message[] = [];
    for (const text of texts) messages.push(await say(`${to} ${text}`));
    await settle();
    clock.advance(hourMs + 60_000);
    await store.release(never);
    return messages;
  };
  const remove = async (...messages: readonly (Message | undefined)[]): Promise<void> => {
    for (const message of messages) await stage.remove(ann, message ?? assert.fail());
  };
  const list = async ({ id }: UserActor): Promise<readonly Notification[]> =>
    (await store.list(id, { state: "any" })).notifications;
  /** What a person has, in words, and how much of it is unread. */
  const has = async (person: UserActor) => [
    (await list(person)).map((one) => `${one.status} ${one.gathered} ${one.message.replaceAll("\n", " / ")}`),
    (await store.unread(person.id)).unread,
  ];
  return { ...stage, ann, bob, eve, say, digest, remove, list, has };
}

test("out of a digest that was told only what was erased goes: all the rest is told again", async () => {
  const scene = await openScene();
  const { bob, digest, remove, settle, has, list, traces } = scene;
  const messages = await digest(["one", words, "three"]);
  const [before] = await list(bob);
  await remove(messages[1]);
  await settle();
  assert.deepEqual(await traces(words), {});
  assert.deepEqual(await has(bob), [["unread 2 ann: @bob one / ann: @bob three"], 1]);
  const [after] = await list(bob);
  assert.notEqual(after?.notification_id, before?.notification_id);
  assert.equal(after?.expires_at, before?.expires_at);
  assert.deepEqual(await scene.wordsTold(bob), ["ann: @bob one\nann: @bob three"]);
  const own = (await scene.entries(topics.user(bob.id))).filter(({ type }) => type !== "room.joined");
  assert.deepEqual(own.map(({ type, data }) => (data === redactedData ? `${type} erased` : type)).slice(-4), [
    "notification.created erased",
    "notification.expired",
    "notification.created",
    redactedType,
  ]);
  assert.equal(parseData<NotificationCreatedData>(own.at(-2) ?? assert.fail()).again, true);

  await remove(messages[0]);
  await settle();
  assert.deepEqual(await has(bob), [["unread 1 ann: @bob three"], 1]);
  await remove(messages[2]);
  await settle();
  assert.deepEqual(await has(bob), [[], 0]);
  assert.deepEqual([await traces("@bob one"), await traces("@bob three")], [{}, {}]);
});

test("a digest that does not show what was erased is left alone, and so is its entry", async () => {
  const { bob, digest, remove, settle, list, entries } = await openScene();
  const messages = await digest(Array.from({ length: digestLinesMax + 5 }, (_, n) => `m${n}`));
  const [before] = await list(bob);
  await remove(messages[4]);
  await settle();
  assert.deepEqual(await list(bob), [before]);
  assert.ok((await entries(topics.user(bob.id))).every(({ data }) => data !== redactedData));
  await remove(messages[5]);
  await settle();
  const [after] = await list(bob);
  assert.ok(after?.message.startsWith("+5\nann: @bob m6\n"), after?.message);
  assert.equal(after?.gathered, digestLinesMax + 4);
});

test("what was read of it stays read and is no news, and what was seen is no more than seen", async () => {
  const { bob, digest, remove, settle, store, list, has, told } = await openScene();
  for (const state of ["seen", "read", "archived"] as const) {
    const messages = await digest([`a ${state}`, `b ${state}`]);
    const [one] = await list(bob);
    const who = { userId: bob.id, actor: `user:${bob.id}` };
    await store.mark(who, { state, notification_ids: [one?.notification_id ?? ""] });
    await remove(messages[0]);
    await settle();
  }
  assert.deepEqual(await has(bob), [
    ["archived 1 ann: @bob b archived", "read 1 ann: @bob b read", "seen 1 ann: @bob b seen"],
    1,
  ]);
  assert.deepEqual(
    (await told(bob)).map(({ notification: { message, status }, unread }) => [message, status, unread]),
    [["ann: @bob b seen", "seen", 1]],
  );
});

test("each has a digest of their own, and several are erased at once out of all of them", async () => {
  const scene = await openScene();
  const { bob, eve, digest, remove, settle, has, traces } = scene;
  const messages = await digest(["one", `${words} 1`, "three", `${words} 2`], "@bob @eve");
  await remove(messages[1], messages[3]);
  await settle();
  const left = [["unread 2 ann: @bob @eve one / ann: @bob @eve three"], 1];
  assert.deepEqual([await has(bob), await has(eve), await traces(words)], [left, left, {}]);
});

test("what came to nothing before the log forgot is done again, and nothing twice", async () => {
  let cut = 0;
  const log: { redact: OccasionStage["eventlog"]["redact"] | undefined } = { redact: undefined };
  const scene = await openScene({
    redact: (targets, reason) =>
      cut-- > 0 ? Promise.reject(new Error("cut off")) : (log.redact?.(targets, reason) ?? assert.fail()),
  });
  const { bob, digest, remove, take, follow, settle, has, traces, eventlog } = scene;
  log.redact = (targets, reason) => eventlog.redact(targets, reason);
  const messages = await digest(["one", words, "three"]);
  await remove(messages[1]);
  const entries = await take();
  cut = 2;
  for (let n = 0; n < 2; n++) await assert.rejects(follow(entries), { message: "cut off" });
  assert.deepEqual(await has(bob), [["unread 2 ann: @bob one / ann: @bob three"], 1]);
  assert.notDeepEqual(await traces(words), {}, "the log has it still");
  await follow(entries);
  await settle();
  assert.deepEqual(
    [await has(bob), await traces(words)],
    [[["unread 2 ann: @bob one / ann: @bob three"], 1], {}],
  );
});

test("two take something out of one digest at the same moment, and all the rest stays", async () => {
  const scene = await openScene();
  const { bob, digest, remove, take, follow, settle, has, traces } = scene;
  const messages = await digest(["one", `${words} 1`, "three", `${words} 2`]);
  const batches = [];
  for (const message of [messages[1], messages[3]]) {
    await remove(message);
    batches.push(await take());
  }
  await Promise.all(batches.map((entries) => follow(entries)));
  await settle();
  assert.deepEqual(
    [await has(bob), await traces(words)],
    [[["unread 2 ann: @bob one / ann: @bob three"], 1], {}],
  );
});

test("what is told again ends when the digest would have ended, and counts no longer", async () => {
  const { bob, digest, remove, settle, store, clock, has, list, told } = await openScene();
  const messages = await digest(["one", words]);
  // Something has ended meanwhile: whoever counts looks anew when the next one does.
  await store.notify([requestTo([bob.id], { critical: true, ttlS: 1 })]);
  clock.advance(1_000);
  await remove(messages[1]);
  await settle();
  const [one] = await list(bob);
  const who = { userId: bob.id, actor: `user:${bob.id}` };
  const { unread } = await store.mark(who, { state: "seen", notification_ids: [one?.notification_id ?? ""] });
  assert.equal(unread, 1, "the other one has ended, though it is still there");
  const lifeMs = Date.parse(one?.expires_at ?? "") - clock.now();
  clock.advance(lifeMs - 1);
  assert.deepEqual(await has(bob), [["seen 1 ann: @bob one"], 1]);
  clock.advance(1);
  // Before anything has removed it: what is told then counts without it.
  await digest(["two", "three"]);
  assert.deepEqual(await has(bob), [["unread 2 ann: @bob two / ann: @bob three"], 1]);
  assert.equal((await told(bob)).at(-1)?.unread, 1);
});

test("of a digest that has ended the entry alone is erased, and nothing is told again", async () => {
  const { bob, digest, remove, settle, store, clock, has, told, traces } = await openScene();
  const messages = await digest(["one", words]);
  clock.advance(30 * 24 * hourMs);
  for (const message of messages.toReversed()) {
    await remove(message);
    await settle();
    assert.deepEqual([await has(bob), await told(bob), await traces(words)], [[[], 0], [], {}]);
    await store.expire(never);
  }
});

test("out of more digests than one transaction rewrites the words go, and of each the rest stays", async () => {
  const stage = await openOccasions();
  const { store, clock, settle, say, remove, has, traces } = { ...stage, has: restOf(stage.store) };
  const ann = await stage.person("ann");
  const people = await Promise.all(
    Array.from({ length: rewriteBatchMax + 1 }, (_, n) => stage.person(`p${n}`)),
  );
  for (const { id: userId } of people)
    await store.setPreferences(
      { userId, actor: `user:${userId}` },
      { default: { inbox: "digest", push: true } },
    );
  const erased: Message[] = [];
  for (let from = 0; from < people.length; from += limits.mentionsPerMessage) {
    const some = people.slice(from, from + limits.mentionsPerMessage);
    const names = some.map(({ username }) => `@${username}`).join(" ");
    erased.push(await say(ann, generalRoomId, `${words} ${names}`));
    await say(ann, generalRoomId, `stays ${names}`);
  }
  await settle();
  clock.advance(hourMs + 60_000);
  await store.release(never);
  for (const message of erased) await remove(ann, message);
  await settle();
  assert.deepEqual(await traces(words), {});
  for (const person of people) assert.deepEqual(await has(person), [1, 1, true], person.username);
});

/** How many notifications a person has, how many of them are unread, and whether what stays is there. */
function restOf(store: OccasionStage["store"]) {
  return async ({ id }: UserActor) => {
    const { notifications, unread } = await store.list(id, {});
    return [notifications.length, unread, notifications.every(({ message }) => message.includes("stays"))];
  };
}

test("a digest that is still to be pushed is pushed in its new words, and one that was pushed is not pushed again", async () => {
  const scene = await openScene();
  const { ann, bob, db, digest, remove, settle, clock, entries } = scene;
  for (const [person, host] of [
    [bob, "one"],
    [bob, "two"],
    [ann, "three"],
  ] as const)
    await db.query(
      `insert into notification_push_subscription (user_id, endpoint, p256dh, auth, created_at, renewed_at)
       values ($1, $2, $3, $4, now(), now())`,
      [person.id, `https://${host}.example`, Buffer.alloc(65), Buffer.alloc(16)],
    );
  const seen = new Set<string>();
  const follow = async (): Promise<void> => {
    const own = (await entries(topics.user(bob.id))).filter(({ id, type, data }) => {
      return type === "notification.created" && data !== redactedData && !seen.has(id);
    });
    for (const { id } of own) seen.add(id);
    await db.transaction((tx) => followForPush().handle(own, tx, never));
  };
  const due = async (): Promise<readonly string[]> => {
    const { rows } = await db.query<{ endpoint: string; message: string | null }>(
      `select s.endpoint, n.message from notification_push_due d
         join notification_push_subscription s on s.id = d.subscription_id
         left join notification n on n.id = d.notification_id order by s.endpoint`,
    );
    return rows.map(({ endpoint, message }) => `${endpoint} ${message?.replaceAll("\n", " / ")}`);
  };
  const messages = await digest(["one", words, "three", "four"]);
  await follow();
  assert.equal((await due()).length, 2);
  clock.advance(1_000);
  await remove(messages[1]);
  await settle();
  await follow();
  const rest = "ann: @bob one / ann: @bob three / ann: @bob four";
  assert.deepEqual(await due(), [`https://one.example ${rest}`, `https://two.example ${rest}`]);
  // While they are on their way more is erased, twice. One browser takes it, the other one's push service is away.
  await db.query("update notification_push_due set due_at = $1", [new Date(clock.now())]);
  const [one, two] = await takeDue(db, { rowsMax: 10, leaseMs: 60_000 }, clock.now());
  assert.ok(one !== undefined && two !== undefined);
  assert.deepEqual(
    [one, two].map(({ notification }) => notification?.message.replaceAll("\n", " / ")),
    [rest, rest],
  );
  for (const message of [messages[0], messages[2]]) {
    await remove(message);
    await settle();
    await follow();
  }
  const again = [{ push: two, atMs: clock.now() + 2 * hourMs, failures: 3 }];
  await settlePushes(db, { done: [one], sent: [one], gone: [], again }, clock.now());
  assert.deepEqual(await due(), ["https://two.example ann: @bob four"]);
  const { rows } = await db.query<{ failures: number }>("select failures from notification_push_due");
  assert.deepEqual(rows, [{ failures: 3 }]);
});
