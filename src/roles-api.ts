import type { Deps, Module } from "./deps.ts";
import { groupStates } from "./eventlog/consumer-admin.ts";
import type { HealthChecks } from "./http/health.ts";
import { startHttp } from "./http/server.ts";
import { statsRoute } from "./http/stats.ts";
import type { RunningRole } from "./roles.ts";

/** Lag of a consumer from which on the server does not call itself ready, seconds. */
const lagMaxS = 60;
/** Wait for durability from which on it does not, milliseconds. */
const writerWaitMaxMs = 2_000;

/** The HTTP API of all modules. */
export async function startApi(deps: Deps, modules: readonly Module[]): Promise<RunningRole> {
  const { config } = deps;
  const http = await startHttp(deps, {
    routes: [...modules.flatMap(({ routes }) => routes), statsRoute(() => stats(deps))],
    health: healthChecks(deps),
    host: config.host,
    port: config.port,
  });
  return { api: http.address, leave: () => http.stopAccepting(), stop: () => http.close() };
}

function healthChecks({ db, eventlog }: Pick<Deps, "db" | "eventlog">): HealthChecks {
  return [
    {
      name: "database",
      check: async () => {
        await db.query("select 1");
        return { ok: true };
      },
    },
    {
      name: "eventlog",
      check: () => {
        const { entries, oldestMs } = eventlog.backlog();
        return Promise.resolve({
          ok: oldestMs < writerWaitMaxMs,
          pending_entries: entries,
          oldest_ms: Math.round(oldestMs),
        });
      },
    },
    {
      name: "consumers",
      check: async () => {
        const groups = await groupStates(db);
        const lagS = Math.max(0, ...groups.map(({ lagSeconds }) => lagSeconds));
        const lagEntries = groups.reduce((sum, group) => sum + group.lagEntries, 0);
        const dead = groups.reduce((sum, group) => sum + group.dead, 0);
        return {
          ok: lagS < lagMaxS,
          lag_seconds: Math.round(lagS),
          lag_entries: lagEntries,
          dead_letters: dead,
        };
      },
    },
  ];
}

async function stats({ db, eventlog }: Pick<Deps, "db" | "eventlog">): Promise<Record<string, unknown>> {
  const [heads, groups] = await Promise.all([eventlog.heads(), groupStates(db)]);
  const { entries, oldestMs } = eventlog.backlog();
  return {
    uptime_seconds: Math.round(process.uptime()),
    eventlog: {
      entries: heads.reduce((sum, head) => sum + head, 0),
      pending_entries: entries,
      oldest_pending_ms: Math.round(oldestMs),
      durability: eventlog.capabilities.durability,
    },
    groups: Object.fromEntries(
      groups.map(({ group, lagEntries, lagSeconds, parked, dead }) => [
        group,
        { lag_entries: lagEntries, lag_seconds: lagSeconds, parked, dead },
      ]),
    ),
    database: db.load(),
    memory: { rss_bytes: process.memoryUsage.rss() },
  };
}
