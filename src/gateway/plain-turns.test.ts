import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../../test/harness.ts";
import { formOf, openDispatch } from "./dispatch.fixture.ts";
import { plainFramesMax } from "./dispatch.ts";

/** A connection that speaks a seed's form, whose frames count. */
async function open(t: TestContext, perSecond: number) {
  const served: unknown[] = [];
  let underway = 0;
  let most = 0;
  const form = formOf(async ({ params }) => {
    most = Math.max(most, ++underway);
    await new Promise((resolve) => setImmediate(resolve));
    underway--;
    served.push(params["n"]);
    return undefined;
  });
  const { ended, connect } = await openDispatch(t, { plain: [form], frameRate: { perSecond, burst: 5 } });
  const { link, connection, send } = connect();
  connection.form = form;
  return { link, connection, served, ended, send: (n: number) => send({ n }), most: () => most };
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
