import type { Deps, Module } from "./deps.ts";
import { groupStates, stoppedPartitions } from "./eventlog/consumer-admin.ts";
import { asyncApiRoute } from "./gateway/asyncapi.ts";
import { eventStreamRoute } from "./gateway/event-stream.ts";
import type { HealthChecks } from "./http/health.ts";
import type { Gateway } from "./gateway/gateway.ts";
import { startHttp } from "./http/server.ts";
import { statsRoute } from "./http/stats.ts";
import { version } from "./http/version.ts";
import type { RunningRole } from "./roles.ts";

/** Lag of a consumer from which on the server does not call itself ready, seconds. */
const lagMaxS = 60;
/** Wait for durability from which on it does not, milliseconds. */
const writerWaitMaxMs = 2_000;

/** The roles that listen: the HTTP API of all modules, the gateway, or both on one port. */
export async function startHttpRoles(deps: Deps, modules: readonly Module[]): Promise<RunningRole> {
  const { endedSessions } = deps.access;
  // Nobody is let in before it is known whose sign-ins have ended.
  await endedSessions.start();
  try {
    const role = await listenFor(deps, modules);
    const stop = async (): Promise<void> => {
      await role.stop();
      await endedSessions.stop();
    };
    return { ...role, stop };
  } catch (error) {
    await endedSessions.stop();
    throw error;
  }
}

async function listenFor(deps: Deps, modules: readonly Module[]): Promise<RunningRole> {
  const { config } = deps;
  const gateway = config.roles.includes("gateway") ? await openGateway(deps, modules) : undefined;
  const askNoMore = gateway === undefined ? undefined : deps.presence.ask(gateway.presence);
  const routes = [
    asyncApiRoute(modules, version),
    ...(gateway === undefined ? [] : [eventStreamRoute(gateway)]),
    ...(config.roles.includes("api")
      ? [...modules.flatMap((module) => module.routes), statsRoute(() => stats(deps, gateway))]
      : []),
  ];
  try {
    const http = await startHttp(deps, {
      routes,
      health: healthChecks(deps, gateway),
      host: config.host,
      port: config.port,
      onUpgrade: gateway === undefined ? undefined : (upgrade) => void gateway.entrance.upgrade(upgrade),
    });
    return {
      api: http.address,
      leave: () => {
        http.stopAccepting();
        gateway?.leave();
      },
      stop: async () => {
        askNoMore?.();
        await gateway?.close();
        await http.close();
      },
    };
  } catch (error) {
    askNoMore?.();
    await gateway?.close();
    throw error;
  }
}

async function openGateway(deps: Deps, modules: readonly Module[]): Promise<Gateway> {
  const { Gateway } = await import("./gateway/gateway.ts");
  return Gateway.start({ ...deps, log: deps.log.child({ room: "gateway" }) }, modules);
}

function healthChecks(
  { db, eventlog }: Pick<Deps, "db" | "eventlog">,
  gateway: Gateway | undefined,
): HealthChecks {
  return [
    ...(gateway === undefined ? [] : [gatewayCheck(gateway)]),
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
        // A partition that is full waits for a person because of one topic: no reason to send everybody away.
        const moving = groups
          .flatMap(({ partitions }) => partitions)
          .filter(({ stopped }) => stopped !== "full");
        const lagS = Math.max(0, ...moving.map(({ lagSeconds }) => lagSeconds));
        const stopped = groups.map(stoppedPartitions);
        const expired = stopped.reduce((sum, { expired }) => sum + expired, 0);
        return {
          ok: lagS < lagMaxS && expired === 0,
          lag_seconds: Math.round(lagS),
          lag_entries: groups.reduce((sum, { lagEntries }) => sum + lagEntries, 0),
          dead_letters: groups.reduce((sum, { dead }) => sum + dead, 0),
          expired_partitions: expired,
          full_partitions: stopped.reduce((sum, { full }) => sum + full, 0),
        };
      },
    },
  ];
}

function gatewayCheck({ probe }: Gateway): HealthChecks[number] {
  return {
    name: "gateway",
    check: () => Promise.resolve({ ok: probe.ok, delivery_ms: Math.round(probe.lastMs ?? 0) }),
  };
}

async function stats(
  { db, eventlog }: Pick<Deps, "db" | "eventlog">,
  gateway: Gateway | undefined,
): Promise<Record<string, unknown>> {
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
      groups.map((state) => [
        state.group,
        {
          lag_entries: state.lagEntries,
          lag_seconds: state.lagSeconds,
          parked: state.parked,
          dead: state.dead,
          expired_partitions: stoppedPartitions(state).expired,
          full_partitions: stoppedPartitions(state).full,
        },
      ]),
    ),
    ...(gateway === undefined
      ? {}
      : { gateway: { connections: gateway.connections, topics: gateway.hub.topics } }),
    database: db.load(),
    memory: { rss_bytes: process.memoryUsage.rss() },
  };
}
