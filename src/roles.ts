import type { RoleName } from "./config.ts";
import type { Deps, Module } from "./deps.ts";

/** A role that runs: `stop` finishes what it has begun. */
export type RunningRole = {
  readonly api?: { readonly host: string; readonly port: number };
  /** Announces the end; nothing new is begun where that can be helped. */
  leave?(): void;
  stop(): Promise<void>;
};

/** The signal gives up the start, and means nothing to the role that runs. */
type StartRole = (
  deps: Deps,
  modules: readonly Module[],
  signal: AbortSignal | undefined,
) => Promise<RunningRole>;

/** What a process can be. Loaded only where it is started. */
export const roles: Readonly<Record<RoleName, () => Promise<StartRole>>> = {
  api: async () => (await import("./roles-api.ts")).startApi,
  worker: async () => (await import("./roles-worker.ts")).startWorker,
};
