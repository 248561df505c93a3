import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ErrorFrame } from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";
import { manualClock } from "../../test/harness.ts";
import type { Actor } from "../access/actor.ts";
import { person, setNow } from "./delivery.fixture.ts";
import { burst, codesOf, methodOf, openDispatch, request } from "./dispatch.fixture.ts";
import { badFramesMax, topicsPerToken } from "./dispatch.ts";

/** A connection of somebody who may ask; `method` is what its only request does. Time stands still. */
async function open(
  t: TestContext,
  parts: { readonly method?: () => Promise<unknown>; readonly actor?: Actor } = {},
) {
  let nowMs = 0;
  setNow(t, () => nowMs);
  const calls: unknown[] = [];
  const method = methodOf(({ params }) => {
    calls.push(params);
    return parts.method?.() ?? Promise.resolve("done");
  });
  const { dispatch, clock, ended, connect } = await openDispatch(t, { methods: [method] });
  const client = connect(parts.actor);
  return {
    ...client,
    clock,
    ended,
    calls,
    control: () => dispatch.control(client.connection),
    limits: () => dispatch.limits(),
    pass: (ms: number) => (nowMs += ms),
  };
}

test("so many frames that cannot be understood are answered, and one more ends the connection", async (t) => {
  const { send, answers, ended, connection } = await open(t);
  for (let i = 0; i < badFramesMax; i++) send(i % 2 === 0 ? "?" : { type: "nope" });
  assert.equal((await answers()).length, badFramesMax);
  send(request(1));
  assert.deepEqual(codesOf(await answers()), ["answer"]);
  assert.deepEqual([ended, connection.phase], [[], "open"]);
  send("?");
  assert.deepEqual([ended, await answers()], [["protocol_error"], []]);
});

test("what is refused for what it asks is understood, and does not count as what is not", async (t) => {
  const { send, answers, ended } = await open(t);
  for (let i = 0; i <= badFramesMax; i++) send({ type: "request", id: i, name: "unheard of", params: {} });
  const codes = codesOf(await answers());
  assert.deepEqual([new Set(codes), codes.length], [new Set(["not_found"]), badFramesMax + 1]);
  assert.deepEqual(ended, []);
});

test("so many requests wait for their answer and not one more, until one is answered", async (t) => {
  const works: PromiseWithResolvers<unknown>[] = [];
  const { send, answers, calls, connection } = await open(t, {
    method: () => {
      const work = Promise.withResolvers<unknown>();
      works.push(work);
      return work.promise;
    },
  });
  for (let i = 0; i <= limits.requestsInFlight; i++) send(request(i));
  const [refusal, ...others] = await answers();
  assert.ok(refusal?.type === "error" && others.length === 0);
  assert.deepEqual([refusal.id, refusal.error.code], [limits.requestsInFlight, "overloaded"]);
  assert.ok((refusal.error.retry_after_s ?? 0) >= 1);
  assert.equal(calls.length, limits.requestsInFlight);
  send({ type: "ping" });
  assert.deepEqual(codesOf(await answers()), ["pong"], "a ping has nothing to wait for");
  works[0]?.resolve("one");
  works[1]?.reject(new Error("two"));
  assert.deepEqual(codesOf(await answers()), ["answer", "internal"]);
  for (const id of [101, 102, 103]) send(request(id));
  const [last] = await answers();
  assert.deepEqual([calls.length, (last as ErrorFrame).id], [limits.requestsInFlight + 2, 103]);
  assert.equal(connection.inFlight, limits.requestsInFlight);
});

test("a frame of so many topics counts as one frame more, and of one less it does not", async (t) => {
  const { send, answers, connection } = await open(t);
  const names = (count: number) => Array.from({ length: count }, (_, i) => `room/${i + 1}`);
  const costs: readonly (readonly [topics: number, tokens: number])[] = [
    [1, 1],
    [topicsPerToken - 1, 1],
    [topicsPerToken, 2],
    [2 * topicsPerToken - 1, 2],
    [2 * topicsPerToken, 3],
    [limits.topicsPerFrame, 1 + Math.floor(limits.topicsPerFrame / topicsPerToken)],
  ];
  for (const [count, tokens] of costs) {
    for (const type of ["subscribe", "unsubscribe", "resume", "unsubscribe"]) {
      const topics = names(count);
      const places = Object.fromEntries(topics.map((topic) => [topic, "1-0-0"]));
      connection.frameTokens = burst;
      send(type === "resume" ? { type, id: 1, positions: places } : { type, id: 1, topics });
      assert.equal(burst - connection.frameTokens, tokens, `${type} ${count}`);
      const [answer] = await answers();
      assert.equal(answer?.type, type === "unsubscribe" ? "unsubscribed" : "subscribed");
    }
  }
});

test("so many frames come at once, as many again are told to slow down, and one more ends the connection", async (t) => {
  const { send, answers, ended, calls, pass } = await open(t);
  for (let i = 0; i < burst; i++) send({ type: "ping" });
  assert.deepEqual(new Set(codesOf(await answers())), new Set(["pong"]));
  send(request(1));
  const [refusal] = await answers();
  assert.ok(refusal?.type === "error");
  assert.deepEqual([refusal.id, refusal.error.code, calls], [1, "rate_limited", []]);
  assert.ok((refusal.error.retry_after_s ?? 0) >= 1);
  pass(40);
  send(request(2));
  assert.deepEqual(codesOf(await answers()), ["answer"], "what came back is good for the next frame");
  for (let i = 0; i < burst; i++) send(request(3));
  const codes = codesOf(await answers());
  assert.deepEqual([new Set(codes), codes.length, ended], [new Set(["rate_limited"]), burst, []]);
  send(request(4));
  assert.deepEqual([ended, await answers()], [["rate_limited"], []]);
});

test("pings and pongs count as frames do", async (t) => {
  const { send, control, answers, ended, connection } = await open(t);
  for (let i = 0; i < burst; i++) control();
  send(request(1));
  assert.deepEqual(codesOf(await answers()), ["rate_limited"]);
  for (let i = 1; i < burst; i++) control();
  assert.deepEqual([ended, connection.phase], [[], "open"]);
  control();
  assert.deepEqual(ended, ["rate_limited"]);
  control();
  assert.deepEqual(ended, ["rate_limited"], "whoever is gone is not sent away again");
});

test("what is asked with a token that has ended is not done, whenever that is noticed", async (t) => {
  const clock = manualClock();
  const actor = person({ expiresAt: clock.now() + 5_000 });
  const late = await open(t, { actor });
  late.clock.advance(4_999);
  late.send(request(1));
  assert.deepEqual(codesOf(await late.answers()), ["answer"]);
  late.clock.advance(1);
  for (const frame of [request(2), { type: "subscribe", id: 3, topics: ["room/1"] }, {}]) {
    late.connection.phase = "open";
    late.ended.length = 0;
    late.send(frame);
    assert.deepEqual([await late.answers(), late.ended, late.calls.length], [[], ["token_expired"], 1]);
  }
  assert.equal(late.connection.subscriptions.size, 0);
});

test("a program's key has no end that would be known, and its requests are done", async (t) => {
  const scopes = new Set<never>();
  const actor: Actor = { kind: "key", id: 1, name: "bot", scopes, sourceId: undefined };
  const { send, answers, clock } = await open(t, { actor });
  clock.advance(1e13);
  send(request(1));
  assert.deepEqual(codesOf(await answers()), ["answer"]);
});

test("the limits that clients are told are those that hold", async (t) => {
  const { limits: told } = await open(t);
  assert.deepEqual(told(), {
    frame_bytes: limits.frameBytes,
    topics: limits.topicsPerConnection,
    topics_per_frame: limits.topicsPerFrame,
    requests_in_flight: limits.requestsInFlight,
    frames_per_second: 50,
    frames_burst: burst,
  });
});
