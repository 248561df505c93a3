import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { uuidv7 } from "../../protocol/ids.ts";
import type { Db, Tx } from "../lib/db.ts";
import { closeAccount, openAccounts, openCurrency } from "./accounts.ts";
import { TransferTakenError } from "./again.ts";
import { expireHolds } from "./expire-holds.ts";
import { type TestLedger, nowMs, openLedger, openPool } from "./ledger.fixture.ts";
import { reconcile } from "./reconcile.ts";
import { ReferenceLedger } from "./reference-ledger.fixture.ts";
import { settle } from "./settle.ts";
import { type World, funding, toWish, wishStep } from "./wish-steps.fixture.ts";
import type { Answer, Wish } from "./wishes.ts";

const connections = 4;
const ledger = await openLedger();
const { db } = ledger;
await openCurrency(db, "XXX", 0);
// Drawn under the locks of a transaction: of two that concern one account, the later one has the higher number.
await db.query("create sequence turn");

const move = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("batch" as const),
      steps: fc.array(wishStep, { minLength: 1, maxLength: 6, size: "max" }),
      isUndone: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("expire" as const), passMs: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), which: fc.nat(99) }) },
);
type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

/** What a transaction has done. */
type Done =
  | { readonly kind: "batch"; readonly wishes: readonly Wish[]; readonly answers: readonly Answer[] }
  | { readonly kind: "expire"; readonly holds: readonly string[] }
  | { readonly kind: "close"; readonly id: number };
/** One that was committed. */
type Turn = Done & {
  readonly number: number;
  readonly beganAt: number;
  readonly endedAt: number;
  readonly nowMs: number;
};

type Scene = {
  readonly world: World;
  readonly reference: ReferenceLedger;
  readonly made: Wish[];
  readonly turns: Turn[];
  readonly clock: { nowMs: number };
};

/** Accounts of its own for each run; the world outside is everybody's, so its counters are told from where they stood. */
async function openScene({ open, outside, person }: TestLedger): Promise<Scene> {
  const wallets = [await open("wallet"), await open("wallet"), await open("wallet"), await open("wallet")];
  const [earnings, host] = [await open("earnings"), await open("earnings", { mayOverdraw: true })];
  const owner = await person();
  const [foreign = 0] = await db.transaction((tx) =>
    openAccounts(tx, [{ kind: "wallet", owner, currency: "XXX" }]),
  );
  const reference = new ReferenceLedger();
  const add = (id: number, currency: string, mayOverdraw: boolean): void => {
    reference.accounts.set(id, { currency, mayOverdraw, isOutside: id === outside, closed: false });
  };
  for (const id of [...wallets, earnings]) add(id, "XTS", false);
  add(host, "XTS", true);
  add(outside, "XTS", true);
  add(foreign, "XXX", false);
  const [a = 0, b = 0, c = 0, d = 0] = wallets;
  const good = [a, b, earnings, a, outside, b, c, earnings, host, d];
  return {
    world: { good, odd: [foreign, 9_999_999], outside, nextId: () => uuidv7() },
    reference,
    made: [],
    turns: [],
    clock: { nowMs },
  };
}

class Undone extends Error {}

/** Does it in a transaction, again while others are quicker; the turn that it was, unless it was rolled back. */
async function takeTurn(
  pool: Db,
  atMs: number,
  work: (tx: Tx) => Promise<Done>,
  isUndone = false,
): Promise<Turn | undefined> {
  const beganAt = performance.now();
  for (;;) {
    try {
      const turn = await pool.transaction(async (tx) => {
        const done = await work(tx);
        const { rows } = await tx.query<{ turn: number }>("select nextval('turn') as turn");
        if (isUndone) throw new Undone();
        return { ...done, number: rows[0]?.turn ?? 0 };
      });
      return { ...turn, nowMs: atMs, beganAt, endedAt: performance.now() };
    } catch (error) {
      if (error instanceof Undone) return undefined;
      if (!(error instanceof TransferTakenError)) throw error;
    }
  }
}

function makeMove({ world, made, clock }: Scene, pool: Db, move: Move): Promise<Turn | undefined> {
  if (move.do === "expire") clock.nowMs += move.passMs;
  const atMs = clock.nowMs;
  if (move.do === "batch") {
    const wishes = move.steps.map((step) => toWish(step, world, { made, nowMs: atMs }));
    return takeTurn(pool, atMs, (tx) => batchOf(tx, wishes, atMs), move.isUndone);
  }
  if (move.do === "expire")
    return takeTurn(pool, atMs, async (tx) => ({ kind: "expire", holds: await expireHolds(tx, atMs, 5) }));
  // The world outside stays open, or nobody would get anything.
  const open = world.good.filter((id) => id !== world.outside);
  const id = open[move.which % open.length] ?? 0;
  return takeTurn(pool, atMs, async (tx) => {
    await closeAccount(tx, id, atMs);
    return { kind: "close", id };
  });
}

async function batchOf(tx: Tx, wishes: readonly Wish[], atMs: number): Promise<Done> {
  return { kind: "batch", wishes, answers: await settle(tx, wishes, atMs) };
}

/** At every moment, whoever looks: nothing came from nowhere, and nobody owes what they must not. */
async function look(): Promise<void> {
  const { rows } = await db.query(
    `select currency from ledger_account group by currency
      having sum(debits_posted) <> sum(credits_posted) or sum(debits_pending) <> sum(credits_pending)
          or bool_or(not may_overdraw and debits_posted + debits_pending > credits_posted)`,
  );
  assert.deepEqual(rows, []);
}

async function play(scene: Scene, pool: Db, scripts: readonly (readonly Move[])[]): Promise<void> {
  const first = funding(scene.world);
  scene.made.push(...first);
  scene.turns.push((await takeTurn(pool, nowMs, (tx) => batchOf(tx, first, nowMs))) ?? assert.fail());
  const playing = { now: true };
  const players = scripts.map(async (script) => {
    for (const move of script) {
      const turn = await makeMove(scene, pool, move);
      if (turn !== undefined) scene.turns.push(turn);
    }
  });
  const looking = (async () => {
    while (playing.now) await look();
  })();
  try {
    await Promise.all(players);
  } finally {
    playing.now = false;
    await Promise.allSettled(players);
    await looking;
  }
}

/** The plain ledger does the same turns one after the other, and is to answer the same. */
function replay({ reference, turns }: Scene): void {
  const makers = new Map<string, Turn>();
  for (const turn of turns.toSorted((a, b) => a.number - b.number)) {
    if (turn.kind === "close") {
      const account = reference.accounts.get(turn.id) ?? assert.fail();
      account.closed = true;
    }
    if (turn.kind === "expire") for (const hold of turn.holds) reference.expire(hold, turn.nowMs);
    if (turn.kind !== "batch") continue;
    turn.wishes.forEach((wish, i) => {
      const answer = turn.answers[i] ?? assert.fail();
      const isNew = reference.past.every((past) => past.wish.id !== wish.id);
      const maker = "target" in wish ? makers.get(wish.target) : undefined;
      // Who looks for a transfer that is being made at the same moment may be the earlier of the two.
      const overlaps = maker !== undefined && maker !== turn && maker.endedAt > turn.beganAt;
      if (answer === "unknown_transfer" && isNew && overlaps) reference.note(wish, answer);
      else assert.equal(reference.settle(wish, turn.nowMs), answer, JSON.stringify(wish, bigintText));
      if (isNew) makers.set(wish.id, turn);
    });
  }
}

function bigintText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** What was committed is there, and nothing of what was rolled back. */
async function compare({ reference, made }: Scene, before: bigint): Promise<void> {
  const { rows } = await db.query<{ id: string; answer: Answer }>(
    "select id, coalesce(refused, 'done') as answer from ledger_transfer where id = any($1::uuid[]) order by id",
    [made.map(({ id }) => id)],
  );
  const past = reference.past.filter(({ wish }) => wish.kind !== "expiry");
  const expected = past.map(({ wish, answer }) => ({ id: wish.id, answer }));
  assert.deepEqual(
    rows,
    expected.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
  );
  for (const id of reference.accounts.keys()) {
    const { debitsPosted, creditsPosted, debitsPending, creditsPending, available } =
      await ledger.balance(id);
    const counted = reference.counters(id);
    if (id !== ledger.outside)
      assert.deepEqual(
        { debitsPosted, creditsPosted, debitsPending, creditsPending },
        counted,
        `account ${id}`,
      );
    else
      assert.equal(available - before, counted.creditsPosted - counted.debitsPosted - counted.debitsPending);
  }
}

test("whatever comes at the same moment and whatever is rolled back, it is as if all had come one after the other", async (t) => {
  const pool = openPool(db, connections);
  t.after(() => pool.close());
  const scripts = fc.array(fc.array(move, { maxLength: 10, size: "max" }), {
    minLength: connections,
    maxLength: connections,
  });
  const seen = new Map<Answer, number>();
  let turns = 0;
  await fc.assert(
    fc.asyncProperty(scripts, async (scripts) => {
      const scene = await openScene(ledger);
      const { available } = await ledger.balance(ledger.outside);
      await play(scene, pool, scripts);
      replay(scene);
      await compare(scene, available);
      // Of the run before nothing waits on: this one's clock begins anew.
      await db.transaction((tx) => expireHolds(tx, nowMs + 1_000_000));
      turns += scene.turns.length;
      for (const { answer } of scene.reference.past) seen.set(answer, (seen.get(answer) ?? 0) + 1);
    }),
    { numRuns: 60, endOnFailure: true },
  );
  t.diagnostic(`${turns} transactions: ${JSON.stringify(Object.fromEntries(seen))}`);
  assert.ok((seen.get("done") ?? 0) > 500, "money was moved");
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});
