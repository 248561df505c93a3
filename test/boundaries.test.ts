import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

/** Who may import whom. A room is a folder; a file is in the room with the longest prefix. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  "src/lib": ["protocol"],
  "src/observe": ["protocol", "src/lib"],
  "src/embedded": ["protocol", "src/lib"],
  "src/eventlog": ["protocol", "src/lib"],
  "src/access": ["protocol", "src/lib"],
  "src/http": ["protocol", "src/lib", "src/access"],
  "src/worker": ["protocol", "src/lib", "src/eventlog"],
  "src/cli": ["protocol", "src/lib", "src/eventlog", "src/access"],
  "src/modules/inbox": ["protocol", "src/lib", "src/eventlog", "src/access"],
  "src/modules/operations": ["protocol", "src/lib", "src/eventlog", "src/access"],
};

/** Types that any file of `src` may name. */
const typesForAll = new Set(["src/deps.ts", "src/config.ts", "src/observe/metrics.ts"]);

/** The few lines that lead elsewhere, and why. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  // The CLI loads the server and the option table lazily, when a verb asks for them.
  "src/cli": ["src/app.ts", "src/backstage.ts", "src/config.ts"],
  "src/http": ["package.json"],
};

type Import = { readonly from: string; readonly to: string; readonly typeOnly: boolean };

function roomOf(file: string): string | undefined {
  return Object.keys(rooms)
    .filter((room) => file.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

function importsOf(file: string, text: string): Import[] {
  const pattern = /^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"(\.[^"]+)"|import\("(\.[^"]+)"\)/gm;
  return [...text.matchAll(pattern)].map((match) => ({
    from: file,
    to: path.join(path.dirname(file), match[2] ?? match[3] ?? ""),
    typeOnly: match[1] !== undefined,
  }));
}

/** Whether the table forbids it. Tests and fixtures may import what they test from anywhere. */
function forbidden({ from, to, typeOnly }: Import): boolean {
  const [room, target] = [roomOf(from), roomOf(to)];
  if (room === undefined || room === target || /(\.(test|contract|fixture)|\/test-server)\.ts$/.test(from))
    return false;
  if (typeOnly && typesForAll.has(to)) return false;
  if (exceptions[room]?.includes(to) === true) return false;
  return !(rooms[room] ?? []).some((allowed) => target === allowed);
}

test("every room imports only what the table allows", async () => {
  const found: string[] = [];
  for await (const file of glob("{protocol,src}/**/*.ts")) {
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
  ];
  assert.deepEqual(
    planted.filter((item) => !forbidden(item)),
    [],
  );
});

test("every folder of src/modules has a row in the table", async () => {
  for await (const file of glob("src/modules/*/module.ts")) assert.ok(path.dirname(file) in rooms, file);
});

test("lib holds at most 15 nouns beside its tests", async () => {
  const nouns: string[] = [];
  for await (const file of glob("src/lib/*.ts")) if (!file.endsWith(".test.ts")) nouns.push(file);
  assert.ok(nouns.length <= 15, nouns.join(" "));
});
