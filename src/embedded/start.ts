import { pause } from "../lib/backoff.ts";
import { makePrivateDir, removeFarSocketDir } from "./directories.ts";
import { type Exit, type Leash, startOnLeash } from "./leash.ts";
import { readPostmasterFile, stopOrphan } from "./postmaster.ts";
import { foreignSystem, programEnv } from "./program.ts";
import { serverArguments } from "./settings.ts";
import { settlesWithin } from "./settles-within.ts";
import { bringDown } from "./shutdown.ts";
import type { Running, Site } from "./site.ts";
import { type StartFailure, type StartLog, openStartLog } from "./start-log.ts";

/** A start after a crash first works through the write-ahead log, up to `max_wal_size` of it. */
const readyTimeoutMs = 600_000;
const readyPollMs = 20;
/** Any longer, and it is recovering. */
const ordinaryStartMs = 3_000;

/**
 * Starts PostgreSQL and waits until it takes connections. `stalePid` is what the lock file of a dead one names.
 * Answers why it did not start, or undefined if `signal` was aborted meanwhile; then nothing is left running.
 */
export async function startOwn(
  site: Site,
  stalePid: number | undefined,
  signal: AbortSignal,
): Promise<Running | StartFailure | undefined> {
  makePrivateDir(site.layout.sockets, site.account);
  const startLog = openStartLog(site.layout);
  try {
    return await startLogged(site, { stalePid, signal, startLog });
  } finally {
    startLog.close();
  }
}

async function startLogged(
  site: Site,
  attempt: {
    readonly stalePid: number | undefined;
    readonly signal: AbortSignal;
    readonly startLog: StartLog;
  },
): Promise<Running | StartFailure | undefined> {
  const { signal, startLog } = attempt;
  const leash = launch(site, attempt.stalePid, startLog.fd);
  let exit: Exit | undefined;
  void leash.ended.then((value) => {
    exit = value;
  });
  let pid: number | undefined;
  void leash.postgres.then((value) => {
    pid = value;
  });
  const stop = async (): Promise<void> => {
    await stopLeash(leash, site.layout.cluster);
    removeFarSocketDir(site.layout);
  };
  try {
    const ready = await untilReady(site, { pid: () => pid, signal, hasEnded: () => exit !== undefined });
    if (ready && pid !== undefined) return { pid, adopted: false, ended: leash.ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
  if (exit === undefined) {
    await stop();
    if (signal.aborted) return undefined;
    return { reason: `it was not ready within ${readyTimeoutMs / 1_000} seconds`, occupied: false };
  }
  const { code, broken } = exit;
  if (broken !== undefined) return { reason: broken, occupied: false };
  const failure = startLog.explain();
  // The shell's answers for a program that cannot be executed or is not found.
  if (code === 126 || code === 127) throw foreignSystem(failure.reason);
  return failure.reason === "" ? { ...failure, reason: `it ended with ${JSON.stringify(exit)}` } : failure;
}

function launch(site: Site, stalePid: number | undefined, stderr: number): Leash {
  const { layout, account, settings } = site;
  return startOnLeash([site.binaries.postgres, ...serverArguments(layout, settings)], {
    stderr,
    account,
    env: {
      ...programEnv(),
      // PostgreSQL takes a lock file for live if any process of the same user has the number in it, which after a
      // restart of a container is likely. It makes an exception for the number named here; that this process is
      // not a postmaster has been verified, and the shared memory is checked all the same.
      ...(stalePid === undefined ? {} : { PG_GRANDPARENT_PID: String(stalePid) }),
    },
  });
}

async function untilReady(
  site: Site,
  start: { readonly signal: AbortSignal; pid(): number | undefined; hasEnded(): boolean },
): Promise<boolean> {
  const startedMs = performance.now();
  let recovering = false;
  while (!start.hasEnded() && !start.signal.aborted) {
    const file = await readPostmasterFile(site.layout.cluster);
    if (file !== undefined && file.pid === start.pid() && file.status === "ready") return true;
    const elapsedMs = performance.now() - startedMs;
    if (elapsedMs > readyTimeoutMs) return false;
    if (elapsedMs > ordinaryStartMs && !recovering) {
      recovering = true;
      site.progress("waiting until PostgreSQL has recovered");
    }
    await pause(readyPollMs, start.signal);
  }
  return false;
}

async function stopLeash(leash: Leash, cluster: string): Promise<void> {
  try {
    await bringDown({
      send: (signal) => leash.order(signal),
      goneWithin: (ms) => settlesWithin(leash.ended, ms),
    });
  } finally {
    leash.release();
  }
  // If the shell was killed, its postgres is still there, without a leash.
  await stopOrphan(cluster);
}
