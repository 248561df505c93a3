import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

/** What a browser loads when it loads the client. */

const root = path.join(import.meta.dirname, "..");

/** Imports of nothing but types are gone in what is published; all others are there, even if they name none but types. */
const valueImport = /^(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;

/** Modules that are loaded with `file`, and packages among them, as they are named there. */
async function loadedWith(files: readonly string[]): Promise<ReadonlySet<string>> {
  const seen = new Set<string>(files);
  for (const file of seen) {
    if (!file.endsWith(".ts")) continue;
    const code = await readFile(path.join(root, file), "utf8");
    for (const [, stated, asked] of code.matchAll(valueImport)) {
      const name = stated ?? asked ?? "";
      seen.add(name.startsWith(".") ? path.join(path.dirname(file), name) : name);
    }
  }
  return seen;
}

async function entryFiles(): Promise<readonly string[]> {
  const manifest = JSON.parse(await readFile(path.join(root, "sdk/package.json"), "utf8")) as {
    readonly exports: Readonly<Record<string, { readonly default: string }>>;
  };
  return Object.entries(manifest.exports)
    .filter(([name]) => !name.includes("*"))
    .map(([, { default: file }]) => path.join(file.replace(/^\.\//, "").replace(/\.js$/, ".ts")));
}

/** The one module that is for Node alone. */
const nodeOnly = "sdk/folder-storage.ts";

test("the client loads nothing but its own files and protocol files without schemas", async () => {
  const entries = (await entryFiles()).filter((file) => file !== nodeOnly);
  assert.ok(entries.includes("sdk/client.ts"), entries.join(" "));
  const loaded = [...(await loadedWith(entries))];
  assert.deepEqual(
    loaded.filter((name) => !/^(?:sdk|protocol)\/[\w-]+\.ts$/.test(name)),
    [],
  );
  const withSchemas = loaded.filter((name) =>
    /protocol\/(?:accounts|broadcasts|chat|frames|inbox|notifications|operations|preferences)\.ts/.test(name),
  );
  assert.deepEqual(withSchemas, []);
  assert.ok(loaded.includes("protocol/close-codes.ts"));
  assert.ok(!loaded.includes(nodeOnly));
});

test("what is for Node alone loads nothing but Node's files", async () => {
  assert.ok((await entryFiles()).includes(nodeOnly));
  const loaded = [...(await loadedWith([nodeOnly]))];
  assert.deepEqual(
    loaded.filter((name) => !/^sdk\/[\w-]+\.ts$/.test(name)),
    ["node:fs/promises"],
  );
});

/**
 * Of the language, the compiler knows what an old browser lacks (`lib` of `sdk/tsconfig.build.json`). Of browsers it
 * knows one age only, today's; these came after the oldest ones that are supported.
 */
const tooNew =
  /\b(?:AbortSignal\.any|URL\.(?:canParse|parse)|requestIdleCallback|Promise\.try|WebSocketStream)\b/;

test("the client uses nothing that the oldest browsers lack which it supports", async () => {
  for (const file of await loadedWith(await entryFiles())) {
    if (!file.endsWith(".ts")) continue;
    assert.doesNotMatch(await readFile(path.join(root, file), "utf8"), tooNew, file);
  }
  const build = await readFile(path.join(root, "sdk/tsconfig.build.json"), "utf8");
  const { compilerOptions } = JSON.parse(build) as { readonly compilerOptions: Record<string, unknown> };
  assert.deepEqual([compilerOptions["target"], compilerOptions["lib"]], ["es2022", ["es2022", "dom"]]);
});

test("a package that would be loaded is found, also through another file", async () => {
  assert.ok((await loadedWith(["src/http/routes.ts"])).has("typebox"));
  assert.ok((await loadedWith(["sdk/bundle.test.ts"])).has("node:test"));
});
