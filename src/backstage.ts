import type { LedgerHalt, Reconciliation } from "../protocol/wallet.ts";
import { type Config, databaseAddress } from "./config.ts";
import type { Deps } from "./deps.ts";
import { groupStates, replayGroup, type GroupState } from "./eventlog/consumer-admin.ts";
import * as deadLetters from "./eventlog/dead-letters.ts";
import { type FoundationOptions, openFoundation, ownDataDir } from "./foundation.ts";
import { findUser } from "./access/users.ts";
import { AppError, StartupError } from "./lib/errors.ts";
import { createModules } from "./modules.ts";
import type { People } from "./modules/accounts/people.ts";
import type { Broadcasts } from "./modules/notifications/broadcasts/broadcasts.ts";
import type { NotifyPeople } from "./modules/notifications/notify.ts";
import { type Sources, sourceView } from "./modules/inbox/sources.ts";
import { pageOfDeadLetters, retryGroup } from "./modules/operations/dead-letter-pages.ts";
import { reconciliationView, stateView } from "./modules/wallet/views.ts";

/** What the command line's verbs work on: the database and the log, without roles and listeners. */
export type Backstage = AsyncDisposable & {
  readonly deps: Deps;
  /** The names of the migrations that opening this has applied. */
  readonly migrated: readonly string[];
  readonly sources: Sources;
  readonly people: People;
  readonly notify: NotifyPeople;
  readonly broadcasts: Broadcasts;
  readonly ledger: {
    /** As HTTP answers it, and for as long as it takes. */
    reconcile(): Promise<Reconciliation>;
    /** What was before, as HTTP answers it. */
    lift(): Promise<LedgerHalt>;
  };
  /**
   * Signs a person in, for what the command line does as them, and resolves with the refresh token. Throws `not_found`, and
   * `forbidden` for somebody who is disabled and where this server signs no tokens.
   */
  signInAs(userId: number): Promise<string>;
  /** A source as HTTP answers it. */
  readonly sourceView: typeof sourceView;
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

export type BackstageOptions = FoundationOptions & {
  /** Whether an embedded database that is not there may be made. */
  readonly mayCreate: boolean;
  /** Whether an embedded database that nobody runs may be started for this. */
  readonly mayStart: boolean;
};

export async function openBackstage(config: Config, options: BackstageOptions): Promise<Backstage> {
  if (!options.mayCreate) await requireCluster(config);
  if (!options.mayStart) await requireRunning(config);
  const foundation = await openFoundation(config, options);
  const { deps } = foundation;
  const { db } = deps;
  const modules = createModules(deps);
  const consumers = modules.all.flatMap((module) => module.consumers);
  return {
    deps,
    migrated: foundation.migrated.map(({ name }) => name),
    sources: modules.sources,
    people: modules.people,
    notify: modules.notify,
    broadcasts: modules.broadcasts,
    ledger: {
      reconcile: async () => reconciliationView(await modules.ledger.reconcile()),
      lift: async () =>
        stateView(await modules.ledger.lift({ actor: `command line, uid ${process.getuid?.()}` })),
    },
    signInAs: (userId) => signInAs(deps, userId),
    sourceView,
    deadLetters: {
      list: (query) => pageOfDeadLetters(db, query),
      show: (id) => deadLetters.showDeadLetter(db, id),
      retry: (which) => {
        if (typeof which === "number") return deadLetters.retryDeadLetters(db, { id: which });
        return which.group === undefined
          ? deadLetters.retryDeadLetters(db, "all")
          : retryGroup(db, which.group);
      },
      drop: (id) => deadLetters.dropDeadLetter(db, id),
    },
    consumers: {
      list: () => groupStates(db),
      replay: (group, { from }) => replayGroup(deps, consumers, { group, from }),
    },
    [Symbol.asyncDispose]: () => foundation[Symbol.asyncDispose](),
  };
}

async function signInAs({ access, db }: Pick<Deps, "access" | "db">, userId: number): Promise<string> {
  if ((await findUser(db, userId)) === undefined)
    throw new AppError("not_found", { detail: `there is no person ${userId}` });
  const { refreshToken } = await db.transaction((tx) => access.sessions.start(tx, userId));
  return refreshToken;
}

/** A DATA_DIR that was mistyped or not given must not become a second database, in which nothing is found. */
async function requireCluster(config: Config): Promise<void> {
  if (databaseAddress(config) !== undefined) return;
  const [dataDir, { hasCluster }] = await Promise.all([dataDirOf(config), import("./embedded/embedded.ts")]);
  if (hasCluster(dataDir)) return;
  throw new StartupError(
    `There is no database in ${dataDir}: start the server first, or name the server's own directory with --data-dir (DATA_DIR) or its database with DATABASE_URL`,
  );
}

/** For verbs that are nothing without a server: they must not become the ones that run its database. */
async function requireRunning(config: Config): Promise<void> {
  if (databaseAddress(config) !== undefined) return;
  const [dataDir, { isRunning }] = await Promise.all([dataDirOf(config), import("./embedded/embedded.ts")]);
  if (await isRunning(dataDir)) return;
  throw new StartupError(
    `No server runs the database in ${dataDir}: start one, or name the running server's own directory with --data-dir (DATA_DIR) or its database with DATABASE_URL`,
  );
}

/** Where the data of a server with this configuration lies: not always where DATA_DIR says, when root starts it. */
export async function dataDirOf(config: Config): Promise<string> {
  if (databaseAddress(config) !== undefined) return config.dataDir;
  return (await ownDataDir(config)).dataDir;
}
