import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { SourcePage } from "../../protocol/inbox.ts";
import * as operations from "../../protocol/operations.ts";
import type { ApiKey } from "../access/api-keys.ts";
import type { GroupState } from "../eventlog/consumer-admin.ts";
import type { DeadLetterDetail } from "../eventlog/dead-letters.ts";
import { parseVerbArgs } from "./args.ts";
import type { Backstage } from "../backstage.ts";
import { sourceView } from "../modules/inbox/sources.ts";
import type { VerbContext } from "./context.ts";
import { findVerb } from "./find-verb.ts";
import { recordStream } from "./recording.fixture.ts";
import { loadSettings } from "./settings.ts";
import { createTerminal } from "./terminal.ts";
import { verbs } from "./verbs.ts";

const nowMs = Date.parse("2026-03-01T12:00:00Z");
const source = { id: 4, name: "demo", scheme: "standard" as const, createdAt: new Date(nowMs) };
const key: ApiKey = {
  id: 3,
  name: "shop",
  hint: "tdk_abcdef",
  scopes: ["webhook:write"],
  sourceId: 4,
  createdAt: new Date(nowMs),
  expiresAt: undefined,
  revokedAt: undefined,
  lastUsedAt: undefined,
};
const figures = { lagEntries: 10, lagSeconds: 1.6, parked: 1, dead: 2 };
const group: GroupState = {
  group: "inbox",
  ...figures,
  owners: 1,
  partitions: [{ partition: 7, ...figures, stopped: "expired" }],
};
const letter: DeadLetterDetail = {
  id: 12,
  group: "inbox",
  entryId: "0190163d-8694-739b-aea5-966c26f8ad91",
  topic: "contact/4/x",
  type: "inbox.received",
  time: new Date(nowMs),
  attempts: 8,
  error: "no such \u001b[31mcontact",
  parkedAt: new Date(nowMs),
  waitingBehind: 2,
  data: '{"text":"hello","at":1640995200.0}',
};

/** Runs a command line against admin objects that record what they are asked; with `empty`, on an empty database. */
async function run(line: string, { empty = false } = {}) {
  const asked: unknown[] = [];
  let mayCreate: boolean | undefined;
  const stored = <T>(...rows: readonly T[]): readonly T[] => (empty ? [] : rows);
  const ask =
    <T>(name: string, answer: T) =>
    async (...given: unknown[]): Promise<T> => {
      asked.push([name, ...given]);
      return answer;
    };
  const backstage = {
    migrated: ["eventlog", "access"],
    deps: {
      clock: { now: () => nowMs },
      db: { address: { database: "tidings" } },
      access: {
        apiKeys: {
          create: ask("create", { key, secret: "tdk_secret" }),
          list: async () => stored(key, { ...key, id: 4, revokedAt: new Date(nowMs) }),
          revoke: async (id: number) => id === 3,
        },
      },
    },
    sources: {
      create: ask("create", { source, secret: "whsec_secret" }),
      list: async () => stored(source),
      rotate: ask("rotate", { source, secret: "whsec_new", endsAt: new Date(nowMs + 86_400_000) }),
      remove: async (name: string) => name === "demo",
    },
    deadLetters: {
      list: ask("list", { deadLetters: stored(letter), next: empty ? undefined : "11" }),
      show: ask("show", letter),
      retry: ask("retry", 5),
      drop: ask("drop", letter),
    },
    sourceView,
    consumers: {
      list: async () => stored(group),
      replay: ask("replay", undefined),
    },
    [Symbol.asyncDispose]: async () => void asked.push("disposed"),
    // Only what the verbs touch.
  } as unknown as Backstage;
  const [stdout, stderr] = [recordStream(), recordStream()];
  const context: VerbContext = {
    terminal: createTerminal({ stdout, stderr, env: {} }),
    environment: {},
    readConfig: () => Promise.reject(new Error("not needed")),
    openBackstage: async (options = {}) => {
      mayCreate = options.mayCreate;
      return backstage;
    },
    dataDirOf: () => Promise.reject(new Error("not needed")),
    startApp: () => Promise.reject(new Error("not needed")),
  };
  const found = findVerb(verbs, line.split(" "));
  assert.ok(found.kind === "verb");
  const { args } = parseVerbArgs(found.verb, found.rest, await loadSettings());
  await found.verb.run(context, args);
  assert.equal(asked.pop(), "disposed", "the database is closed at the end");
  return { out: stdout.text(), words: stderr.text(), asked, mayCreate };
}

test("key create prints the key alone on standard output, bound to the named source", async () => {
  const { out, asked } = await run(
    "key create shop --scopes webhook:write,inbox:read --source demo --days 30",
  );
  assert.equal(out, "tdk_secret\n");
  const expiresAt = new Date(nowMs + 30 * 86_400_000);
  const scopes = ["webhook:write", "inbox:read"];
  assert.deepEqual(asked, [["create", { name: "shop", scopes, sourceId: 4, expiresAt }]]);
});

test("key create refuses scopes and sources that do not exist, with the nearest one", async () => {
  await assert.rejects(run("key create x --scopes webhook:wirte"), /Did you mean "webhook:write"\?/);
  await assert.rejects(run("key create x --scopes admin --source dmeo"), /Did you mean "demo"\?/);
  await assert.rejects(run("key create x --scopes admin --days 0"), /whole number/);
});

test("key list shows source and state of each key, or all of it as JSON", async () => {
  const { out } = await run("key list");
  assert.match(out, /3 {2}shop {2}tdk_abcdef… {2}webhook:write {2}demo {4}active/);
  assert.match(out, /4 {2}shop.*revoked/);
  const json = JSON.parse((await run("key list --json")).out) as { id: number; hint: string }[];
  assert.deepEqual(
    json.map(({ id }) => id),
    [3, 4],
  );
});

test("key revoke says when there was nothing to revoke", async () => {
  assert.match((await run("key revoke 3")).out, /revoked/);
  await assert.rejects(run("key revoke 9"), /no active key 9/);
  await assert.rejects(run("key revoke first"), /"first" is not an id: take one from "key list"/);
});

test("source create prints the secret, and takes one only from a file", async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-cli-"));
  t.after(() => rm(directory, { recursive: true }));
  const file = path.join(directory, "secret");
  await writeFile(file, "from the messenger\n");
  const { out, asked } = await run(`source create demo --scheme telegram --secret-file ${file}`);
  assert.equal(out, "whsec_secret\n");
  assert.deepEqual(asked, [["create", { name: "demo", scheme: "telegram", secret: "from the messenger" }]]);
  await assert.rejects(run("source create demo --scheme smoke"), /one of api_key, standard, hub, telegram/);
  await assert.rejects(run(`source create demo --secret-file ${file}.not`), /cannot be read/);
});

test("sources are listed, rotated and removed", async () => {
  assert.match((await run("source list")).out, /4 {2}demo {2}standard {2}2026-03-01 12:00 UTC/);
  assert.equal((await run("source rotate demo")).out, "whsec_new\n");
  assert.match((await run("source remove demo")).out, /removed/);
  await assert.rejects(run("source remove other"), /no source "other"/);
});

test("source rotate keeps the previous secret good for a day, for as long as is said, or not at all", async () => {
  const graceOf = async (line: string) => (await run(`source rotate demo${line}`)).asked;
  assert.deepEqual(await graceOf(""), [["rotate", "demo", { graceS: 86_400 }]]);
  assert.deepEqual(await graceOf(" --grace 60"), [["rotate", "demo", { graceS: 60 }]]);
  assert.deepEqual(await graceOf(" --now"), [["rotate", "demo", { graceS: 0 }]]);
  assert.match((await run("source rotate demo")).words, /the previous one ends at 2026-03-02 12:00 UTC:/);
  assert.match((await run("source rotate demo --now")).words, /the previous one ends within two seconds/);
  for (const grace of ["0", "86401", "day"]) {
    await assert.rejects(run(`source rotate demo --grace ${grace}`), /whole number/);
  }
  await assert.rejects(run("source rotate demo --now --grace 60"), /contradict/);
});

test("dead letters are listed in pages and shown with their data, without steering the terminal", async () => {
  const { out, words, asked } = await run("dead list --group inbox --limit 1 --cursor 13");
  assert.match(out, /12 {2}inbox {2}contact\/4\/x.*no such \\u001b\[31mcontact/);
  assert.match(words, /--cursor 11/);
  assert.deepEqual(asked, [["list", { group: "inbox", limit: 1, cursor: "13" }]]);
  const shown = (await run("dead show 12")).out;
  assert.match(shown, /error {6}no such \\u001b/);
  // As it was appended: JSON's own spelling of the number would be another.
  assert.ok(shown.includes(letter.data));
  assert.ok((await run("dead show 12 --json")).out.includes(letter.data));
});

test("dead letters are retried one by one or all together, never by mistake", async () => {
  assert.deepEqual((await run("dead retry 12")).asked, [["retry", 12]]);
  const all = await run("dead retry --all --group inbox");
  assert.deepEqual(all.asked, [["retry", { all: true, group: "inbox" }]]);
  assert.match(all.out, /5 entries are tried again/);
  await assert.rejects(run("dead retry"), /needs an ID or --all/);
  await assert.rejects(run("dead retry 12 --all"), /takes an ID or --all, and both are given/);
  await assert.rejects(run("dead retry 12 --group inbox"), /--group goes only with --all/);
  assert.deepEqual((await run("dead drop 12")).asked, [["drop", 12]]);
});

test("only migrate may make a database that is not there", async () => {
  const migrated = await run("migrate");
  assert.equal(migrated.mayCreate, true);
  assert.equal(migrated.out, 'The database "tidings" is up to date. Applied now: eventlog, access.\n');
  for (const line of [
    "key list",
    "dead list",
    "source list",
    "consumer list",
    "key create x --scopes admin",
  ]) {
    assert.notEqual((await run(line)).mayCreate, true, line);
  }
});

test("a list without rows says so, and how to begin", async () => {
  const said = async (line: string): Promise<string> => {
    const { out, words } = await run(line, { empty: true });
    assert.equal(out, "", line);
    return words;
  };
  assert.match(await said("key list"), /no API keys yet: npx tidings key create/);
  assert.match(await said("source list"), /no sources yet: npx tidings source create/);
  assert.match(await said("dead list"), /no dead letters/);
  assert.match(await said("consumer list"), /no consumer groups yet/);
  assert.equal((await run("key list --json", { empty: true })).out, "[]\n");
});

test("--json prints what HTTP answers, in the same spelling", async () => {
  const json = async (line: string): Promise<unknown> => JSON.parse((await run(`${line} --json`)).out);
  const fits = (schema: TSchema, value: unknown): void =>
    assert.deepEqual([...Value.Errors(schema, value)], [], JSON.stringify(value));
  fits(operations.DeadLetterPage, await json("dead list"));
  fits(operations.DeadLetterDetail, await json("dead show 12"));
  fits(operations.ConsumerGroupList, { groups: await json("consumer list") });
  fits(SourcePage, { sources: await json("source list"), next_cursor: null });
  const [first] = (await json("key list")) as Record<string, unknown>[];
  assert.deepEqual([first?.["source_id"], first?.["expires_at"]], [4, null]);
  assert.deepEqual(
    Object.keys(first ?? {}).filter((name) => name !== name.toLowerCase()),
    [],
  );
});

test("consumer groups are listed and replayed", async () => {
  assert.match((await run("consumer list")).out, /inbox {3}10 {6}2 {7}1 {5}2 {7}1 {2}1 expired/);
  assert.match((await run("consumer list --partitions")).out, /inbox {10}7 {3}10 {6}2 {7}1 {5}2 {2}expired/);
  const { asked, out } = await run("consumer replay inbox --from first");
  assert.deepEqual(asked, [["replay", "inbox", { from: "first" }]]);
  assert.match(out, /from its first entry/);
  await assert.rejects(run("consumer replay inbox --from 5"), /one of first, head/);
});
