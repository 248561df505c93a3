import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../../../test/harness.ts";
import { AppError } from "../../lib/errors.ts";
import { createGuesses, guessRates } from "./guesses.ts";

type Outcome = "right" | "wrong" | "later";

/** Accounts are called as the names are, up to a colon: `ann:mail` is another name of the account `ann`. */
function setUp(bound?: number) {
  const clock = manualClock();
  const guesses = createGuesses(clock, bound);
  const count = { lookUps: 0, made: 0 };
  const attempt = async (
    name: string,
    address: string,
    outcome: Outcome,
  ): Promise<readonly [string, number]> => {
    try {
      const result = await guesses.attempt({ name, address }, async (of) => {
        count.lookUps++;
        await Promise.resolve();
        of(name.replace(/:.*/, ""));
        count.made++;
        // Others come in between, as they do while a password is checked.
        await Promise.resolve();
        if (outcome === "later") throw new AppError("overloaded");
        return outcome === "right" ? true : undefined;
      });
      return [result === true ? "right" : "wrong", 0];
    } catch (error) {
      assert.ok(error instanceof AppError);
      if (error.code !== "rate_limited") return ["later", 0];
      return [error.message.replace("too many wrong passwords ", ""), error.details.retryAfterS ?? 0];
    }
  };
  return { clock, guesses, attempt, count };
}

const ofName = "for this name from this address";
const ofAddress = "from this address";
const ofAccount = "for this account";

test("after five wrong passwords for a name from an address there is one in twelve seconds", async () => {
  const { clock, attempt } = setUp();
  for (let i = 0; i < 5; i++) assert.deepEqual(await attempt("ann", "a", "wrong"), ["wrong", 0]);
  assert.deepEqual(await attempt("ann", "a", "wrong"), [ofName, 12]);
  assert.deepEqual(await attempt("ann", "a", "right"), [ofName, 12], "nor for who knows it");
  assert.deepEqual(await attempt("bob", "a", "wrong"), ["wrong", 0]);
  clock.advance(11_999);
  assert.deepEqual(await attempt("ann", "a", "wrong"), [ofName, 1]);
  clock.advance(1);
  assert.deepEqual(await attempt("ann", "a", "wrong"), ["wrong", 0]);
  assert.deepEqual(await attempt("ann", "a", "wrong"), [ofName, 12]);
});

test("a stranger who guesses on and on from one address does not keep the owner out", async () => {
  const { clock, attempt } = setUp();
  for (let seconds = 0; seconds < 3_600; seconds += 12) {
    for (let i = 0; i < 6; i++) await attempt(i % 2 === 0 ? "ann" : "ann:mail", "stranger", "wrong");
    assert.deepEqual(await attempt("ann", "home", "right"), ["right", 0], String(seconds));
    clock.advance(12_000);
  }
});

test("after fifty wrong passwords for an account, by all its names and from all addresses, there is one in twelve seconds", async () => {
  const { clock, attempt } = setUp();
  for (let i = 0; i < 50; i++) {
    assert.deepEqual(await attempt(i % 2 === 0 ? "ann" : "ann:mail", `address ${i}`, "wrong"), ["wrong", 0]);
  }
  assert.deepEqual(await attempt("ann", "another", "wrong"), [ofAccount, 12]);
  assert.deepEqual(await attempt("ann:mail", "yet another", "right"), [ofAccount, 12]);
  assert.deepEqual(await attempt("bob", "another", "right"), ["right", 0]);
  clock.advance(12_000);
  assert.deepEqual(await attempt("ann", "one more", "wrong"), ["wrong", 0]);
  assert.deepEqual(await attempt("ann", "the last", "wrong"), [ofAccount, 12]);
});

test("where a password was right before, no number of strangers keeps its owner out, and guesses are no more than elsewhere", async () => {
  const { attempt } = setUp();
  await attempt("ann", "home", "right");
  for (let i = 0; i < 50; i++) await attempt("ann", `address ${i}`, "wrong");
  assert.deepEqual(await attempt("ann", "elsewhere", "right"), [ofAccount, 12]);
  assert.deepEqual(await attempt("ann:mail", "home", "right"), ["right", 0]);
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(await attempt(i % 2 === 0 ? "ann" : "ann:mail", "home", "wrong"), ["wrong", 0]);
  }
  assert.deepEqual(await attempt("ann", "home", "wrong"), [ofName, 12]);
  assert.deepEqual(await attempt("bob", "home", "right"), ["right", 0]);
});

test("after twenty wrong passwords from an address there is one in three seconds, for whatever name", async () => {
  const { clock, attempt } = setUp();
  for (let i = 0; i < 20; i++) assert.deepEqual(await attempt(`name ${i}`, "a", "wrong"), ["wrong", 0]);
  assert.deepEqual(await attempt("ann", "a", "right"), [ofAddress, 3]);
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
  const one = setUp();
  await Promise.all(Array.from({ length: 1_000 }, () => one.attempt("ann", "a", "wrong")));
  assert.deepEqual(one.count, { lookUps: guessRates.name.burst, made: guessRates.name.burst });
  const many = setUp();
  await Promise.all(Array.from({ length: 1_000 }, (_, i) => many.attempt("ann", `address ${i}`, "wrong")));
  assert.deepEqual(many.count, { lookUps: 1_000, made: guessRates.account.burst });
});

test("where an account allows nothing any more, an address is soon told so without a look-up", async () => {
  const { attempt, count } = setUp();
  for (let i = 0; i < 50; i++) await attempt("ann", `address ${i}`, "wrong");
  count.lookUps = 0;
  for (let i = 0; i < 100; i++) await attempt("ann", "a", "wrong");
  assert.equal(count.lookUps, guessRates.name.burst);
});

test("an address has no more names and accounts remembered than it may try", async () => {
  const { attempt, guesses } = setUp();
  for (let i = 0; i < 1_000; i++) await attempt(`name ${i}`, "a", "wrong");
  const { burst } = guessRates.address;
  assert.deepEqual(guesses.size, { addresses: 1, pairs: 2 * burst, accounts: burst, homes: 0 });
});

test("one key more than the bound forgets those that were tried longest ago", async () => {
  const { guesses, attempt } = setUp(4);
  for (let i = 0; i < 5; i++) {
    await attempt(`name ${i}`, `address ${i}`, "right");
    await attempt(`name ${i}`, `address ${i}`, "wrong");
  }
  const { homes, ...others } = guesses.size;
  assert.deepEqual(others, { addresses: 4, pairs: 4, accounts: 4 });
  assert.ok(homes <= 4, String(homes));
});
