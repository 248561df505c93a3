import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import type { ServerFrame } from "../../protocol/frames.ts";
import { manualClock } from "../../test/harness.ts";
import type { Actor } from "../access/actor.ts";
import { createPersonRate } from "../access/person-rate.ts";
import { createLogger } from "../lib/logger.ts";
import { openStuck } from "./connection.fixture.ts";
import { memoryLog, openDelivery, person, settled } from "./delivery.fixture.ts";
import { Dispatch } from "./dispatch.ts";
import { textsOf } from "./reader.fixture.ts";

const burst = 3;
const request = (id: number) => ({ type: "request", id, name: "do", params: {} });
const plain = { content: "Hello" };

/** What several connections ask, of whoever they are; each person has `burst` requests and gets one in two seconds. */
async function open(t: TestContext) {
  const delivery = await openDelivery({ eventlog: memoryLog() });
  t.after(() => delivery.close());
  const clock = manualClock();
  const personRate = createPersonRate({ perSecond: 0.5, burst }, { clock });
  let said = 0;
  const dispatch = new Dispatch({
    subscribing: delivery.subscribing,
    clock,
    log: createLogger("silent"),
    methods: [
      {
        name: "do",
        summary: "",
        params: Type.Object({}),
        answer: Type.Unknown(),
        handler: () => Promise.resolve("done"),
      },
    ],
    plain: [
      {
        name: "form",
        frames: { sent: Type.Unknown(), heard: Type.Unknown() },
        topics: () => Promise.resolve([]),
        render: () => [],
        accepts: () => true,
        handle: () => Promise.resolve({ said: ++said }),
      },
    ],
    signalOf: () => undefined,
    frameRate: { perSecond: 50, burst: 200 },
    personRate,
    authenticate: () => Promise.resolve(),
    end: () => assert.fail("nobody is sent away"),
  });
  return {
    clock,
    personRate,
    /** A connection of somebody, and what it hears for each frame that it sends. */
    connect: (actor: Actor) => {
      const { link, connection } = openStuck();
      connection.actor = actor;
      connection.frameTokens = 200;
      return async (frame: unknown): Promise<readonly ServerFrame[]> => {
        dispatch.receive(connection, JSON.stringify(frame));
        await settled();
        link.unsentBytes = 0;
        const texts = link.written.splice(0).flatMap(textsOf);
        return texts.map((text) => JSON.parse(text) as ServerFrame);
      };
    },
  };
}

const codesOf = (frames: readonly ServerFrame[]): unknown[] =>
  frames.map((frame) => (frame.type === "error" ? frame.error.code : (frame.type ?? "said")));

test("the requests of all connections of a person are counted together, and one more is told when to ask again", async (t) => {
  const { clock, connect } = await open(t);
  const [here, there] = [connect(person({ id: 7 })), connect(person({ id: 7 }))];
  assert.deepEqual(codesOf(await here(request(1))), ["answer"]);
  assert.deepEqual(codesOf(await there(request(1))), ["answer"]);
  assert.deepEqual(codesOf(await here(plain)), ["said"]);
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
  assert.deepEqual(codesOf(await there(plain)), ["said"]);
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
