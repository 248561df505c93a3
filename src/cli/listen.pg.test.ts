import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, after, test } from "node:test";
import { startTestApp } from "../../test/app.ts";
import { eventually } from "../../test/harness.ts";
import { type Started, main, start, tidings } from "./process.fixture.ts";

/** The command itself, beside a real server on a database of its own. */

const server = await startTestApp({ after });
const { config, db, access } = server.app.deps;
const { address } = db;
/** What a verb of the server's own machine is started with. */
const environment = {
  DATABASE_URL: `postgres://${address.user}@socket/${address.database}?host=${encodeURIComponent(address.host)}`,
  DATA_DIR: config.dataDir,
};

let people = 0;
async function newPerson(): Promise<{ readonly id: number; readonly login: string }> {
  const login = `hearer-${++people}`;
  const { rows } = await db.query<{ id: number }>(
    "insert into account_user (username, name) values ($1, $1) returning id",
    [login],
  );
  return { id: rows[0]?.id ?? 0, login };
}

async function tell(id: number, message: string, source = "ops"): Promise<void> {
  const json = { target: [{ id }], message, source };
  const key = await server.key(["notify:write"]);
  assert.equal((await server.request("POST", "/api/v1/notify", { key, json })).status, 202);
}

async function unreadOf(id: number): Promise<number> {
  const { rows } = await db.query<{ n: number }>(
    "select count(*)::int as n from notification where user_id = $1 and state in ('unread', 'seen')",
    [id],
  );
  return rows[0]?.n ?? -1;
}

async function sessionsOf(id: number): Promise<{ readonly good: number; readonly ended: number }> {
  const { rows } = await db.query<{ good: number; ended: number }>(
    `select count(*) filter (where ended_at is null)::int as good, count(ended_at)::int as ended
       from account_session where user_id = $1`,
    [id],
  );
  return rows[0] ?? { good: -1, ended: -1 };
}

function listen(t: TestContext, args: readonly string[], env: Record<string, string> = environment): Started {
  const listener = start(process.execPath, [main, "listen", "--url", server.url, ...args], {
    env,
    input: true,
  });
  // Only a test that failed leaves it running.
  t.after(() => void listener.child.kill("SIGKILL"));
  return listener;
}

test("listen shows what a person is told, marks as read what Enter says, and signs out at Ctrl-C, with 0", async (t) => {
  const { id, login } = await newPerson();
  await tell(id, "while away");
  const listener = listen(t, ["--user", String(id), "--login", login]);
  await listener.printed("new   while away  ops, ");
  await tell(id, "while here\u001b[2J\r\nnew   forged", "shop");
  await listener.printed("new   while here\\u001b[2J new   forged  shop, ");
  assert.deepEqual([await unreadOf(id), await sessionsOf(id)], [2, { good: 1, ended: 0 }]);
  listener.type("");
  await listener.printed("read  while away");
  assert.equal(await unreadOf(id), 1);
  listener.child.kill("SIGINT");
  const { code, out, err } = await listener.ended;
  assert.deepEqual([code, out.match(/^new/gm)?.length], [0, 2], err);
  assert.deepEqual(err.trim().split("\n").slice(0, 1), [
    `Listening at ${server.url}. Enter marks the oldest unread one as read. Ctrl-C ends it.`,
  ]);
  assert.deepEqual(await sessionsOf(id), { good: 0, ended: 1 });
});

test("with --auto everything is read as it comes, and a listener that is ended by SIGTERM signs out, too", async (t) => {
  const { id } = await newPerson();
  const listener = listen(t, ["--user", String(id), "--auto"]);
  for (const n of [1, 2, 3]) await tell(id, `message ${n}`);
  await listener.printed("read  message", 3);
  await eventually("all are read", async () => (await unreadOf(id)) === 0);
  listener.child.kill("SIGTERM");
  assert.equal((await listener.ended).code, 0);
  assert.deepEqual(await sessionsOf(id), { good: 0, ended: 1 });
});

/** A way to the database that knows who takes it. */
async function openWay(t: TestContext) {
  let taken = 0;
  const open = new Set<net.Socket>();
  const way = net.createServer((socket) => {
    taken++;
    open.add(socket.on("close", () => open.delete(socket)).on("error", () => undefined));
    const onward = net.connect(path.join(address.host, `.s.PGSQL.${address.port}`));
    socket.pipe(onward.on("error", () => undefined)).pipe(socket);
  });
  await once(way.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    way.close();
  });
  const { port } = way.address() as net.AddressInfo;
  const url = `postgres://${address.user}@127.0.0.1:${port}/${address.database}`;
  return { url, taken: () => taken, open: () => open.size };
}

test("listen opens the database to sign in, and has closed it again when it hears something", async (t) => {
  const { id } = await newPerson();
  const way = await openWay(t);
  const listener = listen(t, ["--user", String(id)], { ...environment, DATABASE_URL: way.url });
  await tell(id, "Hello");
  await listener.printed("new   Hello");
  await eventually("nobody has the database open", () => way.open() === 0);
  const taken = way.taken();
  assert.ok(taken > 0);
  listener.child.kill("SIGINT");
  assert.equal((await listener.ended).code, 0);
  assert.deepEqual([way.taken(), await sessionsOf(id)], [taken, { good: 0, ended: 1 }]);
});

test("with a token, in an option or the environment, no database is looked for, and none is made", async (t) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "tidings-listen-"));
  t.after(() => fs.rmSync(home, { recursive: true, force: true }));
  const env = { DATA_DIR: path.join(home, "data"), DATABASE_URL: "postgres://me@127.0.0.1:1/nowhere" };
  const { id } = await newPerson();
  const signIn = await db.transaction((tx) => access.sessions.start(tx, id));
  const user = ["--user", String(id)];
  const shown = listen(t, [...user, "--token", signIn.accessToken], env);
  const kept = listen(t, user, { ...env, TIDINGS_TOKEN: signIn.refreshToken });
  await tell(id, "Hello");
  await Promise.all([shown.printed("new   Hello"), kept.printed("new   Hello")]);
  shown.child.kill("SIGINT");
  assert.equal((await shown.ended).code, 0);
  assert.deepEqual(await sessionsOf(id), { good: 1, ended: 0 }, "an access token is not signed out");
  kept.child.kill("SIGINT");
  assert.equal((await kept.ended).code, 0);
  assert.deepEqual(await sessionsOf(id), { good: 0, ended: 1 }, "a refresh token is: nobody has the newest");
  assert.deepEqual(fs.readdirSync(home), []);
});

test("what cannot be is told in one line, with 1, and 2 where the command line itself is wrong", async () => {
  const { id } = await newPerson();
  const other = await newPerson();
  const away = await newPerson();
  await db.query("update account_user set disabled_at = now() where id = $1", [away.id]);
  const run = (...args: readonly string[]) => tidings(["listen", "--url", server.url, ...args], environment);
  const [nobody, disabled, login, token, noToken, noUser, noUrl] = await Promise.all([
    run("--user", "999999"),
    run("--user", String(away.id)),
    run("--user", String(id), "--login", other.login),
    run("--user", String(id), "--token", "tdr_nothing"),
    run("--user", String(id), "--token", "no.such.token"),
    run("--auto"),
    tidings(["listen", "--user", "1", "--url", "nowhere"], environment),
  ]);
  const said = ({ code, err }: { code: number | null; err: string }) => [code, err.split("\n").slice(-2)];
  assert.deepEqual(said(nobody), [1, ["There is no person 999999", ""]]);
  assert.deepEqual(said(disabled), [1, ["This account is disabled: ask whoever runs this server", ""]]);
  assert.deepEqual(said(login), [
    1,
    [
      `${server.url} has closed the connection: the token says who you are, and it is not whom login names`,
      "",
    ],
  ]);
  assert.match(
    token.err,
    /\/api\/v1\/auth\/refresh: The refresh token is not valid any more: sign in again\n$/,
  );
  assert.match(noToken.err, /has closed the connection: The credential is neither an API key nor a JWT\n$/);
  assert.deepEqual([token.code, noToken.code], [1, 1]);
  assert.deepEqual([noUser.code, noUrl.code], [2, 2]);
  assert.deepEqual(await sessionsOf(id), { good: 0, ended: 1 }, "who is turned away is signed out as well");
});

test("somebody who is signed out by others hears why it ends, and nothing is tried again", async (t) => {
  const { id, login } = await newPerson();
  const listener = listen(t, ["--user", String(id)]);
  await tell(id, "Hello");
  await listener.printed("new   Hello");
  assert.equal((await tidings(["user", "disable", login], environment)).code, 0);
  const { code, err } = await listener.ended;
  assert.equal(code, 1, err);
  assert.match(err, /has closed the connection: The person signed out, or was signed out\n$/);
});
