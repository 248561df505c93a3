import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { createTestDatabase, testLog } from "../../test/harness.ts";
import { openBackstage } from "../backstage.ts";
import { readConfig } from "../config.ts";
import { entriesOf } from "../access/sessions.fixture.ts";
import { parseVerbArgs } from "./args.ts";
import type { VerbContext } from "./context.ts";
import { findVerb } from "./find-verb.ts";
import { recordStream } from "./recording.fixture.ts";
import { loadSettings } from "./settings.ts";
import { createTerminal } from "./terminal.ts";
import { verbs } from "./verbs.ts";

const databaseUrl = await createTestDatabase();
const config = { ...readConfig({ JWT_SECRET: "a secret of the tests of the command line" }), databaseUrl };
const open = () => openBackstage(config, { log: testLog, mayCreate: false, mayStart: true });

/** Runs a command line on the file's database. */
async function run(line: string) {
  const [stdout, stderr] = [recordStream(), recordStream()];
  const unused = (): never => assert.fail("not needed");
  const context: VerbContext = {
    terminal: createTerminal({ stdout, stderr, env: {} }),
    environment: {},
    readConfig: unused,
    openBackstage: open,
    dataDirOf: unused,
    startApp: unused,
  };
  const found = findVerb(verbs, line.split(" "));
  assert.ok(found.kind === "verb");
  const { args } = parseVerbArgs(found.verb, found.rest, await loadSettings());
  await found.verb.run(context, args);
  return { out: stdout.text(), words: stderr.text() };
}

/** What it takes to sign in: whether the password is right, and what a sign-in would be. */
async function tryPassword(username: string, password: string) {
  await using backstage = await open();
  const { access, db } = backstage.deps;
  const { rows } = await db.query<{ id: number; password_hash: string }>(
    "select id, password_hash from account_user where username = $1",
    [username],
  );
  const { id = 0, password_hash: stored } = rows[0] ?? {};
  if (!(await access.passwords.verify(password, stored))) return "wrong";
  return db
    .transaction((tx) => access.sessions.start(tx, id))
    .then(
      ({ user }) => user.role,
      (error: unknown) => String(error),
    );
}

test("the first person is made with a password that is printed once, alone on standard output", async () => {
  assert.match((await run("user list")).words, /nobody yet: npx tidings user create/);
  const { out, words } = await run("user create root --email root@example.com --name Boss --role admin");
  assert.match(out, /^[A-Za-z0-9_-]{24}\n$/);
  assert.match(words, /Person \d+ "root" \(admin\); their password, shown this once:/);
  assert.equal(await tryPassword("root", out.trim()), "admin");
});

test("a password may come from a file, and is then not printed", async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-cli-"));
  t.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, "password");
  await writeFile(file, "correct horse\n");
  const { out, words } = await run(`user create ann --email ann@example.com --password-file ${file}`);
  assert.match(out, /^Person \d+ "ann" \(user\) is there\.\n$/);
  assert.equal(words, "");
  assert.equal(await tryPassword("ann", "correct horse"), "user");
  await writeFile(file, "another horse\n");
  assert.match((await run(`user password ann --password-file ${file}`)).out, /"ann" has another password/);
  assert.equal(await tryPassword("ann", "another horse"), "user");
  await writeFile(file, "short");
  const create = `user create bob --email bob@example.com --password-file ${file}`;
  await assert.rejects(run(create), /8 to 256 characters/);
  await assert.rejects(run(`${create}.not`), /--password-file cannot be read/);
});

test("what no person can be called, have or be is refused before anything is opened", async () => {
  const create = (rest: string) => run(`user create ${rest}`);
  await assert.rejects(create("Ann --email a@b.c"), /2 to 32 lower-case letters/);
  await assert.rejects(create("eve --email nonsense"), /must be an e-mail address/);
  await assert.rejects(create("eve --email a@b.c --role owner"), /one of user, moderator, admin/);
  await assert.rejects(create(`eve --email a@b.c --name ${"x".repeat(65)}`), /1 to 64 characters/);
  await assert.rejects(create("eve"), /needs --email/);
  await assert.rejects(create("root --email other@example.com"), /username belongs to somebody else/);
});

test("people are listed in pages, and as JSON", async () => {
  const { out, words } = await run("user list --limit 1");
  assert.match(out, /username {2}email {13}name {2}role {3}state {3}created/);
  assert.match(out, /root {6}root@example\.com {2}Boss {2}admin {2}active {2}20/);
  const [, after = ""] = /--limit 1 --after (\d+)/.exec(words) ?? [];
  const page = JSON.parse((await run(`user list --after ${after} --json`)).out) as Record<string, unknown>[];
  assert.deepEqual(
    page.map(({ username, disabled_at: disabledAt }) => [username, disabledAt]),
    [["ann", null]],
  );
  await assert.rejects(run("user list --limit 10001"), /from 1 to 10000/);
});

test("a disabled person cannot sign in until enabled, and another role takes sign-ins with it", async () => {
  const password = (await run("user password ann")).out.trim();
  assert.match((await run("user disable ann")).out, /"ann" is disabled/);
  assert.match(await tryPassword("ann", password), /disabled/);
  assert.match((await run("user list")).out, /ann .*disabled/);
  assert.match((await run("user enable ann")).out, /"ann" is enabled/);
  assert.equal(await tryPassword("ann", password), "user");
  assert.match((await run("user role ann moderator")).out, /"ann" is moderator now/);
  assert.equal(await tryPassword("ann", password), "moderator");
  for (const line of [
    "disable nobody",
    "enable nobody",
    "role nobody admin",
    "password nobody",
    "disable a@b.c",
  ]) {
    await assert.rejects(run(`user ${line}`), /there is nobody called/, line);
  }
  await assert.rejects(run("user role ann owner"), /ROLE must be one of/);

  await using backstage = await open();
  const { rows } = await backstage.deps.db.query<{ id: number }>(
    "select id from account_user where username = 'ann'",
  );
  const entries = await entriesOf(backstage.deps.eventlog, `user/${rows[0]?.id}`);
  assert.deepEqual(
    entries
      .slice(-4)
      .map(({ type, actor, data }) => [type, actor, (JSON.parse(data) as { reason?: string }).reason]),
    [
      ["session.ended", "system", "password"],
      ["session.ended", "system", "disabled"],
      ["session.ended", "system", "admin"],
      ["account.changed", "system", undefined],
    ],
  );
});
