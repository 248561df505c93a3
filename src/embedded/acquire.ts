import { pause } from "../lib/backoff.ts";
import { StartupError } from "../lib/errors.ts";
import { answers } from "./database.ts";
import { inspectPostmaster, isPostmaster, stopOrphan } from "./postmaster.ts";
import type { Running, Site } from "./site.ts";
import { startOwn } from "./start.ts";

/** How long another postmaster, or the rest of one, may stand in the way. */
const takeoverTimeoutMs = 30_000;
const retryFirstMs = 100;
const retryMaxMs = 1_000;
const adoptedPollMs = 250;

/**
 * Gets a PostgreSQL for the data directory: uses the one that another living process holds, stops one that nobody
 * holds, waits for one that is neither up nor gone, and starts one where there is none. The lock file of PostgreSQL
 * decides between processes that start at the same time; the loser comes round again and finds the winner's.
 * Undefined once `signal` is aborted.
 */
export async function acquire(site: Site, signal: AbortSignal): Promise<Running | undefined> {
  const { cluster } = site.layout;
  const deadline = performance.now() + takeoverTimeoutMs;
  let backoffMs = retryFirstMs;
  let obstacle: string | undefined;
  while (!signal.aborted) {
    const found = await inspectPostmaster(cluster);
    if (found.kind === "leashed") {
      if (await answers(site.address)) return adopt(found.pid, cluster, signal);
      if (obstacle === undefined) site.progress("waiting for the PostgreSQL of another process");
      obstacle = `PostgreSQL process ${found.pid}, which another process holds, takes no connections`;
    } else if (found.kind === "orphan") {
      site.progress("stopping a PostgreSQL that was left behind");
      site.log.warn({ postmaster: found.pid }, "orphaned PostgreSQL found");
      await stopOrphan(cluster);
      continue;
    } else if (found.stalePid !== undefined && (await answers(site.address))) {
      // Containers that share the directory do not see each other's processes, and PostgreSQL's lock is no help.
      obstacle =
        "a PostgreSQL answers there that is no process of this system, but perhaps of another container";
    } else {
      const started = await startOwn(site, found.stalePid, signal);
      if (started === undefined || "pid" in started) return started;
      obstacle = started.reason;
      if (!started.occupied) throw new StartupError(`PostgreSQL does not start: ${obstacle}`);
    }
    if (performance.now() >= deadline) {
      throw new StartupError(`The database in ${cluster} does not become free: ${obstacle}`);
    }
    await pause(backoffMs, signal);
    backoffMs = Math.min(backoffMs * 2, retryMaxMs);
  }
  return undefined;
}

function adopt(pid: number, cluster: string, signal: AbortSignal): Running {
  const watch = async (): Promise<undefined> => {
    while (!signal.aborted && (await isPostmaster(pid, cluster))) await pause(adoptedPollMs, signal);
  };
  return { pid, adopted: true, ended: watch(), stop: async () => undefined };
}
