import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "../lib/logger.ts";
import { type HealthCheck, createHealth } from "./health.ts";
import { statsRoute } from "./stats.ts";
import { startTestServer } from "./test-server.fixture.ts";
import { version } from "./version.ts";

const log = createLogger("silent");

function check(name: string, result: HealthCheck["check"]): HealthCheck {
  return { name, check: result };
}

test("ready shows each check with its figures, and is 503 when one fails", async () => {
  let ok = true;
  let nowMs = 1_000_000;
  const health = [
    check("database", async () => ({ ok, ms: 3 })),
    check("consumers", async () => ({ ok: true, detail: "up to date", lag: 0 })),
  ];
  await using server = await startTestServer({ health, clock: { now: () => nowMs } });
  const ready = await fetch(`${server.url}/health/ready`);
  assert.equal(ready.status, 200);
  assert.deepEqual(await ready.json(), {
    status: "ready",
    checks: { database: { ok: true, ms: 3 }, consumers: { ok: true, detail: "up to date", lag: 0 } },
  });
  ok = false;
  nowMs += 1_000;
  const unready = await fetch(`${server.url}/health/ready`);
  assert.equal(unready.status, 503);
  assert.equal(((await unready.json()) as { status: string }).status, "unready");
  assert.equal((await fetch(`${server.url}/health/live`)).status, 200);
});

test("the summary shows state, version and uptime", async () => {
  await using server = await startTestServer({ health: [check("database", async () => ({ ok: true }))] });
  const response = await fetch(`${server.url}/health`);
  assert.equal(response.status, 200);
  const { uptime_s, ...rest } = (await response.json()) as { uptime_s: number };
  assert.deepEqual(rest, { status: "ok", version, checks: { database: { ok: true } } });
  assert.ok(Number.isInteger(uptime_s));
});

test("what went wrong in a check is logged and not shown", async () => {
  const failing = () => Promise.reject(new Error("password of 10.0.0.5"));
  await using server = await startTestServer({ health: [check("database", failing)] });
  const response = await fetch(`${server.url}/health`);
  assert.equal(response.status, 503);
  const text = await response.text();
  assert.doesNotMatch(text, /10\.0\.0\.5/);
  assert.match(text, /"database":\{"ok":false,"detail":"failed"\}/);
  assert.ok(server.logged.some(({ msg, level }) => msg === "health check failed" && level === "warn"));
});

test("however many ask, a check runs once and again only after a second", async () => {
  let nowMs = 1_000_000;
  let runs = 0;
  const counted = check("counted", async () => {
    runs++;
    return { ok: true };
  });
  const health = createHealth([counted], { clock: { now: () => nowMs }, log });
  await Promise.all(Array.from({ length: 100 }, () => health.results()));
  nowMs += 999;
  await health.results();
  assert.equal(runs, 1);
  nowMs += 1;
  await health.results();
  assert.equal(runs, 2);
});

test("a check that hangs fails in time and is not started again on top of itself", async () => {
  let nowMs = 1_000_000;
  let runs = 0;
  const stuck = Promise.withResolvers<{ ok: boolean }>();
  const hanging = check("hanging", () => {
    runs++;
    return stuck.promise;
  });
  const health = createHealth([hanging], { clock: { now: () => nowMs }, log, timeoutMs: 10 });
  const late = { ok: false, checks: { hanging: { ok: false, detail: "no answer in 10 ms" } } };
  assert.deepEqual(await health.results(), late);
  nowMs += 5_000;
  assert.deepEqual(await health.results(), late);
  assert.equal(runs, 1);
  stuck.resolve({ ok: true });
  await stuck.promise;
  nowMs += 5_000;
  assert.deepEqual(await health.results(), { ok: true, checks: { hanging: { ok: true } } });
});

test("statistics need their scope and are asked for anew each time", async () => {
  let asked = 0;
  const stats = statsRoute(async () => ({ asked: ++asked, inner: { list: [1] } }));
  await using server = await startTestServer({ routes: [stats] });
  assert.equal((await fetch(`${server.url}/stats`)).status, 401);
  const headers = { "x-api-key": "scopes:stats:read" };
  await fetch(`${server.url}/stats`, { headers });
  const response = await fetch(`${server.url}/stats`, { headers });
  assert.deepEqual(await response.json(), { asked: 2, inner: { list: [1] } });
});
