import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearest } from "./nearest.ts";

test("the distance counts letters inserted, removed, exchanged and swapped", () => {
  const pairs: readonly (readonly [string, string, number])[] = [
    ["", "", 0],
    ["", "abc", 3],
    ["serve", "serve", 0],
    ["srve", "serve", 1],
    ["prot", "port", 1],
    ["ab", "ba", 1],
    ["vresoin", "version", 2],
    ["kitten", "sitting", 3],
  ];
  for (const [a, b, distance] of pairs) {
    assert.equal(editDistance(a, b), distance);
    assert.equal(editDistance(b, a), distance);
  }
});

test("the nearest word is named only when it may have been meant", () => {
  const words = ["serve", "migrate", "version"];
  assert.equal(nearest("migrat", words), "migrate");
  assert.equal(nearest("vresion", words), "version");
  assert.equal(nearest("ver", words), "version");
  assert.equal(nearest("xyz", words), undefined);
  assert.equal(nearest("save", words), undefined);
  assert.equal(nearest("bogus", ["roles"]), undefined);
  assert.equal(nearest("serve", []), undefined);
});
