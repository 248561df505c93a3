import assert from "node:assert/strict";
import { test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import type { WebhookBody } from "../../protocol/inbox.ts";
import { eventually } from "../harness.ts";
import { openInbox, webhook } from "./inbox.ts";
import { inLanes, openLeanClient } from "./lean-client.ts";

const queueEntries = 100;
const appendTimeoutMs = 2_000;

/** A server whose log can be stalled, and a messenger with many connections. */
async function openStallable(t: Parameters<typeof openInbox>[0]) {
  const inbox = await openInbox(t, {
    EVENTLOG_QUEUE_ENTRIES: String(queueEntries),
    APPEND_TIMEOUT_MS: String(appendTimeoutMs),
  });
  const client = openLeanClient(t, inbox.url, 200);
  const headers = { "content-type": "application/json", authorization: `Bearer ${inbox.source.secret}` };
  return {
    ...inbox,
    /** Locks every partition's counter, as a stuck writer would; resolves with what ends it. */
    stall: async (): Promise<() => Promise<void>> => {
      const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const holding = inbox.app.deps.db.transaction(async (tx) => {
        await tx.query("select from eventlog_partition for update");
        locked.resolve();
        await released.promise;
      });
      await locked.promise;
      return () => {
        released.resolve();
        return holding;
      };
    },
    send: async (body: WebhookBody) => {
      const startedAt = performance.now();
      const reply = await client({ path: "/api/v1/webhook", headers, body: JSON.stringify(body) });
      const outcome = reply.status === 202 ? "accepted" : (JSON.parse(reply.text) as Problem).code;
      return { ...reply, body, outcome, tookMs: performance.now() - startedAt };
    },
  };
}

test("while the log is stalled requests beyond the queue are refused at once, the others in time, and none is lost", async (t) => {
  const { admin, app, dialogs, request, send, stall } = await openStallable(t);
  const before = await Promise.all(Array.from({ length: 20 }, () => send(webhook())));
  assert.ok(before.every(({ outcome }) => outcome === "accepted"));

  const release = await stall();
  const during = await Promise.all(Array.from({ length: queueEntries + 50 }, () => send(webhook())));
  const outcomes = Map.groupBy(during, ({ outcome }) => outcome);
  assert.deepEqual([...outcomes.keys()].sort(), ["overloaded", "unavailable"]);
  const [overloaded = [], unavailable = []] = [outcomes.get("overloaded"), outcomes.get("unavailable")];
  assert.equal(overloaded.length, 50);
  for (const { status, headers, tookMs } of overloaded) {
    assert.equal(status, 503);
    assert.equal(headers["retry-after"], "1");
    assert.ok(tookMs < appendTimeoutMs, `an overloaded server took ${tookMs} ms to say so`);
  }
  for (const { status, headers, tookMs } of unavailable) {
    assert.equal(status, 503);
    assert.equal(headers["retry-after"], "1");
    assert.ok(tookMs >= appendTimeoutMs && tookMs < 3 * appendTimeoutMs, `waited ${tookMs} ms`);
  }
  assert.equal((await request("GET", "/api/v1/dialogs", { key: admin })).status, 200, "reading goes on");
  await eventually("the server calls itself unready", async () => {
    const { status, text } = await request("GET", "/health/ready");
    return status === 503 && text.includes('"eventlog":{"ok":false');
  });
  await release();
  // Those that nobody waited for any more are written all the same; until then they take their places in the queue.
  await eventually("the queue is empty again", () => app.deps.eventlog.backlog().entries === 0);

  const bodies = during.map(({ body }) => body);
  const again = await inLanes(bodies.length, queueEntries / 2, (i) => send(bodies[i] ?? webhook()));
  assert.deepEqual(new Set(again.map(({ outcome }) => outcome)), new Set(["accepted"]));
  await app.drain();
  const expected = [...before, ...during].map(({ body }) => body.external_client_id);
  const found = await dialogs();
  assert.deepEqual(found.map(({ contact }) => contact.external_client_id).sort(), expected.sort());
  assert.ok(found.every(({ messages_count }) => messages_count === 1));
  await eventually(
    "the server is ready again",
    async () => (await request("GET", "/health/ready")).status === 200,
  );
});

test("a stall that ends in time is noticed by nobody, and copies sent during it are one message", async (t) => {
  const { app, dialogs, send, stall } = await openStallable(t);
  const release = await stall();
  const sent = Array.from({ length: 30 }, () => webhook());
  const replies = Promise.all([...sent, ...sent, ...sent].map(send));
  await eventually("they wait in the queue", () => app.deps.eventlog.backlog().entries === 30);
  await release();
  for (const { outcome } of await replies) assert.equal(outcome, "accepted");
  await app.drain();
  assert.equal(app.deps.eventlog.backlog().entries, 0);
  const found = await dialogs();
  assert.equal(found.length, 30);
  assert.ok(found.every(({ messages_count }) => messages_count === 1));
});
