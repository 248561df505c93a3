import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isUuid } from "../../protocol/ids.ts";
import { derivedId } from "./derived-id.ts";

test("every derived id is a UUID of version 8", () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ unit: "binary" }), (namespace, key) => {
      const id = derivedId(namespace, key);
      assert.ok(isUuid(id), id);
      assert.match(id, /^.{14}8.{4}[89ab]/);
    }),
  );
});

test("equal keys give equal ids, and keys or namespaces that differ give others", () => {
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(fc.constantFrom("a", "b", "inbox.message"), fc.string({ maxLength: 3 }), (namespace, key) => {
      const id = derivedId(namespace, key);
      assert.equal(derivedId(namespace, key), id);
      const origin = `${namespace}\n${key}`;
      assert.equal(seen.get(id) ?? origin, origin);
      seen.set(id, origin);
    }),
    { numRuns: 2_000 },
  );
});

test("the ids of today are those of tomorrow: a change here would save every message twice", () => {
  assert.equal(
    derivedId("inbox.message", "1 1a2b3c4d5e6f7890abcdef1234567890"),
    "b5e5edd1-110c-8db7-8e77-caeb02eb61d4",
  );
  assert.equal(derivedId("", ""), "01ba4719-c80b-8fe9-91b0-91a7c05124b6");
});
