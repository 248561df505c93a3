import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientFrame, SubscribedTopic } from "../protocol/frames.ts";
import { createClient } from "./client.ts";
import type { FrameError } from "../protocol/frames.ts";
import { type TopicHandlers, idsRememberedMax, topicsMax } from "./topics.ts";
import {
  type FakeSocket,
  FakeNetwork,
  FakeSockets,
  ManualClock,
  helloFrame,
  settle,
} from "./world.fixture.ts";

/** A client that is connected. */
async function connected(limits: Partial<ReturnType<typeof helloFrame>["limits"]> = {}) {
  const clock = new ManualClock();
  const sockets = new FakeSockets();
  const errors: unknown[] = [];
  const client = createClient({
    url: "http://server",
    credentials: "key",
    clock,
    random: () => 0.5,
    network: new FakeNetwork(),
    webSocket: sockets.make,
    onError: (error) => errors.push(error),
  });
  const welcome = async (): Promise<FakeSocket> => {
    const hello = helloFrame(clock);
    return sockets.welcome(clock, { limits: { ...hello.limits, ...limits } });
  };
  client.start();
  await settle();
  await welcome();
  /** The connection is lost and comes back. */
  const reconnect = async (): Promise<FakeSocket> => {
    sockets.last.end();
    while (sockets.last.over) await clock.pass(100);
    return welcome();
  };
  return { client, clock, sockets, errors, reconnect };
}

/** What handlers were told, as words. */
function listener(): TopicHandlers & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    entry: ({ id }) => told.push(id),
    signal: ({ name }) => told.push(`signal ${name}`),
    live: () => told.push("live"),
    limited: () => told.push("limited"),
    removed: () => told.push("removed"),
    refused: ({ code }) => told.push(`refused ${code}`),
  };
}

/** Answers the last unanswered frame about topics. */
function answer(
  socket: FakeSocket,
  topics: Record<string, SubscribedTopic>,
  refused: Record<string, FrameError> = {},
): void {
  const last = socket.sent.at(-1);
  assert.ok(last?.type === "subscribe" || last?.type === "resume", `${last?.type} is not to be answered so`);
  socket.receive({ type: "subscribed", id: last.id, topics, refused });
}

function push(socket: FakeSocket, topic: string, position: string, id = `e${position}`): void {
  const entry = { id, type: "t", time: "2026-01-01T00:00:00.000Z", actor: "user:1", data: {} };
  socket.receive({ type: "entry", topic, position, entry });
}

const withoutId = (frame: ClientFrame | undefined): object => ({ ...frame, id: undefined });

test("topics that are wanted in the same moment go into one frame, and each listener hears its own", async () => {
  const { client, sockets } = await connected();
  const [one, two] = [listener(), listener()];
  client.subscribe("room/1", one);
  client.subscribe("room/2", two);
  await settle();
  const socket = sockets.last;
  assert.deepEqual(withoutId(socket.sent.at(-1)), {
    type: "subscribe",
    topics: ["room/1", "room/2"],
    id: undefined,
  });
  // Nothing counts before the answer.
  push(socket, "room/1", "1");
  answer(socket, { "room/1": { position: "1" }, "room/2": { position: "5" } });
  push(socket, "room/1", "2");
  push(socket, "room/2", "6");
  push(socket, "room/3", "1");
  socket.receive({ type: "signal", topic: "room/2", name: "typing", key: "7", data: {} });
  assert.deepEqual(one.told, ["live", "e2"]);
  assert.deepEqual(two.told, ["live", "e6", "signal typing"]);
});

test("a topic is subscribed to once, and left when its last listener has gone", async () => {
  const { client, sockets } = await connected();
  const [one, two] = [listener(), listener()];
  const endOne = client.subscribe("room/1", one);
  await settle();
  const socket = sockets.last;
  answer(socket, { "room/1": { position: "1" } });
  const endTwo = client.subscribe("room/1", two);
  await settle();
  assert.deepEqual(two.told, ["live"]);
  endOne();
  endOne();
  push(socket, "room/1", "2");
  assert.deepEqual(one.told, ["live"]);
  assert.deepEqual(two.told, ["live", "e2"]);
  await settle();
  assert.equal(socket.of("subscribe").length, 1);
  assert.equal(socket.of("unsubscribe").length, 0);
  endTwo();
  await settle();
  assert.deepEqual(socket.of("unsubscribe")[0]?.topics, ["room/1"]);
  push(socket, "room/1", "3");
  assert.deepEqual(two.told, ["live", "e2"]);
});

test("what is left and wanted again in the same moment is not left", async () => {
  const { client, sockets } = await connected();
  const end = client.subscribe("room/1", listener());
  await settle();
  const socket = sockets.last;
  answer(socket, { "room/1": { position: "1" } });
  end();
  const again = listener();
  client.subscribe("room/1", again);
  await settle();
  assert.equal(socket.of("unsubscribe").length, 0);
  push(socket, "room/1", "2");
  assert.deepEqual(again.told, ["live", "e2"]);
});

test("a topic that is being left is asked for again only when it was left", async () => {
  const { client, sockets } = await connected();
  const end = client.subscribe("room/1", listener());
  await settle();
  const socket = sockets.last;
  // Left before it is answered: the server is told after the answer.
  end();
  await settle();
  assert.equal(socket.of("unsubscribe").length, 0);
  answer(socket, { "room/1": { position: "1" } });
  await settle();
  const [leave] = socket.of("unsubscribe");
  const again = listener();
  client.subscribe("room/1", again);
  await settle();
  assert.equal(socket.of("subscribe").length, 1);
  push(socket, "room/1", "2");
  socket.receive({ type: "unsubscribed", id: leave?.id ?? 0, topics: ["room/1"] });
  await settle();
  assert.equal(socket.of("subscribe").length, 2);
  answer(socket, { "room/1": { position: "9" } });
  assert.deepEqual(again.told, ["live"]);
});

test("a topic that could not be left is left later, and whoever wants it meanwhile begins anew", async () => {
  const { client, clock, sockets } = await connected();
  const end = client.subscribe("room/1", listener());
  await settle();
  const socket = sockets.last;
  answer(socket, { "room/1": { position: "1" } });
  end();
  await settle();
  const [leave] = socket.of("unsubscribe");
  const error: FrameError = { code: "rate_limited", title: "Slower", retry: "later", retry_after_s: 1 };
  push(socket, "room/1", "2");
  socket.receive({ type: "error", id: leave?.id ?? 0, error });
  const again = listener();
  client.subscribe("room/1", again);
  await settle();
  push(socket, "room/1", "3");
  assert.deepEqual(again.told, [], "what came before was not passed on");
  await clock.pass(1_500);
  const later = socket.of("unsubscribe").at(-1);
  assert.notEqual(later?.id, leave?.id);
  socket.receive({ type: "unsubscribed", id: later?.id ?? 0, topics: ["room/1"] });
  await settle();
  answer(socket, { "room/1": { position: "3" } });
  push(socket, "room/1", "4");
  assert.deepEqual(again.told, ["live", "e4"]);
});

test("after a reconnect every topic goes on from its own place", async () => {
  const { client, sockets, reconnect } = await connected();
  const [one, two, three] = [listener(), listener(), listener()];
  client.subscribe("room/1", one);
  client.subscribe("room/2", two);
  client.subscribe("room/3", three);
  await settle();
  const before = sockets.last;
  answer(before, {
    "room/1": { position: "1" },
    "room/2": { position: "5" },
    "room/3": { position: "7" },
  });
  push(before, "room/1", "2");
  before.receive({ type: "positions", positions: { "room/2": "50", "room/9": "1" } });
  const socket = await reconnect();
  assert.deepEqual(withoutId(socket.sent.at(-1)), {
    type: "resume",
    positions: { "room/1": "2", "room/2": "50", "room/3": "7" },
    id: undefined,
  });
  assert.equal(socket.of("subscribe").length, 0);
  answer(socket, {
    "room/1": { position: "4" },
    "room/2": { position: "60", limited: true },
    "room/3": { position: "7" },
  });
  push(socket, "room/1", "3");
  push(socket, "room/1", "4");
  push(socket, "room/2", "61");
  assert.deepEqual(one.told, ["live", "e2", "live", "e3", "e4"]);
  assert.deepEqual(two.told, ["live", "live", "limited", "e61"]);
  assert.deepEqual(three.told, ["live", "live"]);
});

test("a connection that is lost in the middle of what was missed resumes in the middle", async () => {
  const { client, sockets, reconnect } = await connected();
  const one = listener();
  client.subscribe("room/1", one);
  await settle();
  answer(sockets.last, { "room/1": { position: "1" } });
  const second = await reconnect();
  answer(second, { "room/1": { position: "9" } });
  push(second, "room/1", "2");
  const third = await reconnect();
  assert.deepEqual(third.of("resume")[0]?.positions, { "room/1": "2" });
});

test("an entry that comes twice is told once", async () => {
  const { client, sockets, reconnect } = await connected();
  const one = listener();
  client.subscribe("room/1", one);
  await settle();
  answer(sockets.last, { "room/1": { position: "0" } });
  for (let i = 1; i <= idsRememberedMax + 1; i++) push(sockets.last, "room/1", String(i));
  push(sockets.last, "room/1", String(idsRememberedMax + 1), "another id at the same place");
  const socket = await reconnect();
  answer(socket, { "room/1": { position: "0" } });
  one.told.length = 0;
  for (let i = 2; i <= idsRememberedMax + 1; i++) push(socket, "room/1", `again-${i}`, `e${i}`);
  assert.deepEqual(one.told, []);
  // So many are remembered, and not one more.
  push(socket, "room/1", "again-1", "e1");
  assert.deepEqual(one.told, ["e1"]);
});

test("who reads too slowly is told so, and goes on from there", async () => {
  const { client, sockets, reconnect } = await connected();
  const one = listener();
  client.subscribe("room/1", one);
  await settle();
  answer(sockets.last, { "room/1": { position: "1" } });
  sockets.last.receive({ type: "limited", topic: "room/1", position: "80" });
  assert.deepEqual(one.told, ["live", "limited"]);
  const socket = await reconnect();
  assert.deepEqual(socket.of("resume")[0]?.positions, { "room/1": "80" });
});

test("a topic that was taken away or refused is over, and not asked for again", async () => {
  const { client, sockets, reconnect } = await connected();
  const [one, two] = [listener(), listener()];
  client.subscribe("room/1", one);
  const endTwo = client.subscribe("room/2", two);
  await settle();
  const error = { code: "forbidden", title: "No", retry: "no" } as const;
  answer(sockets.last, { "room/1": { position: "1" } }, { "room/2": error });
  sockets.last.receive({ type: "removed", topic: "room/1", position: "2" });
  push(sockets.last, "room/1", "3");
  assert.deepEqual(one.told, ["live", "removed"]);
  assert.deepEqual(two.told, ["refused forbidden"]);
  endTwo();
  const socket = await reconnect();
  assert.deepEqual(socket.of("resume"), []);
  assert.deepEqual(socket.of("subscribe"), []);
  // It may be asked for again by whoever has a reason to.
  const again = listener();
  client.subscribe("room/1", again);
  await settle();
  answer(socket, { "room/1": { position: "5" } });
  assert.deepEqual(again.told, ["live"]);
});

test("a refusal for a while is asked again after what the server says and a pause", async () => {
  const { client, clock, sockets } = await connected();
  const one = listener();
  client.subscribe("room/1", one);
  await settle();
  const socket = sockets.last;
  const error = { code: "overloaded", title: "Busy", retry: "later", retry_after_s: 3 } as const;
  answer(socket, {}, { "room/1": error });
  await clock.pass(3_000);
  assert.equal(socket.of("subscribe").length, 1);
  await clock.pass(500);
  assert.equal(socket.of("subscribe").length, 2);
  // The whole frame may be refused, too.
  socket.receive({ type: "error", id: socket.of("subscribe")[1]?.id ?? 0, error });
  await clock.pass(3_100);
  assert.equal(socket.of("subscribe").length, 2);
  await clock.pass(1_000);
  answer(socket, { "room/1": { position: "1" } });
  assert.deepEqual(one.told, ["live"]);
});

test("frames are cut where the server's limits are", async () => {
  const { client, sockets, reconnect } = await connected({ topics_per_frame: 3, frame_bytes: 400 });
  for (let i = 0; i < 7; i++) client.subscribe(`room/${i}`, {});
  await settle();
  const socket = sockets.last;
  assert.deepEqual(
    socket.of("subscribe").map(({ topics }) => topics.length),
    [3, 3, 1],
  );
  for (const { id, topics } of socket.of("subscribe")) {
    const places = topics.map((topic): [string, SubscribedTopic] => [topic, { position: "p".repeat(150) }]);
    socket.receive({ type: "subscribed", id, topics: Object.fromEntries(places), refused: {} });
  }
  const second = await reconnect();
  // Positions make topics longer: now the bytes are the limit.
  assert.deepEqual(
    second.of("resume").map(({ positions }) => Object.keys(positions).length),
    [1, 1, 1, 1, 1, 1, 1],
  );
  for (const frame of second.sent) assert.ok(JSON.stringify(frame).length <= 400);
});

test("one topic more than a client may have is refused", async () => {
  const { client } = await connected();
  const ends = Array.from({ length: topicsMax }, (_, i) => client.subscribe(`room/${i}`, {}));
  assert.throws(() => client.subscribe("room/too-many", {}), { code: "too_many_topics" });
  // Another listener of the same topic is no other topic.
  client.subscribe("room/0", {})();
  ends[5]?.();
  await settle();
});

test("what a handler throws or does keeps nothing from the others", async () => {
  const { client, sockets, errors } = await connected();
  const [late, last] = [listener(), listener()];
  client.subscribe("room/1", {
    entry: () => {
      client.stop();
      throw new Error("mine");
    },
  });
  let endLate: () => void = () => undefined;
  client.subscribe("room/1", { entry: () => endLate() });
  endLate = client.subscribe("room/1", late);
  client.subscribe("room/1", last);
  await settle();
  answer(sockets.last, { "room/1": { position: "1" } });
  push(sockets.last, "room/1", "2");
  assert.equal(errors.length, 1);
  assert.deepEqual(late.told, ["live"]);
  // The entry counts as told, so it is told to everybody who is still there.
  assert.deepEqual(last.told, ["live", "e2"]);
});

test("subscriptions wait for a connection, and survive a stop", async () => {
  const { client, clock, sockets } = await connected();
  client.stop();
  const one = listener();
  client.subscribe("room/1", one);
  const end = client.subscribe("room/2", listener());
  await settle();
  end();
  client.start();
  await settle();
  const socket = await sockets.welcome(clock);
  assert.deepEqual(socket.of("subscribe")[0]?.topics, ["room/1"]);
  answer(socket, { "room/1": { position: "1" } });
  assert.deepEqual(one.told, ["live"]);
});
