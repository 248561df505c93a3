import { uuidv7 } from "../protocol/ids.ts";
import type { Deps, Module } from "./deps.ts";
import { groupStates } from "./eventlog/consumer-admin.ts";
import { Presence } from "./gateway/presence.ts";
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
  const listening = listenForPresence(deps);
  const stop = async (): Promise<void> => {
    await worker.stop();
    listening?.();
  };
  try {
    await worker.start(signal);
  } catch (error) {
    await stop();
    throw error;
  }
  exposeLag(deps);
  return { stop };
}

/** Where no gateway runs in this process, it hears from those of others who is there. Returns what ends that. */
function listenForPresence({ config, signals, presence }: Deps): (() => void) | undefined {
  if (config.roles.includes("gateway")) return undefined;
  // Nobody is connected here, so nobody is told of changes.
  const heard = new Presence({ node: uuidv7(), signals, post: () => undefined });
  const askNoMore = presence.ask(heard);
  return () => {
    askNoMore();
    heard.stop();
  };
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
