import type { DbAddress } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import type { Account } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import type { Layout } from "./layout.ts";
import type { Exit } from "./leash.ts";

/** All that is needed to start PostgreSQL on one data directory, again and again. */
export type Site = {
  readonly layout: Layout;
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly settings: Readonly<Record<string, string>>;
  readonly address: DbAddress;
  readonly log: Logger;
  readonly progress: (step: string) => void;
};

/** A PostgreSQL that takes connections: our own, on a leash, or one that another process holds. */
export type Running = {
  readonly pid: number;
  readonly adopted: boolean;
  /** Resolves when it is gone; for an adopted one also when nobody watches any more. */
  readonly ended: Promise<Exit | undefined>;
  /** Stops our own; leaves an adopted one alone. */
  stop(): Promise<void>;
};
