import { Gauge } from "prom-client";
import type { Deps, Module } from "./deps.ts";
import { groupStates } from "./eventlog/consumer-admin.ts";
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
  exposeLag(deps);
  return { stop: () => worker.stop() };
}

/** Where each group stands, asked for when somebody looks. A database that does not answer leaves the last figures. */
function exposeLag({ db, log, metrics }: Deps): void {
  const registers = [metrics.registry];
  const labelNames = ["group"] as const;
  const seconds = new Gauge({
    name: "eventlog_group_lag_seconds",
    help: "Age of the oldest entry that a group has not looked at",
    labelNames,
    registers,
    async collect() {
      try {
        for (const state of await groupStates(db)) {
          seconds.set({ group: state.group }, state.lagSeconds);
          entries.set({ group: state.group }, state.lagEntries);
        }
      } catch (error) {
        log.debug({ err: error }, "lag could not be measured");
      }
    },
  });
  const entries = new Gauge({
    name: "eventlog_group_lag_entries",
    help: "Entries between a group's checkpoints and the log's end",
    labelNames,
    registers,
  });
}
