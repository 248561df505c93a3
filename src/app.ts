import { type DevelopmentKey, developmentKeyFile, ensureDevelopmentKey } from "./access/development.ts";
import type { Config } from "./config.ts";
import type { Deps } from "./deps.ts";
import { type Foundation, type FoundationOptions, openFoundation } from "./foundation.ts";
import { requireFreePorts } from "./free-ports.ts";
import { pause } from "./lib/backoff.ts";
import { boundTo } from "./lib/db.ts";
import { createModules } from "./modules.ts";
import { ensureDemoSource } from "./modules/inbox/sources.ts";
import { startMetricsServer } from "./observe/metrics-server.ts";
import { type RunningRole, roles } from "./roles.ts";

export type AppOptions = FoundationOptions & {
  /** Whether a first start may make the development key. */
  readonly developmentKeyAllowed?: boolean;
};

export type App = AsyncDisposable & {
  readonly deps: Deps;
  readonly api?: { readonly host: string; readonly port: number };
  readonly metricsPort?: number;
  readonly entrance: Entrance;
  /** Resolves when every consumer has handled what the log holds now, parked entries included. */
  drain(): Promise<void>;
  /** Finishes what was accepted and closes everything. */
  close(): Promise<void>;
};

/** With which API key a person gets in. */
export type Entrance =
  /** One that this very first start has made: it is shown now and never again. */
  | { readonly kind: "made"; readonly key: string; readonly file: string }
  /** The one that the first start made, in its file. */
  | { readonly kind: "kept"; readonly file: string }
  /** One of their own. */
  | { readonly kind: "own" }
  /** None: nobody has a key yet. */
  | { readonly kind: "none" };

/** How often `drain` looks, milliseconds. */
const drainLookMs = 10;
/** How often the use of API keys is written down, milliseconds. */
const keyUsageEveryMs = 60_000;

/** The server: foundation, modules, and the roles that this process takes. */
export async function createApp(config: Config, options: AppOptions): Promise<App> {
  await using stack = new AsyncDisposableStack();
  const { log, signal } = options;
  // Each step begins by asking whether the server is still wanted.
  const onProgress = (step: string): void => {
    signal?.throwIfAborted();
    options.onProgress?.(step);
  };
  await requireFreePorts(config);
  const foundation = stack.use(await openFoundation(config, { ...options, onProgress }));
  const { deps } = foundation;
  onProgress("connecting to the log");
  await foundation.patiently(() => deps.eventlog.connect(signal));
  const modules = createModules(deps);
  for (const module of modules.all) {
    if (module.prepare === undefined) continue;
    onProgress(`preparing the ${module.name}`);
    await foundation.patiently(async () => module.prepare?.(signal));
  }
  onProgress("looking up API keys");
  const entrance = await openEntrance(foundation, options);

  const usage = setInterval(() => void foundation.apiKeys.flushUsage(), keyUsageEveryMs);
  stack.defer(() => clearInterval(usage));
  const running: RunningRole[] = [];
  // The worker first: what the API accepts from its first request on is worked on.
  for (const role of wantedRoles(deps.config)) {
    onProgress(role === "worker" ? "starting the worker" : "listening");
    const start = await roles[role]();
    const started = await foundation.patiently(() => start(deps, modules.all, signal));
    running.push(started);
    stack.defer(() => started.stop());
  }
  const metricsPort = await openMetrics(deps, stack);
  const api = running.find((role) => role.api !== undefined)?.api;
  signal?.throwIfAborted();

  const opened = stack.move();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    for (const role of running) role.leave?.();
    closing ??= opened.disposeAsync();
    return closing;
  };
  log.info({ api, metricsPort, roles: deps.config.roles }, "ready");
  return {
    deps,
    ...(api === undefined ? {} : { api }),
    ...(metricsPort === undefined ? {} : { metricsPort }),
    entrance,
    drain: () => drain(deps),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function wantedRoles({ roles: names }: Config): readonly (keyof typeof roles)[] {
  const http = names.includes("api") || names.includes("gateway");
  return [...(names.includes("worker") ? (["worker"] as const) : []), ...(http ? (["http"] as const) : [])];
}

/** Finds out how a person gets in; a first start with a database of its own makes a key. */
async function openEntrance(foundation: Foundation, options: AppOptions): Promise<Entrance> {
  const { deps, apiKeys, embedded, patiently } = foundation;
  // A process without an API shows nobody a key.
  const mayMake = embedded && options.developmentKeyAllowed === true && deps.config.roles.includes("api");
  const { dataDir } = deps.config;
  const db = boundTo(deps.db, options.signal);
  if (mayMake) {
    const { log } = deps;
    const sourceId = (): Promise<number> => ensureDemoSource(db);
    const key = await patiently(() => ensureDevelopmentKey({ db, dataDir, apiKeys, sourceId, log }));
    if (key !== undefined) return entranceOf(key, developmentKeyFile(dataDir));
  }
  const now = deps.clock.now();
  const keys = await patiently(() => apiKeys.list(db));
  const good = keys.some(
    ({ revokedAt, expiresAt }) =>
      revokedAt === undefined && (expiresAt === undefined || expiresAt.getTime() > now),
  );
  return { kind: good ? "own" : "none" };
}

function entranceOf({ secret, created }: DevelopmentKey, file: string): Entrance {
  return created ? { kind: "made", key: secret, file } : { kind: "kept", file };
}

async function openMetrics(deps: Deps, stack: AsyncDisposableStack): Promise<number | undefined> {
  const { config, log, metrics } = deps;
  const server = await startMetricsServer(
    { metrics, log },
    { host: config.metricsHost, port: config.metricsPort },
  );
  stack.defer(() => server?.close());
  return server?.address.port;
}

async function drain({ db, eventlog }: Deps): Promise<void> {
  const heads = await eventlog.heads();
  for (;;) {
    const { rows } = await db.query<{ behind: boolean }>(
      `select exists (select from eventlog_group g join unnest($1::bigint[]) with ordinality h(head, part) on h.part - 1 = g.part
                       where g.checkpoint < h.head)
           or exists (select from eventlog_parked p where p.state = 'parked' and not exists (
                       select from eventlog_parked d where d.group_name = p.group_name and d.topic = p.topic and d.state = 'dead')) as behind`,
      [heads],
    );
    if (rows[0]?.behind === false) return;
    await pause(drainLookMs);
  }
}
