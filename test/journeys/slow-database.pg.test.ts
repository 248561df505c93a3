import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Db } from "../../src/lib/db.ts";
import { openInbox, signatures, webhook } from "./inbox.ts";

const inbox = await openInbox({ after });
const { db } = inbox.app.deps;

/** Makes every question about a table wait, as a hanging database would; resolves with what ends it. */
async function stall(database: Db, table: "inbox_source" | "access_api_key"): Promise<() => Promise<void>> {
  const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = database.transaction(async (tx) => {
    await tx.query(`lock table ${table} in access exclusive mode`);
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  return () => {
    released.resolve();
    return holding;
  };
}

/** Posts a webhook; resolves with what became of it and how long it took. */
async function timed(path: string, headersFor: (body: string) => Record<string, string>) {
  const body = JSON.stringify(webhook());
  const startedAt = performance.now();
  const answer = await inbox.request("POST", path, { body, headers: headersFor(body) });
  const outcome = answer.status === 202 ? "accepted" : `${answer.status} ${answer.problem().code}`;
  return { outcome, tookMs: performance.now() - startedAt };
}

test("while sources cannot be looked up, known ones send on, and the others are refused within five seconds", async () => {
  const known = await inbox.addSource("hub");
  const cold = await inbox.addSource("hub");
  const bySource = ({ name, secret }: typeof known) =>
    timed(`/api/v1/webhook?source=${name}`, (body) => signatures.hub(secret, body));
  assert.equal((await bySource(known)).outcome, "accepted");

  const release = await stall(db, "inbox_source");
  const refused = Array.from({ length: 20 }, () => bySource(cold));
  const until = performance.now() + 3_000;
  let slowestMs = 0;
  while (performance.now() < until) {
    const { outcome, tookMs } = await bySource(known);
    assert.equal(outcome, "accepted");
    slowestMs = Math.max(slowestMs, tookMs);
  }
  assert.ok(slowestMs < 1_000, `a known source waited ${slowestMs} ms`);
  for (const { outcome, tookMs } of await Promise.all(refused)) {
    assert.equal(outcome, "503 unavailable");
    assert.ok(tookMs < 5_000, `an unknown source waited ${tookMs} ms`);
  }
  await release();
  assert.equal((await bySource(cold)).outcome, "accepted");
});

test("while keys cannot be looked up, who sends one is refused within five seconds", async () => {
  const { secret } = await inbox.addSource("api_key");
  const byKey = () => timed("/api/v1/webhook", () => ({ authorization: `Bearer ${secret}` }));
  const release = await stall(db, "access_api_key");
  for (const { outcome, tookMs } of await Promise.all([byKey(), byKey()])) {
    assert.equal(outcome, "503 unavailable");
    assert.ok(tookMs < 5_000, `waited ${tookMs} ms`);
  }
  await release();
  assert.equal((await byKey()).outcome, "accepted");
});
