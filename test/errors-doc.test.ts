import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { errorRules } from "../protocol/errors.ts";

/** A row of the table in `docs/errors.md`, as far as it repeats the code. */
type ErrorRow = { readonly code: string; readonly status: number; readonly retry: string };

function readRows(text: string): ErrorRow[] {
  return [...text.matchAll(/^\| `([a-z_]+)` +\| (\d+) +\| (\w+) +\|/gm)].map(
    ([, code = "", status, retry = ""]) => ({ code, status: Number(status), retry }),
  );
}

test("docs/errors.md lists every error code once, in order, with its status and whether to retry", async () => {
  const text = await readFile(new URL("../docs/errors.md", import.meta.url), "utf8");
  const expected = Object.entries(errorRules).map(([code, { status, retry }]) => ({ code, status, retry }));
  assert.deepEqual(readRows(text), expected);
});

test("a row with another status is read as such", () => {
  assert.deepEqual(readRows("| `conflict` | 410 | no | it differs | mend it |"), [
    { code: "conflict", status: 410, retry: "no" },
  ]);
});
