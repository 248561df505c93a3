import assert from "node:assert/strict";
import { type TestContext, after, test } from "node:test";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { SeedMessages } from "../protocol/chat.ts";
import { type EntryFrame, type ServerFrame, commonEntries } from "../protocol/frames.ts";
import type { Scope } from "../protocol/scopes.ts";
import { partitionOf } from "../src/eventlog/murmur2.ts";
import { spokenBy } from "../src/gateway/asyncapi.ts";
import { createModules } from "../src/modules.ts";
import { listen } from "./events.ts";
import { eventually } from "./harness.ts";
import { type Role, type Stage, eachRole, openCast } from "./permissions/cast.ts";
import { type PushRow, type Scene, entries, plain, requests, signals } from "./permissions/sockets.ts";
import { type TestSocket, greet, openSocket } from "./socket.ts";

/** Who may ask for what over the socket, and who hears what: live, by resume, as events, and without a subprotocol. */

const cast = await openCast({ after });
const { app, url } = cast;
const { methods, kinds } = spokenBy(createModules(app.deps).all);
/** The scope that lets programs look into rooms; no other one lets them into topics. */
const scope: Scope = "chat:manage";

/** A connection of this role that the server has greeted; of nobody, one that has opened. Ends with the test. */
async function connect(t: TestContext, role: Role): Promise<TestSocket> {
  const credential = await cast.credentialOf(role, scope);
  const socket = credential === undefined ? openSocket(url) : await greet(url, credential);
  t.after(() => socket.ws.terminate());
  await eventually("the connection opens", () => socket.ws.readyState === 1);
  return socket;
}

/** Asks the server something that it answers behind everything that it has sent before. */
async function settle(socket: TestSocket): Promise<void> {
  const pongs = (): number => socket.frames.filter(({ type }) => type === "pong").length;
  const before = pongs();
  socket.send({ type: "ping" });
  await eventually("a pong", () => pongs() > before);
}

/** How a request was answered, as rows say it. */
async function outcomeOf(socket: TestSocket, name: string, params: unknown): Promise<string> {
  socket.send({ type: "request", id: 1, name, params });
  const answer = await socket.answer(1);
  return answer.type === "error" ? answer.error.code : answer.type;
}

async function anEntryOf(topic: string): Promise<string> {
  const { eventlog } = app.deps;
  const partition = partitionOf(topic, eventlog.partitions);
  for (let offset = 0; ;) {
    const { entries, end } = await eventlog.read(partition, offset, 1_000);
    const found = entries.find((entry) => entry.topic === topic && entry.type !== "eventlog.redacted");
    if (found !== undefined) return found.id;
    assert.ok(end > offset, `there is no entry of ${topic}`);
    offset = end;
  }
}

async function openScene(t: TestContext, stage: Stage): Promise<Scene> {
  const passerBy = await cast.register();
  return {
    cast,
    stage,
    anEntryOf,
    ask: async (name, params) => {
      assert.equal(await outcomeOf(await connect(t, "owner"), name, params), "answer");
    },
    passerBy: {
      id: passerBy.user.id,
      arrive: async () => {
        const { ws } = await greet(url, passerBy.access_token);
        t.after(() => ws.terminate());
      },
    },
  };
}

/** A row as it is tried: who, in which scene, by which topic. */
type Try = { readonly role: Role; readonly hears: boolean; readonly topic: string; readonly scene: Scene };

/** All roles at one private room, but for the visitor, who is at a public one. */
async function triesOf(t: TestContext, { by, topic }: PushRow): Promise<readonly Try[]> {
  const inside = await openScene(t, await cast.setStage("private"));
  const outside = await openScene(t, await cast.setStage("public"));
  return eachRole(by).map(([role, hears]) => {
    const scene = role === "visitor" ? outside : inside;
    return { role, hears, scene, topic: topic(scene) };
  });
}

/** What is pushed, and the schema of its data. */
type Push = { readonly kind: string; readonly name: string; readonly schema: TSchema };

function isOf(topic: string): (frame: ServerFrame) => boolean {
  return (frame) => (frame.type === "entry" || frame.type === "signal") && frame.topic === topic;
}

/** Whether the frame is this push. Its data must fit the schema then. */
function isPush({ name, schema }: Push, topic: string): (frame: ServerFrame) => boolean {
  return (frame) => {
    if ((frame.type !== "entry" && frame.type !== "signal") || frame.topic !== topic) return false;
    const found = frame.type === "entry" ? frame.entry.type : frame.name;
    if (found !== name) return false;
    const data = frame.type === "entry" ? frame.entry.data : frame.data;
    assert.deepEqual([...Value.Errors(schema, data)], [], JSON.stringify(data));
    return true;
  };
}

/** Subscribes or resumes. Resolves with the position from which on the topic is live; undefined when it is refused. */
async function subscribe(socket: TestSocket, topic: string, from?: string): Promise<string | undefined> {
  if (from === undefined) socket.send({ type: "subscribe", id: 1, topics: [topic] });
  else socket.send({ type: "resume", id: 1, positions: { [topic]: from } });
  const answer = await socket.answer(1);
  if (answer.type !== "subscribed") return undefined;
  assert.equal(answer.topics[topic]?.limited, undefined);
  return answer.topics[topic]?.position;
}

/** Somebody's membership ends while they listen. */
async function expel(live: readonly (Try & { readonly socket: TestSocket })[]): Promise<void> {
  const gone = cast.person("exMember").user.id;
  for (const { stage } of new Set(live.map(({ scene }) => scene))) await stage.expel();
  for (const { role, hears, socket, topic } of live) {
    if (!hears && role !== "exMember") continue;
    const isEnd = (frame: ServerFrame): frame is EntryFrame =>
      isOf(topic)(frame) &&
      frame.type === "entry" &&
      frame.entry.type === "member.removed" &&
      (frame.entry.data as { user_id: number }).user_id === gone;
    await socket.next("the end of the membership", isEnd);
    if (role === "exMember")
      await socket.next("removed", (frame): frame is ServerFrame => frame.type === "removed");
  }
}

/** Lets it happen, and holds what each role hears of it to the row. Resolves with positions from before, by topic. */
async function tryLive(
  t: TestContext,
  push: Push,
  row: PushRow,
  tries: readonly Try[],
): Promise<ReadonlyMap<string, string>> {
  const places = new Map<string, string>();
  const live: (Try & { readonly socket: TestSocket })[] = [];
  for (const one of tries) {
    const socket = await connect(t, one.role);
    const place = await subscribe(socket, one.topic);
    const isMemberYet = push.kind === "room" && one.role === "exMember";
    assert.equal(place !== undefined, one.hears || isMemberYet, `${one.role} subscribes`);
    if (place !== undefined) places.set(one.topic, place);
    live.push({ ...one, socket });
  }
  if (push.kind === "room") await expel(live);

  const before = live.map(({ socket }) => socket.frames.length);
  for (const scene of new Set(tries.map(({ scene }) => scene))) await row.cause(scene);
  const heard = live.map(
    ({ socket }, i) =>
      () =>
        socket.frames.slice(before[i]),
  );
  for (const [i, { role, hears, topic }] of live.entries()) {
    if (hears) await eventually(`${role} hears it`, () => heard[i]?.().some(isPush(push, topic)) === true);
  }
  for (const [i, { role, hears, topic, socket }] of live.entries()) {
    if (hears) continue;
    await settle(socket);
    assert.deepEqual(heard[i]?.().filter(isOf(topic)), [], `${role} hears nothing`);
  }
  return places;
}

async function tryResume(
  t: TestContext,
  push: Push,
  tries: readonly Try[],
  places: ReadonlyMap<string, string>,
): Promise<void> {
  for (const { role, hears, topic } of tries) {
    const socket = await connect(t, role);
    const place = await subscribe(socket, topic, places.get(topic));
    assert.equal(place !== undefined, hears, `${role} resumes`);
    if (hears) await eventually(`${role} is sent it`, () => socket.frames.some(isPush(push, topic)));
    else {
      await settle(socket);
      assert.deepEqual(socket.frames.filter(isOf(topic)), [], `${role} is sent nothing`);
    }
  }
}

/** The same as server-sent events, which begin where the id of the last one says. */
async function tryStream(
  t: TestContext,
  push: Push,
  tries: readonly Try[],
  places: ReadonlyMap<string, string>,
): Promise<void> {
  for (const { role, hears, topic } of tries) {
    const credential = await cast.credentialOf(role, scope);
    const headers = {
      "last-event-id": places.get(topic) ?? "",
      ...(credential === undefined ? {} : { "x-api-key": credential }),
    };
    const { response, frames, stop } = await listen(url, `topics=${topic}`, headers);
    t.after(stop);
    assert.equal(response.status, role === "anonymous" ? 401 : 200, role);
    if (response.status === 401) continue;
    await eventually(`${role} is answered`, () => frames().length > 0);
    const [answer] = frames();
    assert.ok(answer?.type === "subscribed");
    assert.deepEqual(Object.keys(hears ? answer.topics : answer.refused), [topic], role);
    if (hears) await eventually(`${role} is sent it`, () => frames().some(isPush(push, topic)));
    else assert.deepEqual(frames().filter(isOf(topic)), [], `${role} is sent nothing`);
  }
}

test("every request, every entry that is pushed and every signal has a row, and every row one of them", () => {
  assert.deepEqual(Object.keys(requests).sort(), methods.map(({ name }) => name).sort());
  assert.deepEqual(Object.keys(entries).sort(), pushesOf("entries").map(nameOf).sort());
  assert.deepEqual(Object.keys(signals).sort(), pushesOf("signals").map(nameOf).sort());
});

function nameOf({ kind, name }: Push): string {
  return `${kind} ${name}`;
}

function pushesOf(what: "entries" | "signals"): readonly Push[] {
  const named = kinds.flatMap(({ kind, [what]: own = {} }) =>
    Object.entries(own).map(([name, schema]) => ({ kind, name, schema })),
  );
  if (what === "signals") return named;
  const common = [...new Set(named.map(({ kind }) => kind))].flatMap((kind) =>
    Object.entries(commonEntries).map(([name, schema]) => ({ kind, name, schema })),
  );
  return [...named, ...common];
}

for (const [name, { params, by }] of Object.entries(requests)) {
  test(`a request ${name} is answered to each role as its row says`, async (t) => {
    for (const [role, outcome] of eachRole(by)) {
      const stage = await cast.setStage(role === "visitor" ? "public" : "private");
      await stage.expel();
      assert.equal(await outcomeOf(await connect(t, role), name, params(stage)), outcome, role);
    }
  });
}

for (const push of pushesOf("entries")) {
  const row = entries[nameOf(push)];
  if (row === undefined) continue;
  test(`an entry ${nameOf(push)} reaches whom its row says, live, by resume and as event, and nobody else`, async (t) => {
    const tries = await triesOf(t, row);
    const places = await tryLive(t, push, row, tries);
    await tryResume(t, push, tries, places);
    await tryStream(t, push, tries, places);
  });
}

for (const push of pushesOf("signals")) {
  const row = signals[nameOf(push)];
  if (row === undefined) continue;
  test(`a signal ${nameOf(push)} reaches whom its row says, and nobody else`, async (t) => {
    await tryLive(t, push, row, await triesOf(t, row));
  });
}

/** A connection that asks for no subprotocol. */
async function connectPlain(t: TestContext, role: Role): Promise<TestSocket> {
  const token = await cast.credentialOf(role, scope);
  const socket = openSocket(url, { plain: true, ...(token === undefined ? {} : { token }) });
  t.after(() => socket.ws.terminate());
  await eventually("the connection opens", () => socket.ws.readyState === 1);
  return socket;
}

test("a message of the room that is everybody's reaches plain connections as their row says", async (t) => {
  const live = await Promise.all(
    eachRole(plain.hears).map(async ([role, hears]) => ({
      role,
      hears,
      socket: await connectPlain(t, role),
    })),
  );
  const messages = ({ frames }: TestSocket) => frames.filter((frame) => "content" in frame);
  // It is nowhere told from when on a plain connection hears: until all do who may, it is said again.
  await eventually("everybody hears who may", async () => {
    await cast.asOwner("POST", "/api/v1/messages", { content: "Hello World!" });
    return live.every(({ hears, socket }) => !hears || messages(socket).length > 0);
  });
  for (const { role, hears, socket } of live) {
    if (hears) continue;
    await settle(socket);
    assert.deepEqual(messages(socket), [], role);
  }
});

test("a plain connection sends as its row says", async (t) => {
  for (const [role, outcome] of eachRole(plain.sends)) {
    const socket = await connectPlain(t, role);
    const content = `I am ${role}`;
    if (outcome !== "sent") {
      socket.send({ content });
      const isError = (frame: ServerFrame) => frame.type === "error";
      await eventually("a refusal", () => socket.frames.some(isError));
      const refusal = socket.frames.find(isError);
      assert.ok(refusal?.type === "error");
      assert.equal(refusal.error.code, outcome, role);
      continue;
    }
    // Before the connection is somebody's, what it sends is refused: nobody is told when it is.
    await eventually(`${role} has sent it`, async () => {
      socket.send({ content });
      const key = cast.person("owner").access_token;
      const page = await cast.request("GET", "/api/v1/messages", { key });
      return page.as(SeedMessages).some((message) => message.content === content);
    });
  }
});
