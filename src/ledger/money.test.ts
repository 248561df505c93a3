import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  amountMax,
  amountOfNumber,
  amountOfText,
  amountTextLength,
  scaleMax,
  textOfAmount,
} from "./money.ts";

const amount = fc.bigInt({ min: 1n, max: amountMax });
const scale = fc.nat(scaleMax);

test("a number of major units is counted in minor ones, or refused for a reason", () => {
  const rows: [number, number, bigint | string][] = [
    [15.5, 2, 1550n],
    [15.555, 2, "too_many_decimals"],
    [15.555, 3, 15_555n],
    [1.005, 3, 1_005n],
    [0.07, 2, 7n],
    [0.1 + 0.2, 2, "too_many_decimals"],
    [1, 0, 1n],
    [1.5, 0, "too_many_decimals"],
    [100, 0, 100n],
    [1e-4, 4, 1n],
    [1e-7, 4, "too_many_decimals"],
    [1.5e-6, 4, "too_many_decimals"],
    [Number.NaN, 2, "not_a_number"],
    [-1, 2, "not_positive"],
    [-0.001, 2, "not_positive"],
    [0, 2, "not_positive"],
    [-0, 2, "not_positive"],
    [Number.NEGATIVE_INFINITY, 2, "not_positive"],
    [JSON.parse("1e309") as number, 2, "too_large"],
    [Number.MAX_VALUE, 2, "too_large"],
    [Number.MIN_VALUE, 2, "too_many_decimals"],
    [1e21, 2, "too_large"],
    [9_999_999_999_999.99, 2, amountMax],
    [10_000_000_000_000, 2, "too_large"],
    [999_999_999_999_999, 0, amountMax],
    [1e15, 0, "too_large"],
  ];
  for (const [value, scale, expected] of rows)
    assert.equal(amountOfNumber(value, scale), expected, `${value} at ${scale}`);
});

test("a text of major units is read as strictly as it is written", () => {
  const rows: [string, bigint | string][] = [
    ["15.50", 1550n],
    ["15.5", 1550n],
    ["15", 1500n],
    ["0.01", 1n],
    ["15.500", 1550n],
    ["15.555", "too_many_decimals"],
    ["0", "not_positive"],
    ["0.00", "not_positive"],
    ["-15.5", "not_positive"],
    ["9999999999999.99", amountMax],
    ["10000000000000.00", "too_large"],
    ...["", " 1", "1 ", "+1", "1e3", "0x10", "1,5", "1.", ".5", "01", "٣", "NaN", "Infinity", "1_000"].map(
      (text): [string, string] => [text, "not_a_number"],
    ),
  ];
  for (const [text, expected] of rows) assert.equal(amountOfText(text, 2), expected, JSON.stringify(text));
});

test("no longer text is read than the bound, whatever it says", () => {
  const zeros = "0".repeat(amountTextLength - 2);
  assert.equal(amountOfText(`1.${zeros}`, 2), 100n);
  assert.equal(amountOfText(`1.${zeros}0`, 2), "not_a_number");
});

test("every amount is the same after it was a text, and after it was a JSON number", () => {
  fc.assert(
    fc.property(amount, scale, (amount, scale) => {
      const text = textOfAmount(amount, scale);
      assert.equal(amountOfText(text, scale), amount);
      assert.equal(amountOfNumber(JSON.parse(text) as number, scale), amount);
    }),
    { numRuns: 2_000 },
  );
});

test("whatever number comes, it is the decimal of that number or refused", () => {
  fc.assert(
    fc.property(fc.oneof(fc.double(), fc.double({ min: 0, max: 1e4 })), scale, (value, scale) => {
      const amount = amountOfNumber(value, scale);
      if (typeof amount !== "bigint") return;
      assert.ok(amount > 0n && amount <= amountMax);
      assert.equal(Number(textOfAmount(amount, scale)), value);
    }),
    { numRuns: 2_000 },
  );
});

test("a balance below nothing has its sign, and a scale of nothing no point", () => {
  assert.deepEqual(
    [textOfAmount(-5n, 2), textOfAmount(-1234n, 2), textOfAmount(0n, 2), textOfAmount(7n, 0)],
    ["-0.05", "-12.34", "0.00", "7"],
  );
  assert.equal(textOfAmount(4_000_000_000_000_000_000n, 4), "400000000000000.0000");
});
