import type { Deps, Module } from "./deps.ts";
import type { RunningRole } from "./roles.ts";
import { Worker } from "./worker/worker.ts";

/** Consumers and timers of all modules. */
export async function startWorker(deps: Deps, modules: readonly Module[]): Promise<RunningRole> {
  const worker = new Worker({
    ...deps,
    log: deps.log.child({ room: "worker" }),
    consumers: modules.flatMap(({ consumers }) => consumers),
    timers: modules.flatMap(({ timers }) => timers),
  });
  try {
    await worker.start();
  } catch (error) {
    await worker.stop();
    throw error;
  }
  return { stop: () => worker.stop() };
}
