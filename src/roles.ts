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

/** What a process can be, loaded only where it is started. The API and the gateway share one port. */
export const roles: Readonly<Record<"http" | "worker", () => Promise<StartRole>>> = {
  http: async () => (await import("./roles-http.ts")).startHttpRoles,
  worker: async () => (await import("./roles-worker.ts")).startWorker,
};
