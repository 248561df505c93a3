import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.ts";
import type { Actor } from "../access/actor.ts";
import { person } from "./delivery.fixture.ts";
import { codesOf, formOf, methodOf, openDispatch, request } from "./dispatch.fixture.ts";

const burst = 3;
const plain = { content: "Hello" };

/** What several connections ask, of whoever they are; each person has `burst` requests and gets one in two seconds. */
async function open(t: TestContext) {
  let said = 0;
  const { clock, personRate, connect } = await openDispatch(t, {
    methods: [methodOf(() => Promise.resolve("done"))],
    plain: [formOf(() => Promise.resolve({ said: ++said }))],
    personRate: { perSecond: 0.5, burst },
    end: () => assert.fail("nobody is sent away"),
  });
  return {
    clock,
    personRate,
    /** A connection of somebody, and what it hears for each frame that it sends. */
    connect: (actor: Actor) => {
      const { send, answers } = connect(actor);
      return (frame: unknown): Promise<readonly ServerFrame[]> => {
        send(frame);
        return answers();
      };
    },
  };
}

test("the requests of all connections of a person are counted together, and one more is told when to ask again", async (t) => {
  const { clock, connect } = await open(t);
  const [here, there] = [connect(person({ id: 7 })), connect(person({ id: 7 }))];
  assert.deepEqual(codesOf(await here(request(1))), ["answer"]);
  assert.deepEqual(codesOf(await there(request(1))), ["answer"]);
  assert.deepEqual(codesOf(await here(plain)), ["plain"]);
  for (const [send, id] of [
    [here, 2],
    [there, 2],
  ] as const) {
    const [frame] = await send(request(id));
    assert.ok(frame?.type === "error");
    const { error } = frame;
    assert.deepEqual([frame.id, error.code, error.retry_after_s], [id, "rate_limited", 2]);
  }
  assert.deepEqual(codesOf(await there(plain)), ["rate_limited"]);
  assert.deepEqual(codesOf(await connect(person({ id: 8 }))(request(1))), ["answer"]);
  clock.advance(2_000);
  assert.deepEqual(codesOf(await there(plain)), ["plain"]);
  assert.deepEqual(codesOf(await here(request(3))), ["rate_limited"]);
});

test("what comes over HTTP is of the same rate, and what asks for nothing is not counted", async (t) => {
  const { connect, personRate } = await open(t);
  const ann = person({ id: 7 });
  const send = connect(ann);
  for (let id = 1; id <= burst; id++) {
    assert.deepEqual(codesOf(await send({ type: "ping" })), ["pong"]);
    assert.deepEqual(codesOf(await send({ type: "subscribe", id, topics: ["room/1"] })), ["subscribed"]);
  }
  for (let n = 0; n < burst; n++) assert.equal(personRate.take(ann)?.allowed, true);
  assert.deepEqual(codesOf(await send(request(9))), ["rate_limited"]);
  assert.deepEqual(codesOf(await send({ type: "ping" })), ["pong"]);
});

test("a program asks as often as its connection may", async (t) => {
  const { connect } = await open(t);
  const send = connect({ kind: "key", id: 7, name: "p", scopes: new Set(), sourceId: undefined });
  for (let id = 0; id <= burst; id++) assert.deepEqual(codesOf(await send(request(id))), ["answer"]);
});
