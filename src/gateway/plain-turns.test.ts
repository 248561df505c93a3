import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import type { CloseReason } from "../../protocol/close-codes.ts";
import { eventually, manualClock } from "../../test/harness.ts";
import { createPersonRate } from "../access/person-rate.ts";
import type { PlainForm } from "../deps.ts";
import { createLogger } from "../lib/logger.ts";
import { openStuck } from "./connection.fixture.ts";
import { HeldLog, openDelivery, person } from "./delivery.fixture.ts";
import { Dispatch, plainFramesMax } from "./dispatch.ts";

/** A connection that speaks a seed's form, whose frames count. */
async function open(t: { after(close: () => Promise<void>): void }, perSecond: number) {
  const delivery = await openDelivery({ eventlog: new HeldLog() });
  t.after(() => delivery.close());
  const served: unknown[] = [];
  let underway = 0;
  let most = 0;
  const form: PlainForm = {
    name: "counted",
    frames: { sent: Type.Unknown(), heard: Type.Unknown() },
    topics: () => Promise.resolve([]),
    render: () => [],
    accepts: () => true,
    handle: async ({ params }) => {
      most = Math.max(most, ++underway);
      await new Promise((resolve) => setImmediate(resolve));
      underway--;
      served.push(params["n"]);
      return undefined;
    },
  };
  const ended: CloseReason[] = [];
  const clock = manualClock(0);
  const { link, connection } = openStuck();
  connection.actor = person();
  connection.form = form;
  connection.frameTokens = 5;
  const dispatch = new Dispatch({
    subscribing: delivery.subscribing,
    clock,
    log: createLogger("silent"),
    methods: [],
    plain: [form],
    signalOf: () => undefined,
    frameRate: { perSecond, burst: 5 },
    personRate: createPersonRate({ perSecond: 1_000, burst: 100_000 }, { clock }),
    authenticate: () => Promise.resolve(),
    end: (one, reason) => {
      ended.push(reason);
      one.close(reason);
    },
  });
  const send = (n: number): void => dispatch.receive(connection, JSON.stringify({ n }));
  return { link, connection, served, ended, send, most: () => most };
}

test("a burst of a seed's frames is served in order, one at a time and at its rate, and none is refused", async (t) => {
  const { link, served, ended, send, most } = await open(t, 2_000);
  const count = 100;
  for (let n = 0; n < count; n++) send(n);
  assert.equal(link.reading, false, "the client waits as well");
  await eventually("all are served", () => served.length === count);
  assert.deepEqual(
    served,
    Array.from({ length: count }, (_, n) => n),
  );
  assert.deepEqual([most(), ended, link.written], [1, [], []]);
  await eventually("the client is read from again", () => link.reading);
});

test("nothing is served before what is to be told first has been told, and the client is read from until then", async (t) => {
  const { link, connection, served, send } = await open(t, 2_000);
  const begun = Promise.withResolvers<void>();
  connection.beginning = begun.promise;
  for (let n = 0; n < 3; n++) send(n);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([served, link.reading], [[], true]);
  begun.resolve();
  await eventually("all are served", () => served.length === 3);
  assert.deepEqual(served, [0, 1, 2]);
});

test("so many of a seed's frames may wait and not one more", async (t) => {
  const { ended, send } = await open(t, 0.001);
  for (let n = 0; n < plainFramesMax; n++) send(n);
  assert.deepEqual(ended, []);
  send(plainFramesMax);
  assert.deepEqual(ended, ["rate_limited"]);
});
