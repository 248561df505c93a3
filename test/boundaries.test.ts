import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

/** Who may import whom. A room is a folder; a file is in the room with the longest prefix. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  sdk: ["protocol"],
  "src/lib": ["protocol"],
  "src/observe": ["protocol", "src/lib"],
  "src/embedded": ["protocol", "src/lib"],
  "src/eventlog": ["protocol", "src/lib"],
  "src/ledger": ["protocol", "src/lib"],
  "src/access": ["protocol", "src/lib"],
  "src/schema": ["protocol", "src/lib"],
  "src/http": ["protocol", "src/lib", "src/access", "src/schema"],
  "src/gateway": ["protocol", "src/lib", "src/eventlog", "src/access", "src/schema"],
  "src/worker": ["protocol", "src/lib", "src/eventlog"],
  "src/cli": ["protocol", "src/lib", "src/eventlog", "src/access"],
  "src/modules/accounts": ["protocol", "src/lib", "src/eventlog", "src/access"],
  "src/modules/chat": ["protocol", "src/lib", "src/eventlog", "src/access", "src/schema"],
  "src/modules/inbox": ["protocol", "src/lib", "src/eventlog", "src/access"],
  "src/modules/notifications": ["protocol", "src/lib", "src/eventlog", "src/access", "src/schema"],
  "src/modules/operations": ["protocol", "src/lib", "src/eventlog", "src/access"],
  "src/modules/wallet": ["protocol", "src/lib", "src/eventlog", "src/ledger", "src/access"],
};

/** Types that any file of `src` may name. */
const typesForAll = new Set(["src/deps.ts", "src/config.ts", "src/observe/metrics.ts"]);

/** The few lines that lead elsewhere, and why. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  // The CLI loads the server and the option table lazily, when a verb asks for them; there is one version.
  "src/cli": ["src/app.ts", "src/backstage.ts", "src/config.ts", "src/http/version.ts"],
  "src/http": ["package.json"],
};

/** What may be imported from outside the repository, where that is not left open: browsers read these, too. */
const packages: Readonly<Record<string, readonly string[]>> = { protocol: ["typebox"], sdk: [] };
/** The one file of them that is for Node alone; `sdk/bundle.test.ts` sees to it that no other one loads it. */
const packagesOfFile: typeof packages = { "sdk/folder-storage.ts": ["node:fs/promises"] };

/** `to` is a path of this repository, or the name of a package (`pg`, `node:fs`) as it stands there. */
type Import = { readonly from: string; readonly to: string; readonly typeOnly: boolean };

function roomOf(file: string): string | undefined {
  return Object.keys(rooms)
    .filter((room) => file.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

function importsOf(file: string, text: string): Import[] {
  const pattern = /^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
  return [...text.matchAll(pattern)].map((match) => {
    const name = match[2] ?? match[3] ?? "";
    const to = name.startsWith(".") ? path.join(path.dirname(file), name) : name;
    return { from: file, to, typeOnly: match[1] !== undefined };
  });
}

/** Tests and fixtures may import what they test from anywhere. */
function isTestSupport(file: string): boolean {
  return /\.(test|contract|fixture)\.ts$/.test(file);
}

/** Whether the table forbids it. */
function forbidden({ from, to, typeOnly }: Import): boolean {
  const [room, target] = [roomOf(from), roomOf(to)];
  if (room === undefined || isTestSupport(from)) return false;
  if (!isOurs(to)) return (packagesOfFile[from] ?? packages[room])?.includes(to) === false;
  if (isTestSupport(to)) return true;
  if (room === target) return false;
  if (typeOnly && room.startsWith("src/") && typesForAll.has(to)) return false;
  if (exceptions[room]?.includes(to) === true) return false;
  return !(rooms[room] ?? []).some((allowed) => target === allowed);
}

/** A path of this repository ends in a suffix; names of packages do not. */
function isOurs(name: string): boolean {
  return /\.(ts|json)$/.test(name);
}

/** The folder that would have to be a room for `file` to be in one. Files of `src` itself stand above the rooms. */
function folderOf(file: string): string | undefined {
  return /^(?:protocol|sdk|src\/modules\/[^/]+|src\/[^/]+)(?=\/)/.exec(file)?.[0];
}

test("every room imports only what the table allows", async () => {
  const found: string[] = [];
  for await (const file of glob("{protocol,sdk,src}/**/*.ts")) {
    for (const item of importsOf(file, await readFile(file, "utf8"))) {
      if (forbidden(item)) found.push(`${item.from} must not import ${item.to}`);
    }
  }
  assert.deepEqual(found, []);
});

test("the table catches a module that imports another, and a room that looks up", () => {
  const planted = [
    { from: "src/modules/inbox/a.ts", to: "src/modules/operations/b.ts", typeOnly: true },
    { from: "src/lib/a.ts", to: "src/eventlog/eventlog.ts", typeOnly: true },
    { from: "src/eventlog/a.ts", to: "src/deps.ts", typeOnly: false },
    { from: "protocol/a.ts", to: "src/lib/clock.ts", typeOnly: true },
    { from: "protocol/a.ts", to: "node:fs", typeOnly: false },
    { from: "protocol/a.ts", to: "pg", typeOnly: true },
    { from: "sdk/a.ts", to: "src/deps.ts", typeOnly: true },
    { from: "sdk/a.ts", to: "node:fs", typeOnly: true },
    { from: "sdk/folder-storage.ts", to: "node:fs", typeOnly: false },
    { from: "sdk/a.ts", to: "typebox", typeOnly: true },
    { from: "src/lib/a.ts", to: "sdk/b.ts", typeOnly: true },
    { from: "src/http/a.ts", to: "src/http/test-server.fixture.ts", typeOnly: false },
  ];
  assert.deepEqual(
    planted.filter((item) => !forbidden(item)),
    [],
  );
});

test("an import is seen however it is written", () => {
  const text = `
import { a } from "./a.ts";
import type { B } from "../b.ts";
import {
  c,
} from "node:fs";
import "./d.ts";
export { e } from "pg";
const f = await import("../f.ts");
const g = await import(
  "../g.ts"
);`;
  assert.deepEqual(
    importsOf("src/room/file.ts", text).map(({ to }) => to),
    ["src/room/a.ts", "src/b.ts", "node:fs", "src/room/d.ts", "pg", "src/f.ts", "src/g.ts"],
  );
});

test("every folder of the sources is a room of the table", async () => {
  const unknown = new Set<string>();
  for await (const file of glob("{protocol,sdk,src}/**/*.ts")) {
    const folder = folderOf(file);
    if (folder !== undefined && !(folder in rooms)) unknown.add(folder);
  }
  assert.deepEqual([...unknown], []);
  assert.equal(folderOf("src/newroom/x.ts"), "src/newroom");
  assert.equal(folderOf("src/modules/chat/deep/x.ts"), "src/modules/chat");
  assert.equal(folderOf("src/app.ts"), undefined);
});

test("lib holds at most 15 nouns beside its tests", async () => {
  const nouns: string[] = [];
  for await (const file of glob("src/lib/*.ts")) if (!file.endsWith(".test.ts")) nouns.push(file);
  assert.ok(nouns.length <= 15, nouns.join(" "));
});
