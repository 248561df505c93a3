import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import fc from "fast-check";
import { postJson, problemOf, startTestServer, testRoute } from "./test-server.fixture.ts";
import { textFault } from "../schema/text-keyword.ts";

test("a text's length is counted in code points without the white space around it", () => {
  const bounds = { min: 1, max: 4 };
  for (const good of ["a", "😀😀😀😀", "  abcd\n", "a b"])
    assert.equal(textFault(good, bounds), undefined, good);
  for (const [bad, code] of [
    ["", "min_length"],
    [" \t\n", "min_length"],
    ["abcde", "max_length"],
    ["😀😀😀😀😀", "max_length"],
    ["a\0b", "text"],
    ["a\ud800", "text"],
  ] as const) {
    assert.equal(textFault(bad, bounds)?.code, code, JSON.stringify(bad));
  }
});

test("the quick ways to a verdict agree with counting", () => {
  const texts = fc.string({ unit: "grapheme", maxLength: 12 });
  const bounds = fc.tuple(fc.nat(6), fc.nat(6)).map(([min, more]) => ({ min, max: min + more }));
  fc.assert(
    fc.property(texts, bounds, (text, { min, max }) => {
      const length = Array.from(text.trim()).length;
      const expected = text.includes("\0")
        ? "text"
        : length < min
          ? "min_length"
          : length > max
            ? "max_length"
            : undefined;
      assert.equal(textFault(text, { min, max })?.code, expected);
    }),
  );
});

test("a schema that uses the keyword refuses the field in its own words", async () => {
  const body = Type.Object({ text: Type.String({ "x-text": { min: 1, max: 2 } }) });
  await using server = await startTestServer({ routes: [testRoute({ body })] });
  assert.equal((await postJson(`${server.url}/thing`, { text: " ab " })).status, 200);
  const problem = await problemOf(postJson(`${server.url}/thing`, { text: "  " }));
  assert.deepEqual(problem.errors, [{ pointer: "/text", code: "min_length", detail: "must not be empty" }]);
});
