import type { Deps } from "../../deps.ts";
import { type Halt, findHalt, liftHalt } from "../../ledger/halt.ts";
import { type Reconciled, reconcile } from "../../ledger/reconcile.ts";
import { expireHolds } from "../../ledger/expire-holds.ts";
import { settling } from "../../ledger/again.ts";

/** Holds that one transaction gives back. */
export const expireBatchMax = 500;
/** How long the last reconciling is good, milliseconds. */
export const reconcileEveryMs = 86_400_000;

type CareDeps = Pick<Deps, "db" | "clock" | "log">;

/** The last time that everything was computed anew, and how much did not add up then. */
export type LastReconciling = { readonly at: Date; readonly mismatchCount: number };
export type LedgerState = {
  readonly halt: Halt | undefined;
  readonly reconciled: LastReconciling | undefined;
};

/** What keeps the ledger right, and those who look after it informed. */
export type LedgerCare = {
  /**
   * Computes everything anew, and halts payouts on any mismatch. It takes the longer the more there ever was. What it finds is in the
   * log before anything else may fail, the halt included: then that is why in `haltFault`.
   */
  reconcile(signal?: AbortSignal): Promise<Reconciled>;
  /** The same, unless it was done within a day. */
  reconcileWhenDue(signal: AbortSignal): Promise<void>;
  state(): Promise<LedgerState>;
  /** Lets payouts be made again, and notes who (the fields of a line of the log) wished it. Resolves with what was before. */
  lift(who: Readonly<Record<string, string>>): Promise<LedgerState>;
  /** Gives back what holds have set aside whose end has come. */
  expireHolds(signal: AbortSignal): Promise<void>;
};

export function createLedgerCare({ db, clock, log }: CareDeps): LedgerCare {
  const run: LedgerCare["reconcile"] = async (signal) => {
    const found = await reconcile(db, clock.now(), signal);
    const { mismatchCount, mismatches, accounts, transfers, haltFault } = found;
    // First of all: what comes now may fail.
    if (haltFault !== undefined)
      log.error(
        { mismatchCount, mismatches, err: haltFault },
        "the ledger does not add up, and payouts GO ON: the halt could not be written",
      );
    else if (mismatchCount > 0)
      log.error({ mismatchCount, mismatches }, "the ledger does not add up: payouts are halted");
    else log.info({ accounts, transfers }, "the ledger adds up");
    // It is to be done again soon.
    if (haltFault !== undefined) return found;
    await db.query(
      `insert into wallet_reconciled (at, mismatch_count) values ($1, $2)
       on conflict (only_one) do update set at = excluded.at, mismatch_count = excluded.mismatch_count`,
      [new Date(clock.now()), mismatchCount],
    );
    return found;
  };
  const last = async (): Promise<LastReconciling | undefined> => {
    const { rows } = await db.query<LastReconciling>(
      `select at, mismatch_count as "mismatchCount" from wallet_reconciled`,
    );
    return rows[0];
  };
  return {
    reconcile: run,
    reconcileWhenDue: async (signal) => {
      const { at } = (await last()) ?? {};
      // In either direction: a clock that was far ahead once must not keep it from being done.
      if (at !== undefined && Math.abs(clock.now() - at.getTime()) < reconcileEveryMs) return;
      const { haltFault } = await run(signal);
      if (haltFault !== undefined) throw haltFault;
    },
    state: async () => ({ halt: await findHalt(db), reconciled: await last() }),
    lift: async (who) => {
      // Before it: once it is lifted, nothing may fail before that is in the log.
      const reconciled = await last();
      const halt = await liftHalt(db);
      if (halt !== undefined) {
        const { mismatchCount } = reconciled ?? {};
        log.warn({ ...who, why: halt.why, mismatchCount }, "the halt of payouts is lifted");
      }
      return { halt, reconciled };
    },
    expireHolds: async (signal) => {
      for (;;) {
        signal.throwIfAborted();
        const holds = await settling(db, (tx) => expireHolds(tx, clock.now(), expireBatchMax), signal);
        if (holds.length < expireBatchMax) return;
      }
    },
  };
}
