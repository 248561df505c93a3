import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { AppError } from "./errors.ts";

const time = fc
  .date({
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  })
  .map((date) => date.toISOString());
/** The longest name that a list has. */
const list = `dead-letters group=${"g".repeat(64)}`;
const places = fc.tuple(time, fc.maxSafeInteger());

const invalid = (error: unknown): boolean => error instanceof AppError && error.code === "invalid_cursor";

test("a cursor leads back to its place, and needs no escaping in a URL", () => {
  fc.assert(
    fc.property(places, (place) => {
      const cursor = encodeCursor(list, place);
      assert.match(cursor, /^[A-Za-z0-9_-]+$/);
      assert.ok(cursor.length <= 200);
      assert.deepEqual(decodeCursor(cursor, list, ["time", "number"]), place);
    }),
  );
});

test("whatever is not a cursor of these parts is refused as one, and as nothing else", () => {
  const junk = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.base64String(),
    fc.json().map((text) => Buffer.from(text).toString("base64url")),
    fc.array(fc.anything()).map((value) => Buffer.from(JSON.stringify(value) ?? "").toString("base64url")),
  );
  fc.assert(
    fc.property(junk, (text) => {
      assert.throws(() => decodeCursor(text, list, ["time", "number"]), invalid);
    }),
    { numRuns: 1_000 },
  );
});

test("a cursor with a character changed is refused or leads to a place of the same kind", () => {
  fc.assert(
    fc.property(places, fc.nat(), fc.constantFrom("A", "a", "z", "0", "9", "_", "-"), (place, at, unit) => {
      const cursor = encodeCursor(list, place);
      const index = at % cursor.length;
      let decoded: readonly (string | number)[];
      try {
        const changed = cursor.slice(0, index) + unit + cursor.slice(index + 1);
        decoded = decodeCursor(changed, list, ["time", "number"]);
      } catch (error) {
        assert.ok(invalid(error));
        return;
      }
      assert.match(String(decoded[0]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.ok(Number.isSafeInteger(decoded[1]));
    }),
    { numRuns: 1_000 },
  );
});

test("a cursor with a place of other parts is refused", () => {
  const aTime = "2026-01-01T00:00:00.000Z";
  for (const place of [
    [],
    [1],
    [aTime],
    [1, aTime],
    [aTime, 1, 1],
    [aTime, "1"],
    [aTime, 1.5],
    [aTime, 2 ** 60],
  ]) {
    assert.throws(() => decodeCursor(encodeCursor(list, place), list, ["time", "number"]), invalid);
  }
  assert.throws(() => decodeCursor(encodeCursor(list, [aTime, 1]), list, ["number"]), invalid);
});

test("a cursor of another list, or of the same list with other filters, is refused though its parts fit", () => {
  const made = encodeCursor("dialogs state=open", [1, 2]);
  assert.deepEqual(decodeCursor(made, "dialogs state=open", ["number", "number"]), [1, 2]);
  for (const other of ["dialogs state=", "dialogs state=closed", "dialogs", "messages", ""]) {
    assert.throws(() => decodeCursor(made, other, ["number", "number"]), invalid, other);
  }
});

test("a name in a cursor is one that a source can have: PostgreSQL could not even compare some others", () => {
  const longest = "a".repeat(64);
  assert.deepEqual(decodeCursor(encodeCursor(list, [longest]), list, ["name"]), [longest]);
  for (const name of ["", `${longest}a`, "\0", "\ud800", "Shop", "a b", 5]) {
    assert.throws(() => decodeCursor(encodeCursor(list, [name]), list, ["name"]), invalid, String(name));
  }
});

test("a time that is on no calendar is refused: PostgreSQL would refuse it with an error", () => {
  for (const aTime of [
    "2026-02-30T00:00:00.000Z",
    "2026-04-31T00:00:00.000Z",
    "2025-02-29T00:00:00.000Z",
    "0000-01-01T00:00:00.000Z",
  ]) {
    assert.throws(
      () => decodeCursor(encodeCursor(list, [aTime, 1]), list, ["time", "number"]),
      invalid,
      aTime,
    );
  }
});
