import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../../../test/harness.ts";
import { AppError } from "../../lib/errors.ts";
import { createGuesses, guessRates } from "./guesses.ts";

type Outcome = "right" | "wrong" | "later" | "limited";

function setUp(bound?: number) {
  const clock = manualClock();
  const guesses = createGuesses(clock, bound);
  let made = 0;
  const attempt = async (
    name: string,
    address: string,
    outcome: Exclude<Outcome, "limited">,
  ): Promise<readonly [Outcome, number]> => {
    try {
      const result = await guesses.attempt({ name, address }, async () => {
        made++;
        // Others come in between, as they do while a password is checked.
        await Promise.resolve();
        if (outcome === "later") throw new AppError("overloaded");
        return outcome === "right" ? true : undefined;
      });
      return [result === true ? "right" : "wrong", 0];
    } catch (error) {
      assert.ok(error instanceof AppError);
      return error.code === "rate_limited" ? ["limited", error.details.retryAfterS ?? 0] : ["later", 0];
    }
  };
  return { clock, guesses, attempt, made: () => made };
}

test("after five wrong passwords for a name there is one in twelve seconds, from whatever address", async () => {
  const { clock, attempt } = setUp();
  for (let i = 0; i < 5; i++) assert.deepEqual(await attempt("ann", `address ${i}`, "wrong"), ["wrong", 0]);
  assert.deepEqual(await attempt("ann", "address 6", "wrong"), ["limited", 12]);
  assert.deepEqual(await attempt("ann", "address 6", "right"), ["limited", 12], "nor for who knows it");
  assert.deepEqual(await attempt("bob", "address 6", "wrong"), ["wrong", 0]);
  clock.advance(11_999);
  assert.deepEqual(await attempt("ann", "address 7", "wrong"), ["limited", 1]);
  clock.advance(1);
  assert.deepEqual(await attempt("ann", "address 7", "wrong"), ["wrong", 0]);
  assert.deepEqual(await attempt("ann", "address 7", "wrong"), ["limited", 12]);
});

test("after twenty wrong passwords from an address there is one in three seconds, for whatever name", async () => {
  const { clock, attempt } = setUp();
  for (let i = 0; i < 20; i++) assert.deepEqual(await attempt(`name ${i}`, "a", "wrong"), ["wrong", 0]);
  assert.deepEqual(await attempt("ann", "a", "right"), ["limited", 3]);
  assert.deepEqual(await attempt("ann", "b", "right"), ["right", 0], "and the name was not charged for it");
  clock.advance(3_000);
  assert.deepEqual(await attempt("ann", "a", "wrong"), ["wrong", 0]);
});

test("what succeeds, and what could not be tried, costs nothing", async () => {
  const { attempt } = setUp();
  for (let i = 0; i < 100; i++) {
    assert.deepEqual(await attempt("ann", "a", "right"), ["right", 0]);
    assert.deepEqual(await attempt("ann", "a", "later"), ["later", 0]);
  }
});

test("of a thousand attempts at once no more are made than one after the other", async () => {
  const { attempt, made } = setUp();
  const results = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => attempt("ann", `address ${i}`, "wrong")),
  );
  assert.equal(results.filter(([outcome]) => outcome === "wrong").length, guessRates.name.burst);
  assert.equal(made(), guessRates.name.burst);
});

test("one name and one address more than the bound forget those that were tried longest ago", async () => {
  const { guesses, attempt } = setUp(3);
  for (let i = 0; i < 4; i++) await attempt(`name ${i}`, `address ${i}`, "wrong");
  assert.deepEqual(guesses.size, { names: 3, addresses: 3 });
});
