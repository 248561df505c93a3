import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type AccountState, counterMax } from "./account-state.ts";
import { type Known, type SettleFacts, decideSettle } from "./decide-settle.ts";
import { type Resolution, type Target, reversedKey } from "./plan-wish.ts";
import { ReferenceLedger } from "./reference-ledger.fixture.ts";
import { funding, toWish, wishStep } from "./wish-steps.fixture.ts";
import { type AnyWish, type Answer, type Wish, refusals } from "./wishes.ts";

const empty = { debitsPosted: 0n, creditsPosted: 0n, debitsPending: 0n, creditsPending: 0n };

function account(change: Partial<AccountState> = {}): AccountState {
  return { ...empty, currency: "XTS", mayOverdraw: false, isClosed: false, isOutside: false, ...change };
}

let ids = 0;
function nextId(): string {
  return `00000000-0000-8000-8000-${String(++ids).padStart(12, "0")}`;
}

/** Two people, somebody's earnings, the house, another currency, the world, a closed account, and 99, which is not there. */
const accounts: readonly (readonly [number, AccountState])[] = [
  [1, account()],
  [2, account()],
  [3, account()],
  [4, account()],
  [5, account({ currency: "XXX" })],
  [6, account({ mayOverdraw: true, isOutside: true })],
  [7, account({ isClosed: true })],
];
const world = { good: [1, 2, 3, 6, 1, 2, 1, 3, 4], odd: [5, 7, 99], outside: 6, nextId };

/** What a database keeps, in maps. */
class Book {
  readonly accounts = new Map(accounts);
  readonly #known = new Map<string, Known>();
  readonly #targets = new Map<string, Target>();
  readonly #resolved = new Map<string, Resolution>();
  readonly #reversed = new Map<string, bigint>();
  isHalted = false;

  settle(wishes: readonly AnyWish[], nowMs: number): readonly Answer[] {
    const { isHalted } = this;
    const decision = decideSettle(wishes, {
      accounts: this.accounts,
      known: this.#known,
      targets: this.#targets,
      resolved: this.#resolved,
      reversed: this.#reversed,
      isHalted,
      nowMs,
    });
    for (const [id, state] of decision.accounts) this.accounts.set(id, state);
    for (const { wish, fingerprint, refused, currency, legs } of decision.written) {
      assert.ok(!this.#known.has(wish.id), "an id is written once");
      this.#known.set(wish.id, { fingerprint, answer: refused ?? "done" });
      const expiresMs = wish.kind === "hold" ? (wish.expiresMs ?? null) : null;
      this.#targets.set(wish.id, { kind: wish.kind, isDone: refused === null, currency, expiresMs, legs });
      if (refused !== null || !("target" in wish)) continue;
      if (wish.kind !== "reversal") this.#resolved.set(wish.target, wish.kind);
      else for (const { n, amount } of legs) this.#add(reversedKey(wish.target, n), amount);
    }
    return decision.answers;
  }

  #add(key: string, amount: bigint): void {
    this.#reversed.set(key, (this.#reversed.get(key) ?? 0n) + amount);
  }
}

const move = fc.oneof(
  { weight: 20, arbitrary: fc.record({ do: fc.constant("wish" as const), step: wishStep }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("next batch" as const), passMs: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.constant({ do: "halt or lift" as const }) },
);

test("batches are answered, and accounts moved, as by a ledger that adds up everything from the beginning", (t) => {
  const seen = new Map<Answer, number>();
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60, size: "max" }), (moves) => {
      const [book, reference] = [new Book(), new ReferenceLedger()];
      for (const [id, { currency, mayOverdraw, isOutside, isClosed }] of accounts)
        reference.accounts.set(id, { currency, mayOverdraw, isOutside, closed: isClosed });
      const made: Wish[] = [];
      let nowMs = 100;
      let batch = [...funding(world)];
      const settle = (): void => {
        const answers = book.settle(batch, nowMs);
        for (const answer of answers) seen.set(answer, (seen.get(answer) ?? 0) + 1);
        assert.deepEqual(
          answers,
          batch.map((wish) => reference.settle(wish, nowMs)),
        );
        for (const [id, { debitsPosted, creditsPosted, debitsPending, creditsPending }] of book.accounts) {
          const counters = { debitsPosted, creditsPosted, debitsPending, creditsPending };
          assert.deepEqual(counters, reference.counters(id), `account ${id}`);
        }
        batch = [];
      };
      for (const next of moves) {
        if (next.do === "wish") batch.push(toWish(next.step, world, { made, nowMs }));
        else settle();
        if (next.do === "next batch") nowMs += next.passMs;
        if (next.do === "halt or lift") book.isHalted = reference.isHalted = !book.isHalted;
      }
      settle();
    }),
    { numRuns: 400 },
  );
  t.diagnostic(JSON.stringify(Object.fromEntries(seen)));
  assert.deepEqual(
    [...refusals, "done"].filter((answer) => !seen.has(answer as Answer)),
    [],
    "every answer was met",
  );
});

const base: SettleFacts = {
  accounts: new Map([
    [1, account({ creditsPosted: 100n })],
    [2, account()],
  ]),
  known: new Map(),
  targets: new Map(),
  resolved: new Map(),
  reversed: new Map(),
  isHalted: false,
  nowMs: 100,
};

function transfer(amount: bigint, change: Partial<AnyWish> = {}): AnyWish {
  const legs = [{ debit: 1, credit: 2, amount }];
  return {
    id: nextId(),
    kind: "transfer",
    purpose: "tip",
    actor: "user:1",
    currency: "XTS",
    legs,
    ...change,
  } as AnyWish;
}

test("what is refused is written with its legs and moves nothing", () => {
  const { answers, written, accounts } = decideSettle([transfer(101n)], base);
  assert.deepEqual(answers, ["insufficient_funds"]);
  assert.deepEqual(written[0]?.legs, [{ n: 0, debit: 1, credit: 2, amount: 101n }]);
  assert.equal(written[0]?.refused, "insufficient_funds");
  assert.equal(accounts.size, 0);
});

test("legs that no database could take are not written, the id is", () => {
  const legs = [{ debit: 1, credit: 99, amount: 1n }];
  const { answers, written } = decideSettle([transfer(1n, { legs }), transfer(0n)], base);
  assert.deepEqual(answers, ["unknown_account", "amount_out_of_range"]);
  assert.deepEqual(
    written.map(({ legs }) => legs),
    [[], []],
  );
});

test("an id whose contents are others is answered and not written", () => {
  const first = transfer(1n);
  const { answers, written } = decideSettle([first, transfer(2n, { id: first.id })], base);
  assert.deepEqual([answers, written.length], [["done", "different_contents"], 1]);
});

test("an account counts up to its bound and no further, what is pending included", () => {
  const full = { creditsPosted: counterMax - 10n, creditsPending: 5n, debitsPosted: counterMax - 10n };
  const facts = { ...base, accounts: new Map([...base.accounts, [2, account(full)] as const]) };
  assert.deepEqual(decideSettle([transfer(6n), transfer(5n), transfer(1n)], facts).answers, [
    "amount_out_of_range",
    "done",
    "amount_out_of_range",
  ]);
});

test("what time wished in vain leaves no trace", () => {
  const hold = transfer(5n, { kind: "hold", expiresMs: 150 });
  const release: AnyWish = {
    id: nextId(),
    kind: "release",
    target: hold.id,
    purpose: "tip",
    actor: "user:1",
  };
  const expiry: AnyWish = {
    id: nextId(),
    kind: "expiry",
    target: hold.id,
    purpose: "expiry",
    actor: "system",
  };
  const { answers, written } = decideSettle([hold, release, expiry], base);
  assert.deepEqual([answers, written.length], [["done", "done", "already_resolved"], 2]);
});
