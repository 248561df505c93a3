import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { type Started, main, pressCtrlC, start, tidings } from "./process.fixture.ts";

/** A data directory that is not there yet, in a place that every user may enter; free ports. */
function newPlace(t: TestContext): { readonly dataDir: string; readonly env: Record<string, string> } {
  const parent = fs.mkdtempSync(path.join(os.tmpdir(), "tidings-first-"));
  fs.chmodSync(parent, 0o755);
  t.after(() => fs.rmSync(parent, { recursive: true, force: true }));
  const dataDir = path.join(parent, "data");
  return { dataDir, env: { DATA_DIR: dataDir, PORT: "0", METRICS_PORT: "0", LOG_LEVEL: "warn" } };
}

function serve(t: TestContext, env: Record<string, string>): Started {
  const started = start(process.execPath, [main, "serve"], { env });
  // Only a test that failed leaves it running.
  t.after(() => void started.child.kill("SIGKILL"));
  return started;
}

for (const step of [
  "starting the database",
  "creating the database cluster",
  "starting PostgreSQL",
  "migrating",
  "opening the log",
]) {
  test(`Ctrl-C while the first start is at "${step}" ends it with 0, without a key and without a complaint`, async (t) => {
    const { dataDir, env } = newPlace(t);
    const first = serve(t, env);
    await first.told(step);
    pressCtrlC(first);
    const { code, err } = await first.ended;
    assert.equal(code, 0, err);
    assert.match(err, /stopping… press Ctrl-C again/);
    assert.match(err, /\nstopped\n$/);
    assert.doesNotMatch(err, /failed|FATAL|ready|key|accepted/);
    assert.deepEqual(
      fs.existsSync(dataDir) ? fs.readdirSync(dataDir).filter((name) => name.includes(".new-")) : [],
      [],
    );
    assert.ok(!fs.existsSync(path.join(dataDir, "development-key")));
  });
}

test("a first start after one that was given up shows the key, once, and verbs find its database", async (t) => {
  const { env } = newPlace(t);
  const given = serve(t, env);
  await given.told("starting PostgreSQL");
  pressCtrlC(given);
  await given.ended;

  const first = serve(t, env);
  await first.told("/api/v1/dialogs");
  const keys = await tidings(["key", "list", "--json"], env);
  assert.equal((JSON.parse(keys.out) as unknown[]).length, 1);
  pressCtrlC(first);
  const { code, err } = await first.ended;
  assert.equal(code, 0);
  assert.match(err, /shown this once/);
  assert.match(err, /stopping: finishing what was accepted…/);

  const second = serve(t, env);
  await second.told("is ready");
  await second.told("development-key");
  pressCtrlC(second);
  assert.doesNotMatch((await second.ended).err, /shown this once|tdk_/);
});

test("a verb makes no database where there is none, and says which directory it looked at", async (t) => {
  const { dataDir, env } = newPlace(t);
  for (const args of [
    ["key", "list"],
    ["dead", "drop", "5"],
    ["source", "create", "shop"],
    ["consumer", "list"],
  ]) {
    const { code, err } = await tidings(args, env);
    assert.equal(code, 1);
    assert.match(
      err,
      new RegExp(`^There is no database in ${dataDir}: start the server first, [^\\n]*--data-dir[^\\n]*\\n$`),
    );
    assert.ok(!fs.existsSync(dataDir));
  }
  const migrated = await tidings(["migrate"], env);
  assert.equal(migrated.code, 0, migrated.err);
  assert.equal((await tidings(["key", "list", "--json"], env)).out, "[]\n");

  const refused = await tidings(["source", "create", "Bad!"], env);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /^NAME must be 1 to 64 lower-case letters[^\n]*\n$/);
  const unknown = await tidings(["dead", "drop", "5"], env);
  assert.equal(unknown.err, "There is no dead letter 5\n");
});
