import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import type { Actor } from "../access/actor.ts";
import { AppError } from "../lib/errors.ts";
import { HeldLog, heard, openDelivery, person, settled, skipWindows } from "./delivery.fixture.ts";
import { TestReader } from "./reader.fixture.ts";
import { authorizeAgain } from "./subscribing.ts";

type Verdict = (topic: string, actor: Actor) => Promise<void> | undefined;

/** A gateway that asks `verdict` who may read what; whoever it has nothing to say about may. */
async function open(t: TestContext, verdict: Verdict = () => undefined, eventlog: HeldLog = new HeldLog()) {
  skipWindows(t);
  const delivery = await openDelivery({
    eventlog,
    ring: { entriesMax: 3, bytesMax: 1_000_000 },
    authorize: (actor, topic) => verdict(topic, actor) ?? Promise.resolve(),
  });
  t.after(() => delivery.close());
  return delivery;
}

const refusal = (code: "forbidden" | "not_found" | "unavailable"): Promise<never> =>
  Promise.reject(new AppError(code));

test("each topic is granted or refused on its own, and what is refused is not read", async (t) => {
  const { subscribe, say, hub } = await open(t, (topic) =>
    topic === "room/2" ? refusal("not_found") : undefined,
  );
  const reader = new TestReader();
  const { topics, refused } = await subscribe(reader, { "room/1": undefined, "room/2": undefined });
  assert.deepEqual([topics, Object.keys(refused)], [{ "room/1": { position: "1-0-0" } }, ["room/2"]]);
  assert.equal(refused["room/2"]?.code, "not_found");
  await say("room/2", "secret");
  await settled();
  assert.deepEqual(
    [heard(reader), hub.readersOf("room/2"), [...reader.subscriptions.keys()]],
    [[], 0, ["room/1"]],
  );
});

test("whoever is removed from one topic while the others are looked at is not told that they have it", async (t) => {
  const looked = Promise.withResolvers<void>();
  const { subscribe, append, say } = await open(t, (topic) =>
    topic === "room/2" ? looked.promise : undefined,
  );
  const reader = new TestReader({ userId: 7 });
  const answering = subscribe(reader, { "room/1": undefined, "room/2": undefined });
  await settled();
  await append("room/1", { user_id: 7 }, "member.removed");
  await settled();
  looked.resolve();
  const { topics, refused } = await answering;
  assert.deepEqual(heard(reader), ["removed@1-0-1"]);
  assert.deepEqual([Object.keys(topics), refused["room/1"]?.code], [["room/2"], "forbidden"]);
  await say("room/1", "secret");
  await say("room/2", "news");
  await settled();
  assert.deepEqual(heard(reader).slice(1), ["news"]);
});

test("whoever is removed while their past is read gets none of it, and is not told that they have the topic", async (t) => {
  const { eventlog, subscribe, append, say } = await open(t);
  await say("room/1", "1", "2", "3", "4", "5", "6");
  await settled();
  const reader = new TestReader({ userId: 7 });
  const answer = eventlog.holdNextRead();
  const answering = subscribe(reader, { "room/1": "1-0-0", "room/2": "1-0-6" });
  await settled();
  await append("room/1", { user_id: 7 }, "member.removed");
  await settled();
  answer();
  const { topics, refused } = await answering;
  await settled();
  assert.deepEqual(heard(reader), ["removed@1-0-7"]);
  assert.deepEqual([Object.keys(topics), Object.keys(refused)], [["room/2"], ["room/1"]]);
});

test("a topic that is left before the answer is refused by it, and what was asked for since then stays", async (t) => {
  const looks: PromiseWithResolvers<void>[] = [];
  const { subscribe, hub, say } = await open(t, () => {
    const look = Promise.withResolvers<void>();
    looks.push(look);
    return look.promise;
  });
  const reader = new TestReader();
  const unsubscribe = (): void => {
    const subscription = reader.subscriptions.get("room/1");
    assert.ok(subscription !== undefined);
    hub.leave(subscription);
    reader.subscriptions.delete("room/1");
  };
  const first = subscribe(reader, { "room/1": undefined });
  unsubscribe();
  const second = subscribe(reader, { "room/1": undefined });
  unsubscribe();
  const third = subscribe(reader, { "room/1": undefined });
  await settled();
  looks[0]?.resolve();
  looks[1]?.reject(new AppError("not_found"));
  const [one, two] = [await first, await second];
  assert.deepEqual([one.topics, one.refused["room/1"]?.code], [{}, "forbidden"]);
  assert.deepEqual([two.topics, two.refused["room/1"]?.code], [{}, "not_found"]);
  looks[2]?.resolve();
  assert.deepEqual((await third).topics, { "room/1": { position: "1-0-0" } });
  await say("room/1", "news");
  await settled();
  assert.deepEqual([heard(reader), hub.readersOf("room/1")], [["news"], 1]);
  assert.deepEqual([...reader.subscriptions.keys()], ["room/1"]);
});

test("a position that the log has never had is answered with limited, and one beyond this gateway only is not", async (t) => {
  const { eventlog, subscribe, say } = await open(t);
  await say("room/1", "1", "2");
  await settled();
  const answer = eventlog.holdNextRead();
  await say("room/1", "3", "4");
  const [beyond, ahead, level] = [new TestReader(), new TestReader(), new TestReader()];
  const wanted = async (reader: TestReader, position: string) =>
    (await subscribe(reader, { "room/1": position })).topics["room/1"];
  assert.deepEqual(await wanted(beyond, "1-0-5"), { position: "1-0-2", limited: true });
  assert.deepEqual(await wanted(ahead, "1-0-4"), { position: "1-0-4" });
  const { timesAsked } = eventlog;
  assert.deepEqual(await wanted(level, "1-0-2"), { position: "1-0-2" });
  assert.equal(eventlog.timesAsked, timesAsked, "the log is asked only where somebody is ahead");
  answer();
  await settled();
  await say("room/1", "5", "6", "7");
  await settled();
  assert.deepEqual(heard(beyond), ["3", "4", "5", "6", "7"]);
  assert.deepEqual(heard(ahead), ["5", "6", "7"], "what another gateway has sent does not come again");
  assert.deepEqual(heard(level), ["3", "4", "5", "6", "7"]);
});

test("positions of another log, of before a restore, or that are none are answered with limited", async (t) => {
  const { subscribe, say } = await open(t, undefined, new HeldLog({ partitions: 2 }));
  await say("room/1", "1", "2");
  await settled();
  const reader = new TestReader();
  const { topics } = await subscribe(reader, { "room/1": undefined });
  const here = topics["room/1"]?.position ?? "";
  const partition = Number(here.split("-")[1]);
  assert.equal(here, `1-${partition}-2`);
  for (const position of [`2-${partition}-2`, `1-${1 - partition}-0`, "nonsense", ""]) {
    const answer = await subscribe(new TestReader(), { "room/1": position });
    assert.deepEqual(answer.topics, { "room/1": { position: here, limited: true } }, position);
  }
});

test("when the log cannot say where it ends, only what is beyond this gateway is refused", async (t) => {
  const { eventlog, subscribe, say, hub } = await open(t);
  await say("room/1", "1", "2");
  await settled();
  eventlog.failures = 1;
  const wanted = { "room/1": "1-0-3", "room/2": "1-0-2", "room/3": undefined };
  const { topics, refused } = await subscribe(new TestReader(), wanted);
  assert.deepEqual([Object.keys(topics), Object.keys(refused)], [["room/2", "room/3"], ["room/1"]]);
  assert.equal(refused["room/1"]?.code, "internal");
  assert.equal(hub.readersOf("room/1"), 0);
});

test("a connection may read so many topics and not one more, until it leaves one", async (t) => {
  const { subscribe, hub } = await open(t);
  const reader = new TestReader();
  const names = Array.from({ length: limits.topicsPerConnection + 1 }, (_, i) => `room/${i + 1}`);
  const wanted = Object.fromEntries(names.map((name) => [name, undefined]));
  const { topics, refused } = await subscribe(reader, wanted);
  assert.equal(Object.keys(topics).length, limits.topicsPerConnection);
  const last = names.at(-1) ?? "";
  assert.deepEqual([Object.keys(refused), refused[last]?.code], [[last], "conflict"]);
  const subscription = reader.subscriptions.get("room/1");
  assert.ok(subscription !== undefined);
  hub.leave(subscription);
  reader.subscriptions.delete("room/1");
  assert.deepEqual(Object.keys((await subscribe(reader, { [last]: undefined })).topics), [last]);
});

test("a topic is read once, however often it is asked for", async (t) => {
  const { subscribe, say } = await open(t);
  const reader = new TestReader();
  await subscribe(reader, { "room/1": undefined });
  const { topics, refused } = await subscribe(reader, { "room/1": "1-0-0" });
  assert.deepEqual([topics, refused["room/1"]?.code], [{}, "conflict"]);
  await say("room/1", "news");
  await settled();
  assert.deepEqual(heard(reader), ["news"]);
});

test("of whoever may less, what they may no longer read is taken away, and nothing else", async (t) => {
  const lost = new Map<string, "forbidden" | "not_found">();
  const { subscribe, subscribing, say, hub } = await open(t, (topic, actor) => {
    const code = actor.scopes.has("chat:manage") ? undefined : lost.get(topic);
    return code === undefined ? undefined : refusal(code);
  });
  const [reader, other] = [new TestReader(), new TestReader()];
  const names = ["room/1", "room/2", "room/3"];
  const wanted = Object.fromEntries(names.map((name) => [name, undefined]));
  await subscribe(reader, wanted);
  await subscribe(other, wanted);
  await say("room/2", "before");
  await settled();
  lost.set("room/1", "not_found").set("room/2", "forbidden");
  await authorizeAgain(subscribing, reader, person({ scopes: new Set(["chat:manage"]) }));
  assert.deepEqual(heard(reader), ["before"], "whoever may as much as before keeps everything");
  await authorizeAgain(subscribing, reader, person());
  const gone = reader.frames
    .slice(1)
    .map((frame) => (frame.type === "removed" ? [frame.topic, frame.position] : frame));
  assert.deepEqual(gone, [
    ["room/1", "1-0-1"],
    ["room/2", "1-0-1"],
  ]);
  for (const name of names) await say(name, name);
  await settled();
  assert.deepEqual(heard(reader).slice(3), ["room/3"]);
  assert.deepEqual(heard(other), ["before", ...names], "nobody else loses anything");
  assert.deepEqual([[...reader.subscriptions.keys()], hub.readersOf("room/1")], [["room/3"], 1]);
});

test("whether somebody may still read what they read may not be found out: then that is what is said", async (t) => {
  let away = false;
  const { subscribe, subscribing } = await open(t, () => (away ? refusal("unavailable") : undefined));
  const reader = new TestReader();
  await subscribe(reader, { "room/1": undefined });
  away = true;
  await assert.rejects(authorizeAgain(subscribing, reader, person()), { code: "unavailable" });
  assert.deepEqual([reader.frames, [...reader.subscriptions.keys()]], [[], ["room/1"]]);
});

test("a topic that is left while it is asked for anew is not taken away once more", async (t) => {
  let look: PromiseWithResolvers<void> | undefined;
  const { subscribe, subscribing, hub } = await open(t, () => look?.promise);
  const reader = new TestReader();
  await subscribe(reader, { "room/1": undefined });
  look = Promise.withResolvers<void>();
  const asking = authorizeAgain(subscribing, reader, person());
  const subscription = reader.subscriptions.get("room/1");
  assert.ok(subscription !== undefined);
  hub.leave(subscription);
  reader.subscriptions.delete("room/1");
  look.reject(new AppError("not_found"));
  await asking;
  assert.deepEqual(reader.frames, []);
});
