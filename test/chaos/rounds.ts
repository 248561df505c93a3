import { settlesWithin } from "../../src/embedded/settles-within.ts";
import { pause } from "../../src/lib/backoff.ts";
import type { Ledger } from "./ledger.ts";
import type { Prng } from "./prng.ts";
import { postmasterPid } from "./processes.ts";
import type { Server } from "./server.ts";

export type Round = {
  readonly victim: "server" | "postgres";
  /** A second kill, this long after the first one: while whoever was killed starts again. */
  readonly againAfterMs: number | undefined;
  /** Ordinary traffic before it. */
  readonly trafficMs: number;
};

export type RoundResult = {
  /** From the last kill until the server was ready again; undefined when it was not within the bound. */
  readonly readyMs: number | undefined;
  /** Requests that were on their way at the moment of the kill. */
  readonly inFlight: number;
  readonly kills: number;
};

export const readyLimitMs = 5_000;
/** A server that is not ready in time is waited for all the same: what it has lost is worth knowing. */
const patienceMs = 30_000;
const trafficMs = { min: 300, max: 1_800 } as const;
const startUpShare = 0.35;
/** Within which a server, and a PostgreSQL, are still starting. */
const startUpMs = { server: 700, postgres: 120 } as const;

/**
 * Which process is killed when. Between two kills of the server there are at most two of PostgreSQL: the supervisor
 * takes longer each time that one dies young, and that is not what is measured here.
 */
export function planRounds(
  counts: { readonly server: number; readonly postgres: number },
  prng: Prng,
): Round[] {
  const gaps = Array.from({ length: 2 * (counts.server + 1) }, (_, i) => i >> 1);
  const chosen = prng.shuffled(gaps).slice(0, counts.postgres);
  const victims = Array.from({ length: counts.server + 1 }, (_, gap) => [
    ...chosen.filter((other) => other === gap).map(() => "postgres" as const),
    ...(gap < counts.server ? (["server"] as const) : []),
  ]).flat();
  return victims.map((victim) => ({
    victim,
    againAfterMs: prng.chance(startUpShare) ? prng.between(0, startUpMs[victim]) : undefined,
    trafficMs: prng.between(trafficMs.min, trafficMs.max),
  }));
}

export type Scene = {
  readonly server: Server;
  readonly ledger: Pick<Ledger, "inFlight">;
  /** Sends one message more and resolves when it is acknowledged. */
  readonly probe: () => Promise<void>;
};

export async function runRound(round: Round, scene: Scene): Promise<RoundResult> {
  await pause(round.trafficMs);
  // Chance also finds moments in which all connections pause.
  while (scene.ledger.inFlight === 0) await pause(1);
  return round.victim === "server" ? killServer(round, scene) : killPostgres(round, scene);
}

async function killServer({ againAfterMs }: Round, { server, ledger }: Scene): Promise<RoundResult> {
  const { inFlight } = ledger;
  let killedMs = performance.now();
  await server.kill();
  server.start();
  if (againAfterMs !== undefined) {
    await pause(againAfterMs);
    killedMs = performance.now();
    await server.kill();
    server.start();
  }
  const ready = await server.untilReady(patienceMs);
  return result(ready, { killedMs, inFlight, kills: againAfterMs === undefined ? 1 : 2 });
}

/** The server must find its way back by itself; it counts as ready when it also makes messages durable again. */
async function killPostgres({ againAfterMs }: Round, scene: Scene): Promise<RoundResult> {
  const { server, ledger, probe } = scene;
  const { inFlight } = ledger;
  let killedMs = performance.now();
  let killed = await killPostmaster(server.dataDir, undefined);
  let kills = 1;
  if (againAfterMs !== undefined) {
    killed = await killPostmaster(server.dataDir, { not: killed, afterMs: againAfterMs });
    killedMs = performance.now();
    kills++;
  }
  const deadline = performance.now() + patienceMs;
  const back = async (): Promise<boolean> => {
    const pid = await postmasterPid(server.dataDir, "ready");
    return pid !== undefined && pid !== killed;
  };
  while (!(await back()) && performance.now() < deadline) await pause(10);
  // Readiness is answered from a memory of up to a second: only a message made durable proves the new PostgreSQL.
  await settlesWithin(probe(), patienceMs);
  const ready = await server.untilReady(patienceMs);
  return result(ready, { killedMs, inFlight, kills });
}

/** `kill -9` of the postmaster; of the next one (not `not`) a moment after it has appeared. Resolves with its pid. */
async function killPostmaster(
  dataDir: string,
  next: { readonly not: number; readonly afterMs: number } | undefined,
): Promise<number> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const pid = await postmasterPid(dataDir, next === undefined ? "ready" : "any");
    if (pid !== undefined && pid !== next?.not) {
      await pause(next?.afterMs ?? 0);
      process.kill(pid, "SIGKILL");
      return pid;
    }
    if (performance.now() > deadline) throw new Error("there is no PostgreSQL to kill");
    await pause(2);
  }
}

function result(
  ready: boolean,
  facts: { readonly killedMs: number; readonly inFlight: number; readonly kills: number },
): RoundResult {
  const { killedMs, inFlight, kills } = facts;
  return { readyMs: ready ? performance.now() - killedMs : undefined, inFlight, kills };
}
