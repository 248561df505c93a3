import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsumerGroupList } from "../protocol/operations.ts";
import { startTestApp } from "../test/app.ts";
import { eventually } from "../test/harness.ts";
import { createEndedSessions } from "./access/ended-sessions.ts";
import { followEndedSessions } from "./access/follow-ended-sessions.ts";
import type { Deps } from "./deps.ts";
import { parkMany, topicsIn } from "./eventlog/consumer.fixture.ts";
import { ensureGroup } from "./eventlog/leases.ts";
import { parkedMax } from "./eventlog/parking.ts";
import type { Db } from "./lib/db.ts";
import { startHttpRoles } from "./roles-http.ts";

/** A server beside a group that nobody works on. */
async function open(t: { after(callback: () => Promise<void>): void }) {
  const { app, request, key, metricsUrl } = await withMetrics(t);
  const { db } = app.deps;
  await ensureGroup(
    db,
    "tally",
    Array.from({ length: 16 }, () => 0),
  );
  const admin = await key(["stats:read"]);
  return {
    db,
    ready: async () => {
      const { status, text } = await request("GET", "/health/ready");
      const { checks } = JSON.parse(text) as { checks: { consumers: Record<string, unknown> } };
      return { status, consumers: checks.consumers };
    },
    stopped: async () => {
      const { groups } = (await request("GET", "/api/v1/consumers", { key: admin })).as(ConsumerGroupList);
      const tally = groups.find(({ group }) => group === "tally");
      return tally?.partitions.filter(({ stopped }) => stopped !== null) ?? [];
    },
    stats: async () => {
      const { text } = await request("GET", "/stats", { key: admin });
      return (JSON.parse(text) as { groups: { tally: Record<string, unknown> } }).groups.tally;
    },
    metrics: async () => (await fetch(metricsUrl)).text(),
  };
}

async function withMetrics(t: { after(callback: () => Promise<void>): void }) {
  const server = await startTestApp(t);
  return { ...server, metricsUrl: `http://127.0.0.1:${server.app.metricsPort}/metrics` };
}

test("a group that retention has outrun is told everywhere, and nobody calls himself ready", async (t) => {
  const { db, ready, stopped, stats, metrics } = await open(t);
  assert.equal((await ready()).status, 200);
  await db.query("update eventlog_segment set first_offset = 8 where part = 3");
  await db.query("update eventlog_partition set next_offset = 8 where part = 3");
  await db.query("update eventlog_group set checkpoint = 7 where group_name <> 'tally' and part = 3");
  await eventually("unready", async () => (await ready()).status === 503);
  assert.equal((await ready()).consumers["expired_partitions"], 1);
  assert.deepEqual(
    (await stopped()).map(({ partition, stopped, lag_entries }) => [partition, stopped, lag_entries]),
    [[3, "expired", 7]],
  );
  assert.equal((await stats())["expired_partitions"], 1);
  const page = await metrics();
  assert.match(page, /^eventlog_partition_stopped\{group="tally",partition="3",reason="expired"\} 1$/m);
  assert.match(page, /^eventlog_partition_lag_entries\{group="tally",partition="3"\} 7$/m);
});

test("a partition that is full is told everywhere, and everybody stays ready", async (t) => {
  const { db, ready, stopped, stats, metrics } = await open(t);
  const [topic = ""] = topicsIn(3, 1);
  await parkMany(db, { group: "tally", topic, state: "parked", count: parkedMax });
  await db.query("update eventlog_partition set next_offset = 2 where part = 3");
  await db.query("update eventlog_group set checkpoint = 1 where group_name <> 'tally' and part = 3");
  await db.query(
    `insert into eventlog_entry (segment, part, entry_offset, id, topic, type, time, actor, data)
     values (1, 3, 1, gen_random_uuid(), $1, 'test.happened', now() - interval '1 hour', 'system', '1')`,
    [topic],
  );
  await eventually("told", async () => (await ready()).consumers["full_partitions"] === 1);
  assert.equal((await ready()).status, 200);
  const [state] = await stopped();
  assert.deepEqual([state?.partition, state?.stopped], [3, "full"]);
  assert.ok((state?.lag_seconds ?? 0) >= 3_600);
  assert.equal((await stats())["full_partitions"], 1);
  assert.match(
    await metrics(),
    /^eventlog_partition_stopped\{group="tally",partition="3",reason="full"\} 1$/m,
  );
});

test("nobody is let in before it is known whose sign-ins have ended", async (t) => {
  const { app } = await startTestApp(t);
  const config = { ...app.deps.config, roles: ["api"] as const };
  const { db, clock, log, access } = app.deps;
  const answer = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const over: Pick<Db, "query"> = {
    query: async (...args) => {
      asked.resolve();
      await answer.promise;
      return db.query(...args);
    },
  };
  const start = (question: Pick<Db, "query">) => {
    const ended = createEndedSessions(clock);
    const follower = followEndedSessions({ db: question, clock, log, ended });
    const endedSessions: Deps["access"]["endedSessions"] = {
      ...follower,
      ended: (...end) => ended.ended(...end),
    };
    return startHttpRoles({ ...app.deps, config, access: { ...access, endedSessions } }, []);
  };
  let listens = false;
  const waiting = start(over).then((role) => {
    listens = true;
    return role;
  });
  t.after(async () => (await waiting).stop());
  await asked.promise;
  const other = await start(db);
  await other.stop();
  assert.equal(listens, false, "one that was answered has meanwhile come and gone");
  answer.resolve();
  assert.ok(((await waiting).api?.port ?? 0) > 0);
});

test("the server's own address leads a browser to the page of the API", async (t) => {
  const { url } = await startTestApp(t);
  const first = await fetch(url, { headers: { accept: "text/html" }, redirect: "manual" });
  assert.deepEqual([first.status, first.headers.get("location")], [302, "/docs"]);
  const page = await fetch(url, { headers: { accept: "text/html" } });
  assert.equal(page.status, 200);
  assert.match(await page.text(), /Tidings API/);
});
