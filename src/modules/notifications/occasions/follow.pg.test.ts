import assert from "node:assert/strict";
import { test } from "node:test";
import { generalRoomId } from "../../../../protocol/chat.ts";
import { limits } from "../../../../protocol/limits.ts";
import { jsonText } from "../../../eventlog/eventlog.ts";
import { removeFromRoom } from "../../chat/change-members.ts";
import { createLogger } from "../../../lib/logger.ts";
import { requestTo } from "../requests.fixture.ts";
import { openOccasions } from "./occasions.fixture.ts";

const stage = await openOccasions();
const { db, store, room, say, edit, take, follow, settle, told, wordsTold } = stage;
let people = 0;
/** Somebody whose username nobody else has. */
const someone = () => stage.person(`reader-${++people}`);
const unreadOf = async ({ id }: { readonly id: number }) => (await store.unread(id)).unread;

test("who is mentioned or answered is told so once, however often the entries come", async () => {
  const [ann, bob, eve] = [await someone(), await someone(), await someone()];
  const roomId = await room(ann, [bob, eve]);
  const first = await say(ann, roomId, `hello @${bob.username.toUpperCase()}, and @${bob.username}.`);
  const answer = await say(bob, roomId, `yes @${ann.username}`, first);
  const third = await say(eve, roomId, "me too", answer);
  const entries = await take();
  // A batch that fails has no effect, and comes again; what was done is not done again.
  await assert.rejects(
    follow(entries, () => Promise.reject(new Error("cut off"))),
    { message: "cut off" },
  );
  assert.deepEqual([await wordsTold(bob), await unreadOf(bob)], [[], 0]);
  for (let times = 0; times < 2; times++) await follow(entries);
  const shown = (await told(bob)).map(({ notification }) => notification);
  assert.deepEqual(
    shown.map(({ category, source, message, link }) => [category, source, message, link]),
    [
      ["mention", "chat", `${ann.username}: ${first.content}`, `/rooms/${roomId}?message=${first.id}`],
      ["reply", "chat", `${eve.username}: me too`, `/rooms/${roomId}?message=${third.id}`],
    ],
  );
  assert.equal(shown[0]?.created_at, first.created_at);
  const lifeMs = Date.parse(shown[0]?.expires_at ?? "") - stage.clock.now();
  assert.equal(lifeMs, limits.occasionTtlDefaultS * 1_000);
  // Both at once is one: that of the mention.
  const ofAnn = (await told(ann)).map(({ notification }) => notification.category);
  assert.deepEqual([ofAnn, await unreadOf(ann), await unreadOf(bob)], [["mention"], 1, 2]);
});

test("nobody is told by themselves, nor of a room that they are not in, nor when they cannot sign in", async () => {
  const [ann, bob, left, gone, stranger] = [
    await someone(),
    await someone(),
    await someone(),
    await someone(),
    await someone(),
  ];
  const roomId = await room(ann, [bob, left, gone]);
  const ofLeft = await say(left, roomId, "bye");
  await removeFromRoom(stage, ann, { roomId, userId: left.id });
  await db.query("update account_user set disabled_at = now() where id = $1", [gone.id]);
  const names = [ann, bob, left, gone, stranger].map(({ username }) => `@${username}`).join(" ");
  await say(ann, roomId, `all of you: ${names}`);
  await say(ann, roomId, "you too", ofLeft);
  await say(bob, roomId, "to myself", await say(bob, roomId, "mine"));
  await settle();
  const counts = async () =>
    Promise.all([ann, bob, left, gone, stranger].map(async (person) => (await wordsTold(person)).length));
  assert.deepEqual(await counts(), [0, 1, 0, 0, 0]);
  // Everybody may read the room that is everybody's, a member of it or not.
  await say(ann, generalRoomId, names);
  await settle();
  assert.deepEqual(await counts(), [0, 2, 1, 0, 1]);
});

test("so many people are mentioned by one message, and no more", async () => {
  const ann = await someone();
  const others = await Promise.all(Array.from({ length: limits.mentionsPerMessage + 1 }, someone));
  const roomId = await room(ann, others);
  // Names of nobody, or of who may not know of it, take nobody's place.
  const stranger = await someone();
  const names = [stranger, ...others].map(({ username }) => `@${username}`);
  await say(ann, roomId, ["@nobody", "@ann-who-is-not", ...names].join(" "));
  await settle();
  const counts = await Promise.all(others.map(unreadOf));
  assert.deepEqual(
    counts,
    others.map((_, i) => (i < limits.mentionsPerMessage ? 1 : 0)),
  );
});

test("whose inbox is full is not told of a mention, also not when there is room again, and the log counts it", async () => {
  const lines: object[] = [];
  const log = createLogger("debug", { write: (line) => lines.push(JSON.parse(line) as object) });
  const own = await openOccasions({ log });
  const [ann, bob] = [await own.person("ann"), await own.person("bob")];
  const roomId = await own.room(ann, [bob]);
  await own.store.notify(Array.from({ length: limits.occasionsWaiting }, () => requestTo([bob.id])));
  const message = await own.say(ann, roomId, "@bob words");
  await own.settle();
  await own.store.mark(
    { userId: bob.id, actor: `user:${bob.id}` },
    { state: "read", up_to: "999999999999999-0" },
  );
  await own.edit(ann, message, "@bob other words");
  await own.settle();
  assert.equal((await own.store.unread(bob.id)).unread, 0);
  const refused = lines.filter((line) => "refused" in line);
  assert.deepEqual(
    refused.map((line) => ("refused" in line ? line.refused : undefined)),
    [{ inbox_full: 1 }],
  );
  assert.ok(!JSON.stringify(refused).includes("words"));
});

test("an edit tells those whom the message had not named before, whatever became of that", async () => {
  const [ann, bob, eve, zoe] = [await someone(), await someone(), await someone(), await someone()];
  const roomId = await room(ann, [bob, eve, zoe]);
  const off = { categories: { mention: { inbox: "off" as const, push: true } } };
  const zoeHerself = { userId: zoe.id, actor: `user:${zoe.id}` };
  await store.setPreferences(zoeHerself, off);
  const message = await say(ann, roomId, `@${bob.username} @${zoe.username}`);
  await settle();
  await store.setPreferences(zoeHerself, {});
  await edit(ann, message, `@${bob.username} @${zoe.username} and @${eve.username}`);
  const last = `${eve.username}, @${eve.username} @${bob.username}`;
  await edit(ann, message, last);
  await settle();
  assert.deepEqual([await unreadOf(bob), await unreadOf(eve), await unreadOf(zoe)], [1, 1, 0]);
  // When the first one was removed by its end, and nothing but the origin knows of it.
  stage.clock.advance(limits.occasionTtlDefaultS * 1_000);
  await store.expire(new AbortController().signal);
  await edit(ann, message, `${last}!`);
  await settle();
  assert.deepEqual([await unreadOf(bob), await unreadOf(eve)], [0, 0]);
});

test("the answer's entry says whom it answers, and an old entry without that tells nobody", async () => {
  const [ann, bob] = [await someone(), await someone()];
  const roomId = await room(ann, [bob]);
  await take();
  await say(ann, roomId, "yes", await say(bob, roomId, "is it?"));
  const entries = await take();
  const old = entries.map((entry) => {
    const data = JSON.parse(entry.data) as Record<string, unknown>;
    return { ...entry, data: jsonText({ message: data["message"] }) };
  });
  await follow(old);
  assert.equal(await unreadOf(bob), 0);
  await follow(entries);
  assert.equal(await unreadOf(bob), 1);
});

test("another module's entries need a row of their own, and no more", async () => {
  const { topics: prefix, type } = { topics: "live/" as const, type: "tip.made" };
  const rows = [
    {
      topics: prefix,
      type,
      mayTell: () => true,
      occasionsOf: (data: unknown) => {
        const { id, to } = data as { id: string; to: number };
        const said = {
          message: "5 euros",
          source: "live",
          link: null,
          createdAt: "2026-01-01T00:00:00.000Z",
        };
        return [{ origin: id, category: "tip", to: [to], peopleMax: 1, roomId: null, by: null, ...said }];
      },
    },
  ];
  const own = await openOccasions({ rows });
  const ann = await own.person("ann");
  const id = "01900000-0000-7000-8000-000000000000";
  await own.eventlog.append([
    { id, topic: "live/1", type, actor: "user:9", data: jsonText({ id, to: ann.id }) },
  ]);
  await own.settle();
  assert.deepEqual(
    (await own.told(ann)).map(({ notification }) => [notification.category, notification.message]),
    [["tip", "5 euros"]],
  );
  await own.eventlog.redact([id], "asked for");
  await own.settle();
  assert.deepEqual([await own.traces("5 euros"), (await own.store.unread(ann.id)).unread], [{}, 0]);
});
