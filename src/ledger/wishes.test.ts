import assert from "node:assert/strict";
import { test } from "node:test";
import { type AnyWish, fingerprintOf } from "./wishes.ts";

const id = "0190a1b2-0000-7000-8000-000000000001";
const target = "0190a1b2-0000-7000-8000-000000000002";
const common = { id, purpose: "tip", actor: "user:1" } as const;
const moved = { ...common, currency: "XTS", legs: [{ debit: 1, credit: 2, amount: 999_999_999_999_999n }] };

test("a wish's fingerprint is what it always was, or nobody would be known again", () => {
  const known: readonly (readonly [AnyWish, string])[] = [
    [{ ...moved, kind: "transfer" }, "47b83e2eb1f314fd64bd53515ca01664703a4f4775fd8eef73a8327b3ffa1e83"],
    [{ ...moved, kind: "hold" }, "d96beaf99985372c56572c84d4ae34ad015fcf9ea0f4ac894ad18a4913ac3df0"],
    [
      { ...moved, kind: "hold", expiresMs: 1_767_225_600_001 },
      "df42db413c97fe525cbc11cec115f063894ac5ae942f7ffcde071d9b0c9641de",
    ],
    [
      { ...common, kind: "capture", target },
      "c0207432d0d6b76312c320560ae85e89fc96c809c5f9bfa2af1630eb68968ecf",
    ],
    [
      { ...common, kind: "capture", target, amounts: [0n, 5n] },
      "455595f52d478fef86b189356107bc9f6976de99581fbc56043db8bd4c3a72b9",
    ],
    [
      { ...common, kind: "reversal", target, amounts: [5n] },
      "2d71e702b0d49c52851515660311845fbcdc734e700e61d9273b6281abc0ac7d",
    ],
    [
      { ...common, kind: "release", target },
      "4c57cfcc1cc2beb09f64a4c9f11fdac2e02f29a4228ad5db5b9d76ae826348a8",
    ],
    [
      { ...common, kind: "expiry", target },
      "fdb611f3aa82ee6be35f5cbf841166b19badf948c80952b40be5fede076b135e",
    ],
  ];
  for (const [wish, fingerprint] of known) assert.equal(fingerprintOf(wish), fingerprint, wish.kind);
});

test("who asks and what is left out at the end make no difference, and all else does", () => {
  const capture: AnyWish = { ...common, kind: "capture", target, amounts: [0n, 5n] };
  const same: readonly AnyWish[] = [
    { ...capture, actor: "user:2" },
    { ...capture, amounts: [0n, 5n, 0n, 0n] },
  ];
  for (const wish of same) assert.equal(fingerprintOf(wish), fingerprintOf(capture));
  const others: readonly AnyWish[] = [
    { ...capture, id: target },
    { ...capture, purpose: "gift" },
    { ...capture, target: id },
    { ...capture, amounts: undefined },
    { ...capture, amounts: [5n] },
    { ...capture, amounts: [0n, 6n] },
    { ...capture, amounts: [0n] },
    { ...capture, kind: "reversal" },
    { ...common, kind: "release", target },
    { ...common, kind: "expiry", target },
    { ...moved, kind: "transfer" },
    { ...moved, kind: "hold" },
    { ...moved, kind: "hold", expiresMs: 0 },
    { ...moved, kind: "transfer", currency: "XXX" },
    { ...moved, kind: "transfer", legs: [...moved.legs, ...moved.legs] },
    { ...moved, kind: "transfer", legs: [{ debit: 2, credit: 1, amount: 999_999_999_999_999n }] },
    { ...moved, kind: "transfer", legs: [{ debit: 1, credit: 2, amount: 999_999_999_999_998n }] },
  ];
  assert.equal(new Set([capture, ...others].map(fingerprintOf)).size, others.length + 1);
});
