/**
 * The part of graphile-worker that the bench uses, so that the types hold where `bench/node_modules` is not installed.
 */
declare module "graphile-worker" {
  import type { EventEmitter } from "node:events";
  import type { Pool, PoolClient } from "pg";

  export type Logger = { readonly scope: unknown };
  export const Logger: new (factory: () => () => void) => Logger;

  export type JobHelpers = {
    readonly withPgClient: <T>(callback: (client: PoolClient) => Promise<T>) => Promise<T>;
  };

  export type Options = {
    readonly pgPool: Pool;
    readonly logger: Logger;
    readonly preset: {
      readonly worker: {
        readonly logger: Logger;
        readonly concurrentJobs?: number;
        readonly localQueue?: { readonly size: number };
        readonly completeJobBatchDelay?: number;
        readonly failJobBatchDelay?: number;
      };
    };
  };

  export type RunnerOptions = Options & {
    readonly taskList: Readonly<Record<string, (payload: never, helpers: JobHelpers) => Promise<void>>>;
    readonly noHandleSignals: boolean;
    readonly parsedCronItems: readonly never[];
    readonly events: EventEmitter;
  };

  export function run(options: RunnerOptions): Promise<{ stop(): Promise<void> }>;

  export type WorkerUtils = {
    migrate(): Promise<void>;
    addJobs(jobs: readonly { readonly identifier: string; readonly payload: unknown }[]): Promise<unknown>;
    release(): Promise<void>;
  };

  export function makeWorkerUtils(options: Options): Promise<WorkerUtils>;
}
