import type { Deps, Module } from "./deps.ts";
import { groupStates } from "./eventlog/consumer-admin.ts";
import { exposeGroups } from "./observe/group-metrics.ts";
import type { RunningRole } from "./roles.ts";
import { Worker } from "./worker/worker.ts";

/** Consumers and timers of all modules. */
export async function startWorker(
  deps: Deps,
  modules: readonly Module[],
  signal?: AbortSignal,
): Promise<RunningRole> {
  const worker = new Worker({
    ...deps,
    log: deps.log.child({ room: "worker" }),
    consumers: modules.flatMap(({ consumers }) => consumers),
    timers: modules.flatMap(({ timers }) => timers),
  });
  try {
    await worker.start(signal);
  } catch (error) {
    await worker.stop();
    throw error;
  }
  exposeLag(deps);
  return { stop: () => worker.stop() };
}

/** Where each group stands. A database that refuses or does not answer in time leaves the last figures. */
function exposeLag({ db, log, metrics }: Deps): void {
  exposeGroups(metrics.registry, async () => {
    try {
      return await groupStates(db);
    } catch (error) {
      log.debug({ err: error }, "lag could not be measured");
      return undefined;
    }
  });
}
