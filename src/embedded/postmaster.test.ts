import assert from "node:assert/strict";
import { test } from "node:test";
import { leashHolder } from "./leash.ts";
import { parsePostmasterFile, runsCluster } from "./postmaster.ts";

test("a lock file gives process and status, also while PostgreSQL is still writing it", () => {
  const whole = "42\n/d/postgres\n1700000000\n5432\n/d/run\n\n  9996631        20\nready   \n";
  assert.deepEqual(parsePostmasterFile(whole), { pid: 42, status: "ready" });
  assert.deepEqual(parsePostmasterFile("42\n/d/postgres\n"), { pid: 42, status: "" });
  assert.equal(parsePostmasterFile(""), undefined);
});

test("a postmaster is known by its whole data directory, and not mistaken for its leash", () => {
  assert.ok(runsCluster("/n/bin/postgres -D /d/postgres -c port=5432", "/d/postgres"));
  assert.ok(runsCluster("/n/bin/postgres -D /d/postgres", "/d/postgres"));
  assert.ok(!runsCluster("/n/bin/postgres -D /d/postgres2", "/d/postgres"));
  assert.ok(!runsCluster("/bin/sh -c … tidings-leash 7 /n/bin/postgres -D /d/postgres", "/d/postgres"));
  assert.ok(!runsCluster("postgres: checkpointer", "/d/postgres"));
});

test("a leash names the process that holds it", () => {
  assert.equal(leashHolder("/bin/sh -c trap\nexit tidings-leash 4711 /n/bin/postgres -D /d"), 4711);
  assert.equal(leashHolder("/bin/sh -c tidings-leash"), undefined);
  assert.equal(leashHolder("node src/main.ts serve"), undefined);
});
