import assert from "node:assert/strict";
import { test } from "node:test";
import { isUuid, uuidv7 } from "./ids.ts";

test("ids of one process grow strictly, also within a millisecond and when the clock steps back", () => {
  const now = Date.parse("2026-05-01T00:00:00Z");
  const ids = [
    ...Array.from({ length: 10_000 }, () => uuidv7(now)),
    ...Array.from({ length: 100 }, () => uuidv7(now - 60_000)),
    uuidv7(now + 60_000),
  ];
  assert.deepEqual(ids, ids.toSorted());
  assert.equal(new Set(ids).size, ids.length);
});

test("an id is a version 7 UUID that tells when it was made", () => {
  const now = Date.now() + 120_000;
  const id = uuidv7(now);
  assert.ok(isUuid(id));
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(Number.parseInt(id.replace("-", "").slice(0, 12), 16), now);
});

test("isUuid takes only the canonical form", () => {
  const id = uuidv7();
  for (const other of [
    id.toUpperCase(),
    id.replaceAll("-", ""),
    `{${id}}`,
    `${id} `,
    "",
    "00000000-0000-0000-0000-000000000000",
  ]) {
    assert.ok(!isUuid(other), other);
  }
});
