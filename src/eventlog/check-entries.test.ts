import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { uuidv7 } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { AppError } from "../lib/errors.ts";
import { checkEntries } from "./check-entries.ts";
import { type JsonText, type NewEntry, jsonText, redactedData } from "./eventlog.ts";

function entry(overrides: Partial<NewEntry> = {}): NewEntry {
  const whole = { id: uuidv7(), topic: "room/1", type: "test.happened", actor: "system", data: jsonText({}) };
  return { ...whole, ...overrides };
}

/** The pointer of the one field that an entry is refused for; undefined when it passes. */
function refusedField(entries: readonly NewEntry[]): string | undefined {
  try {
    checkEntries(entries);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "invalid_body");
    assert.equal(error.details.fields?.length, 1);
    return error.details.fields?.[0]?.pointer;
  }
}

/** JSON text of exactly so many bytes in UTF-8, made of characters of one width. */
function jsonOfBytes(bytes: number, unit: string): JsonText {
  const width = Buffer.byteLength(unit);
  const count = Math.floor((bytes - 2) / width);
  return `"${unit.repeat(count)}${"a".repeat(bytes - 2 - count * width)}"` as JsonText;
}

test("an append may carry as many entries as the limit says, and not one more", () => {
  const entries = Array.from({ length: limits.appendEntries }, () => entry());
  assert.equal(refusedField(entries), undefined);
  assert.equal(refusedField([...entries, entry()]), "");
});

const keys = [
  ["topic", limits.topicLength],
  ["type", limits.entryTypeLength],
  ["actor", limits.topicLength],
  ["trace", limits.topicLength],
] as const;

for (const [field, lengthMax] of keys) {
  test(`${field} has 1 to ${lengthMax} UTF-16 units`, () => {
    assert.equal(refusedField([entry({ [field]: "a" })]), undefined);
    assert.equal(refusedField([entry({ [field]: "中".repeat(lengthMax) })]), undefined);
    assert.equal(refusedField([entry({ [field]: "a".repeat(lengthMax + 1) })]), `/0/${field}`);
    assert.equal(refusedField([entry({ [field]: "" })]), `/0/${field}`);
  });

  test(`${field} holds no control character, which would end a column, and no lone surrogate`, () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 20 }),
        fc.string({ unit: "binary", maxLength: 20 }),
        fc.oneof(
          fc.integer({ min: 0, max: 0x1f }),
          fc.constant(0x7f),
          fc.integer({ min: 0xd800, max: 0xdbff }),
        ),
        (before, after, code) => {
          const bad = `${before}${String.fromCharCode(code)} ${after}`;
          assert.equal(refusedField([entry(), entry({ [field]: bad })]), `/1/${field}`);
        },
      ),
    );
  });
}

test("data is measured in bytes of UTF-8, exactly", () => {
  for (const unit of ["a", "ж", "中", "😀"]) {
    assert.equal(refusedField([entry({ data: jsonOfBytes(limits.entryDataBytes, unit) })]), undefined, unit);
    assert.equal(
      refusedField([entry({ data: jsonOfBytes(limits.entryDataBytes + 1, unit) })]),
      "/0/data",
      unit,
    );
  }
});

test("data is not the text by which erased entries are known", () => {
  assert.equal(refusedField([entry(), entry({ data: redactedData })]), "/1/data");
  assert.equal(refusedField([entry({ data: jsonText({ redacted: false }) })]), undefined);
});

test("an id is a UUID in lower case", () => {
  for (const id of ["", "1", uuidv7().toUpperCase(), `${uuidv7()}0`, ` ${uuidv7()}`, `${uuidv7()}\n`]) {
    assert.equal(refusedField([entry({ id })]), "/0/id", JSON.stringify(id));
  }
});

test("whatever JSON can hold may be an entry's data", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.equal(refusedField([entry({ data: jsonText(value) })]), undefined);
    }),
  );
});
