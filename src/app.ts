import { ensureDevelopmentKey } from "./access/development.ts";
import type { Config } from "./config.ts";
import type { Deps } from "./deps.ts";
import { groupStates, replayGroup, type GroupState } from "./eventlog/consumer-admin.ts";
import * as deadLetters from "./eventlog/dead-letters.ts";
import { type Foundation, type FoundationOptions, openFoundation } from "./foundation.ts";
import { pause } from "./lib/backoff.ts";
import { decodeCursor, encodeCursor } from "./lib/cursor.ts";
import { createModules } from "./modules.ts";
import { ensureDemoSource, type Sources } from "./modules/inbox/sources.ts";
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
  /** There on the very first start only. */
  readonly firstRun?: { readonly key: string };
  /** Resolves when every consumer has handled what the log holds now, parked entries included. */
  drain(): Promise<void>;
  /** Finishes what was accepted and closes everything. */
  close(): Promise<void>;
};

/** How often `drain` looks, milliseconds. */
const drainLookMs = 10;
/** How often the use of API keys is written down, milliseconds. */
const keyUsageEveryMs = 60_000;

/** The server: foundation, modules, and the roles that this process takes. */
export async function createApp(config: Config, options: AppOptions): Promise<App> {
  await using stack = new AsyncDisposableStack();
  const { log, onProgress = () => undefined } = options;
  const foundation = stack.use(await openFoundation(config, options));
  const { deps } = foundation;
  const modules = createModules(deps);
  const firstRun = await developmentKey(foundation, options);

  onProgress("starting");
  const usage = setInterval(() => void foundation.apiKeys.flushUsage(), keyUsageEveryMs);
  stack.defer(() => clearInterval(usage));
  const running: RunningRole[] = [];
  // The worker first: what the API accepts from its first request on is worked on.
  for (const role of (["worker", "api"] as const).filter((name) => deps.config.roles.includes(name))) {
    const start = await roles[role]();
    const started = await start(deps, modules.all);
    running.push(started);
    stack.defer(() => started.stop());
  }
  const metricsPort = await openMetrics(deps, stack);
  const api = running.find((role) => role.api !== undefined)?.api;

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
    ...(firstRun === undefined ? {} : { firstRun }),
    drain: () => drain(deps),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function developmentKey(
  foundation: Foundation,
  options: AppOptions,
): Promise<{ readonly key: string } | undefined> {
  if (!foundation.embedded || options.developmentKeyAllowed !== true) return undefined;
  const { deps, apiKeys } = foundation;
  const key = await ensureDevelopmentKey({
    dataDir: deps.config.dataDir,
    apiKeys,
    sourceId: () => ensureDemoSource(deps.db),
    log: deps.log,
  });
  return key?.created === true ? { key: key.secret } : undefined;
}

async function openMetrics(deps: Deps, stack: AsyncDisposableStack): Promise<number | undefined> {
  const { config, log, metrics } = deps;
  const server = await startMetricsServer({ metrics, log }, { host: config.host, port: config.metricsPort });
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

/** What the command line's verbs work on: the database and the log, without roles and listeners. */
export type Backstage = AsyncDisposable & {
  readonly deps: Deps;
  readonly sources: Sources;
  readonly deadLetters: {
    list(query: { readonly group?: string; readonly limit: number; readonly cursor?: string }): Promise<{
      readonly deadLetters: readonly deadLetters.DeadLetter[];
      readonly next: string | undefined;
    }>;
    /** Throws `not_found`, as `retry` of an id and `drop` do. */
    show(id: number): Promise<deadLetters.DeadLetterDetail>;
    /** Resolves with how many will be tried again. */
    retry(which: number | { readonly all: true; readonly group?: string }): Promise<number>;
    drop(id: number): Promise<deadLetters.DeadLetter>;
  };
  readonly consumers: {
    list(): Promise<readonly GroupState[]>;
    replay(group: string, where: { readonly from: "first" | "head" }): Promise<void>;
  };
};

export async function openBackstage(config: Config, options: FoundationOptions): Promise<Backstage> {
  const foundation = await openFoundation(config, options);
  const { deps } = foundation;
  const { db } = deps;
  const modules = createModules(deps);
  const consumers = modules.all.flatMap((module) => module.consumers);
  return {
    deps,
    sources: modules.sources,
    deadLetters: {
      list: async ({ cursor, ...query }) => {
        const [before] = cursor === undefined ? [] : decodeCursor(cursor, ["number"]);
        const page = await deadLetters.listDeadLetters(db, {
          ...query,
          ...(before === undefined ? {} : { before: Number(before) }),
        });
        return {
          deadLetters: page.deadLetters,
          next: page.next === undefined ? undefined : encodeCursor([page.next]),
        };
      },
      show: (id) => deadLetters.showDeadLetter(db, id),
      retry: (which) =>
        deadLetters.retryDeadLetters(
          db,
          typeof which === "number"
            ? { id: which }
            : which.group === undefined
              ? "all"
              : { group: which.group },
        ),
      drop: (id) => deadLetters.dropDeadLetter(db, id),
    },
    consumers: {
      list: () => groupStates(db),
      replay: (group, { from }) => replayGroup(deps, consumers, { group, from }),
    },
    [Symbol.asyncDispose]: () => foundation[Symbol.asyncDispose](),
  };
}
