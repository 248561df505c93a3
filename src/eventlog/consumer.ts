import type { Tx } from "../lib/db.ts";
import type { Entry } from "./eventlog.ts";

/**
 * A consumer group: its name, what it wants and what it does. The runtime (`runner.ts`) gives it every retained
 * entry of its types at least once, in order per topic, and moves its checkpoint in the transaction of its effects.
 */
export type Consumer = {
  /** Unique, stable name: it owns the checkpoints. */
  readonly group: string;
  /**
   * `projection`: builds tables through `tx` only, may be replayed.
   * `reaction`: has outside effects (mail, push, HTTP), at least once, idempotent by (group, entry id), never replayed.
   */
  readonly kind: "projection" | "reaction";
  /** Entry types it handles; others pass by. */
  readonly types: readonly string[];
  /** Where a group that has no checkpoint yet begins: the oldest retained entry, or only what comes from now on. */
  readonly start: "first" | "head";
  /**
   * What happens to a topic after one of its entries became a dead letter: `skip` goes on with the next entry,
   * `quarantine-topic` parks all later ones behind it until it is retried or dropped.
   */
  readonly onPoison: "skip" | "quarantine-topic";
  /** Entries per batch, 1..1000. */
  readonly batchMax: number;
  /** Attempts at an entry before it becomes a dead letter. */
  readonly attemptsMax: number;
  /**
   * How long one call of `handle` may take, milliseconds; `handleMaxMs` of `runner-handle.ts` unless given, and no more
   * than a transaction may be silent (`idleInTransactionMaxMs`). One that takes longer is rolled back and counts as
   * failed. Nothing else of the group is handled meanwhile.
   */
  readonly handleMaxMs?: number;
  /**
   * This process has begun to work on more partitions, whose entries another may have handled before, or its database has
   * failed over: what the consumer remembers of its tables beside them may be outdated. Called between two batches.
   */
  onTakeOver?(): void;
  /**
   * Handles entries, in log order per topic, from one or several partitions. Effects through `tx` commit together
   * with the checkpoint. Throwing rolls all of it back, and what was thrown says what follows (`runner-faults.ts`): the
   * server's own database, when it is away, is waited for without limit; after anything else, be it that a mail server
   * cannot be reached, the failing entry is looked for by halving the batch, though when it took too long, only after some attempts at the whole. The signal is aborted when the call
   * has been given up: nothing it does through `tx` counts any more, and it should end.
   */
  handle(entries: readonly Entry[], tx: Tx, signal: AbortSignal): Promise<void>;
};
