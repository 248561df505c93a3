import type { manualClock } from "../../../test/harness.ts";
import type { Entry } from "../../eventlog/eventlog.ts";
import type { NotificationStore } from "./store.ts";

/**
 * What the suite of a store (`store.contract.ts`) needs of one: the store with nobody in it, the clock that it goes by, the log
 * that it tells of everything, and a look at what it keeps. It says nothing of where that is kept.
 */
export type StoreUnderTest = {
  readonly store: NotificationStore;
  readonly clock: ReturnType<typeof manualClock>;
  /** A person who was not there before. */
  readonly person: () => Promise<number>;
  /** What the log holds of a person, in order. */
  readonly entries: (userId: number) => Promise<readonly Entry[]>;
  /** The words of what was accepted for a person and is kept to be told later, in no order. */
  readonly held: (userId: number) => Promise<readonly string[]>;
  /** Rejects where what the store counts for a person is not what it keeps for them, by whatever it counts and keeps. */
  readonly audit: (userId: number) => Promise<void>;
  /** What one step of `release` tells, or closes, and one of `expire` removes at most: the suite asks for more. */
  readonly stepMax: { readonly told: number; readonly closed: number; readonly removed: number };
};
