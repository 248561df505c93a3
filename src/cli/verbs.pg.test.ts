import assert from "node:assert/strict";
import { after, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { startTestApp } from "../../test/app.ts";
import { ensureGroup } from "../eventlog/leases.ts";
import { runCli } from "./cli.ts";
import { recordStream } from "./recording.fixture.ts";

/** What the verbs do to a database: whole command lines, beside a server that works on nothing. */

const server = await startTestApp({ after }, { ROLES: "api" });
const { config, db, eventlog, access } = server.app.deps;
const address = db.address;
const environment = {
  DATABASE_URL: `postgres://${address.user}@socket/${address.database}?host=${encodeURIComponent(address.host)}`,
  DATA_DIR: config.dataDir,
  LOG_LEVEL: "silent",
};

async function tidings(line: string, ...more: readonly string[]) {
  const [stdout, stderr] = [recordStream(), recordStream()];
  const code = await runCli([...line.split(" "), ...more], {
    stdout,
    stderr,
    environment,
    directory: config.dataDir,
  });
  return { code, out: stdout.text(), err: stderr.text() };
}

/** Puts dead letters into the retry stage, one in each of these groups. */
async function killEntries(...groups: readonly string[]): Promise<readonly number[]> {
  const { rows } = await db.query<{ id: number }>(
    `insert into eventlog_parked (group_name, part, entry_offset, entry_id, topic, type, time, actor, data, state)
     select g, 0, coalesce((select max(entry_offset) from eventlog_parked), 0) + n, gen_random_uuid(), 'room/' || n, 'test.thing',
            now(), 'system', '{}', 'dead'
       from unnest($1::text[]) with ordinality i(g, n) order by n returning id`,
    [groups],
  );
  return rows.map(({ id }) => id);
}

async function stateOf(ids: readonly number[]): Promise<readonly (string | undefined)[]> {
  const { rows } = await db.query<{ id: number; state: string }>(
    "select id, state from eventlog_parked where id = any($1::bigint[])",
    [ids],
  );
  const states = new Map(rows.map(({ id, state }) => [id, state]));
  return ids.map((id) => states.get(id));
}

test("dead letters are retried of one group, one by one, or all", async () => {
  const ids = await killEntries("one", "one", "other", "other");
  const all = await tidings("dead retry --all --group one");
  assert.deepEqual([all.code, all.out], [0, "2 entries are tried again.\n"], all.err);
  assert.deepEqual(await stateOf(ids), ["parked", "parked", "dead", "dead"]);
  assert.equal((await tidings(`dead retry ${ids[2]}`)).out, "1 entry is tried again.\n");
  assert.deepEqual(await stateOf(ids), ["parked", "parked", "parked", "dead"]);
  await tidings("dead retry --all");
  assert.deepEqual(await stateOf(ids), ["parked", "parked", "parked", "parked"]);
});

test("exactly the dead letter that is named is dropped, and one that is not there is told", async () => {
  const ids = await killEntries("drop", "drop", "drop");
  assert.equal((await tidings(`dead drop ${ids[1]}`)).code, 0);
  assert.deepEqual(await stateOf(ids), ["dead", undefined, "dead"]);
  const again = await tidings(`dead drop ${ids[1]}`);
  assert.deepEqual([again.code, again.err], [1, `There is no dead letter ${ids[1]}\n`]);
  assert.equal((await tidings("dead list --group nobody")).code, 1);
});

test("a group reads the log again from its first entry, or goes on at its end", async () => {
  await ensureGroup(db, "inbox", await eventlog.tails());
  await tidings("source create teller");
  const key = await server.key(["webhook:write"], (await access.apiKeys.list())[0]?.sourceId);
  for (const n of [1, 2, 3]) {
    const json = {
      external_message_id: String(n).padStart(32, "0"),
      external_client_id: "f".repeat(32),
      client_phone: "+79194961182",
      message_text: "Hello",
      send_at: 1_640_995_200,
    };
    assert.equal((await server.request("POST", "/api/v1/webhook", { key, json })).status, 202);
  }
  const lag = async (): Promise<number | undefined> => {
    const groups = JSON.parse((await tidings("consumer list --json")).out) as { lag_entries: number }[];
    return groups[0]?.lag_entries;
  };
  assert.equal(await lag(), 3);
  assert.equal((await tidings("consumer replay inbox --from head")).code, 0);
  assert.equal(await lag(), 0);
  assert.equal((await tidings("consumer replay inbox --from first")).code, 0);
  assert.equal(await lag(), 3);
});

test("source rotate names every key that it ends, whoever made it, and when", async () => {
  await tidings("source create till");
  const own = (await access.apiKeys.list()).find(({ name }) => name === "source till");
  const handedOut = await tidings("key create cashier --scopes webhook:write --source till");
  const reader = await tidings("key create reader --scopes webhook:write,inbox:read --source till");
  const rotated = await tidings("source rotate till --grace 3600");
  const moment = "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC";
  assert.match(rotated.err, new RegExp(`; keys \\d+ "source till", \\d+ "cashier" end at ${moment}:\\n$`));
  assert.ok(rotated.err.includes(`keys ${own?.id} "source till"`), rotated.err);
  for (const { out } of [handedOut, reader, rotated]) {
    assert.ok(await access.apiKeys.verify(out.trim()), "good for an hour more, or not ended at all");
  }
  const now = await tidings("source rotate till --now");
  assert.match(now.err, / end within two seconds:\n$/);
});

test("notify tells one person or everybody, without naming anybody then, and not both", async () => {
  for (const line of ["notify --message hi", "notify --message hi --user 1 --everyone"])
    assert.match((await tidings(line)).err, /--user ID, or --everyone/);
  assert.match((await tidings("notify --message hi --everyone --login ann")).err, /--everyone names nobody/);
  const { code, out } = await tidings("notify --message hi --everyone --count 2 --ttl 60");
  assert.match(out, /^[0-9a-f-]{36} {2}hi #1\n[0-9a-f-]{36} {2}hi #2\n$/);
  const { rows } = await db.query<{ id: string }>("select id from notification_broadcast order by version");
  assert.deepEqual([code, rows.map(({ id }) => id)], [0, out.match(/^\S{36}/gm)]);
});

/** Somebody, and how they wish to be told. */
async function newPerson(login: string, wishes: object = {}): Promise<number> {
  const { rows } = await db.query<{ id: number }>(
    "insert into account_user (username, name) values ($1, $1) returning id",
    [login],
  );
  const id = rows[0]?.id ?? 0;
  const { accessToken: key } = await db.transaction((tx) => access.sessions.start(tx, id));
  const answer = await server.request("PUT", "/api/v1/notifications/preferences", { key, json: wishes });
  assert.equal(answer.status, 200, answer.text);
  return id;
}

async function toldTo(id: number) {
  const { rows } = await db.query<{ id: string; message: string; source: string; category: string }>(
    "select id, message, source, category from notification where user_id = $1 order by stream_ms, stream_n",
    [id],
  );
  return rows;
}

const line = (text: string): RegExp => new RegExp(`^[0-9a-f-]{36} {2}${text}$`);

test("notify tells one person as often as is wanted, and each of them is told apart by its number", async () => {
  const id = await newPerson("one");
  const many = await tidings(`notify --user ${id} --login one --message hi --count 5 --source ops`);
  const told = await toldTo(id);
  assert.deepEqual([many.code, many.out], [0, told.map((one) => `${one.id}  ${one.message}\n`).join("")]);
  assert.deepEqual(
    told.map(({ message, source }) => [message, source]),
    [1, 2, 3, 4, 5].map((n) => [`hi #${n}`, "ops"]),
  );
  const once = await tidings(`notify --user ${id} --json --message`, "Hello\u001b[2J\nyou");
  const last = (await toldTo(id)).at(-1);
  assert.deepEqual(JSON.parse(once.out), [{ target: { id, login: "one" }, notification_id: last?.id }]);
  assert.deepEqual([last?.message, last?.source], ["Hello\u001b[2J\nyou", "cli"]);
  const shown = await tidings(`notify --user ${id} --message`, "Hello\u001b[2J\nyou");
  assert.match(shown.out.trimEnd(), line("Hello\\\\u001b\\[2J you"));
});

test("notify says who cannot be told and why, with 1: the command line is not to blame", async () => {
  const id = await newPerson("two", { muted_until: new Date(Date.now() + 3_600_000).toISOString() });
  for (const [options, why] of [
    ["--user 999999", "Person 999999 cannot be told: there is no person with this id"],
    [`--user ${id} --login one`, `Person ${id} cannot be told: the person with this id has another login`],
    [`--user ${id}`, `Person ${id} cannot be told: the person has muted notifications`],
    [`--user ${id} --json`, `Person ${id} cannot be told: the person has muted notifications`],
  ]) {
    const { code, out, err } = await tidings(`notify ${options} --message hi`);
    assert.deepEqual([code, out, err], [1, "", `${why}\n`]);
  }
  assert.deepEqual(await toldTo(id), []);
  const critical = await tidings(`notify --user ${id} --critical --message fire`);
  assert.deepEqual([critical.code, (await toldTo(id)).map(({ message }) => message)], [0, ["fire"]]);
});

test("notify says of what is held until when it is", async () => {
  const id = await newPerson("three", { categories: { news: { inbox: "digest" } } });
  const { code, out } = await tidings(`notify --user ${id} --category news --message hi`);
  const held = /^[0-9a-f-]{36} {2}hi {2}\(held until (\d{4}-\d\d-\d\dT[\d:.]+Z)\)\n$/.exec(out);
  assert.ok(code === 0 && Date.parse(held?.[1] ?? "") > Date.now(), out);
  assert.deepEqual(await toldTo(id), []);
});

test("of several notifications, those before the one that failed are told all the same, and shown", async () => {
  const id = await newPerson("four");
  await tidings(`notify --user ${id} --message first`);
  await db.query("update notification_person set unread = $2, stored = $2 where user_id = $1", [
    id,
    limits.notificationsPerPerson - 2,
  ]);
  const { code, out, err } = await tidings(`notify --user ${id} --message hi --count 5 --json`);
  const told = (await toldTo(id)).slice(1);
  assert.deepEqual([code, told.map(({ message }) => message)], [1, ["hi #1", "hi #2"]], err);
  assert.match(err, /cannot be told: 10000 notifications wait for this person already\n$/);
  const shown = JSON.parse(out) as { notification_id: string }[];
  assert.deepEqual(
    shown.map((one) => one.notification_id),
    told.map((one) => one.id),
  );
});

test("a message may be so long and not longer, with the number behind it", async () => {
  const id = await newPerson("five");
  const max = limits.messageTextLength;
  for (const [length, options, code] of [
    [max, "", 0],
    [max + 1, "", 2],
    [max - 3, " --count 2", 0],
    [max - 2, " --count 2", 2],
  ] as const) {
    const told = await tidings(`notify --user ${id}${options} --message`, "ж".repeat(length));
    assert.equal(told.code, code, `${length}${options}: ${told.err}`);
  }
  assert.equal((await tidings(`notify --user ${id} --message`, " ")).code, 2);
});

test("notify shows what everybody is told, and withdraws it by its id", async () => {
  const told = await tidings("notify --message bye --everyone --ttl 60 --category news");
  const [id = ""] = told.out.match(/^\S{36}/) ?? [];
  const { out } = await tidings("notify --list");
  assert.match(out, new RegExp(`^${id} .* UTC +news +bye$`, "m"));
  const json = async (): Promise<readonly string[]> =>
    (JSON.parse((await tidings("notify --list --json")).out) as { notification_id: string }[]).map(
      (one) => one.notification_id,
    );
  assert.ok((await json()).includes(id));
  assert.equal((await tidings(`notify --withdraw ${id}`)).out, `Broadcast ${id} is withdrawn.\n`);
  assert.ok(!(await json()).includes(id));
  const again = await tidings(`notify --withdraw ${id}`);
  assert.match(again.err, /it has ended, or never was/);
  for (const line of [
    "",
    "--list --message hi",
    `--list --withdraw ${id}`,
    "--list --user 1",
    "--withdraw 7",
  ])
    assert.equal((await tidings(`notify ${line}`.trim())).code, 2, line);
});

test("migrate says whether there was anything to do", async () => {
  assert.equal(
    (await tidings("migrate")).out,
    `The database "${address.database}" was up to date already.\n`,
  );
});
