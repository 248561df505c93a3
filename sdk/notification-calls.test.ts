import assert from "node:assert/strict";
import { test } from "node:test";
import type { NotificationCalls, NotifyOptions } from "./notification-calls.ts";
import { World } from "./notification-world.fixture.ts";

const broadcast = { message: "Hello", source: "test" };
const notify = { ...broadcast, target: [{ id: 7 }] };
type Tell = (calls: NotificationCalls, options: NotifyOptions) => Promise<unknown>;
const ways: readonly (readonly [path: string, body: unknown, tell: Tell])[] = [
  ["/api/v1/notify", notify, (calls, options) => calls.notify(notify, options)],
  ["/api/v1/broadcasts", broadcast, (calls, options) => calls.broadcast(broadcast, options)],
];

for (const [where, sent, tell] of ways) {
  test(`what is told over ${where} is told again under a key, and only under a key`, async () => {
    for (const [idempotencyKey, times] of [
      ["order-7", 2],
      [undefined, 1],
    ] as const) {
      const world = new World();
      let n = 0;
      world.answer = () => (++n === 1 ? new Error("no network") : { status: 202, body: {} });
      const options = idempotencyKey === undefined ? {} : { idempotencyKey };
      const outcome = tell(world.client.notifications, options).then(
        () => "told",
        (error: { readonly code: string }) => error.code,
      );
      await world.pass(10_000);
      assert.equal(await outcome, times === 2 ? "told" : "network");
      assert.equal(world.fetch.asked.length, times);
      for (const { path, headers, body } of world.fetch.asked) {
        assert.deepEqual([path, headers["idempotency-key"], body], [where, idempotencyKey, sent]);
      }
    }
  });
}

test("a program withdraws what it told everybody", async () => {
  const world = new World();
  world.answer = () => ({ status: 204 });
  await world.client.notifications.withdrawBroadcast("a/b");
  assert.deepEqual(world.asked, ["DELETE /api/v1/broadcasts/a%2Fb"]);
});
