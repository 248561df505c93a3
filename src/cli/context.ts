import type { Config } from "../config.ts";
import type { Deps } from "../deps.ts";
import type { GroupState } from "../eventlog/consumer-admin.ts";
import type { DeadLetter, DeadLetterDetail, DeadLetterPage } from "../eventlog/dead-letters.ts";
import type { Logger } from "../lib/logger.ts";
import type { Terminal } from "./terminal.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a verb works with. The server itself is loaded only by verbs that ask for it: the others stay quick. */
export type VerbContext = {
  readonly terminal: Terminal;
  /** The `.env` file, over it the process's environment, over it the flags. */
  readonly environment: Environment;
  readonly readConfig: () => Promise<Config>;
  /** Database and log without listeners, migrated; the caller disposes of it. */
  readonly openBackstage: () => Promise<Backstage>;
  readonly startApp: StartApp;
};

export function createContext(terminal: Terminal, environment: Environment): VerbContext {
  const readConfig = async (): Promise<Config> => (await import("../config.ts")).readConfig(environment);
  return {
    terminal,
    environment,
    readConfig,
    openBackstage: async () => {
      const config = await readConfig();
      const [{ openBackstage }, { quietLogger }] = await Promise.all([
        import("../app.ts"),
        import("./quiet-logger.ts"),
      ]);
      return openBackstage(config, { log: quietLogger(terminal, environment, config.logLevel) });
    },
    startApp: async (config, options) => (await import("../app.ts")).createApp(config, options),
  };
}

// What follows stands in for the types of src/app.ts and src/modules/inbox/sources.ts until they are there.

export type StartApp = (
  config: Config,
  options: {
    readonly log: Logger;
    readonly onProgress?: (step: string) => void;
    /** Whether a first start may make the development key. */
    readonly developmentKeyAllowed?: boolean;
  },
) => Promise<App>;

export type App = AsyncDisposable & {
  readonly api?: { readonly host: string; readonly port: number };
  readonly metricsPort?: number;
  /** There on the very first start only. */
  readonly firstRun?: { readonly key: string };
  readonly deps: Deps;
  drain(): Promise<void>;
  close(): Promise<void>;
};

export type Backstage = AsyncDisposable & {
  readonly deps: Deps;
  readonly sources: SourceAdmin;
  readonly deadLetters: DeadLetters;
  readonly consumers: ConsumerAdmin;
};

export const sourceSchemes = ["api_key", "standard", "hub", "telegram"] as const;
export type SourceScheme = (typeof sourceSchemes)[number];

export type Source = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly createdAt: Date;
};

export type SourceAdmin = {
  create(source: {
    readonly name: string;
    readonly scheme: SourceScheme;
    readonly secret?: string;
  }): Promise<{ readonly source: Source; readonly secret: string | undefined }>;
  list(): Promise<readonly Source[]>;
  rotate(name: string): Promise<{ readonly secret: string }>;
  remove(name: string): Promise<boolean>;
};

export type DeadLetters = {
  list(query: {
    readonly group?: string;
    readonly limit: number;
    /** The `next` of the page before, as text. */
    readonly cursor?: string;
  }): Promise<DeadLetterPage>;
  /** Throws `not_found`, as `retry` of an id and `drop` do. */
  show(id: number): Promise<DeadLetterDetail>;
  /** Resolves with how many will be tried again. */
  retry(which: number | { readonly all: true; readonly group?: string }): Promise<number>;
  drop(id: number): Promise<DeadLetter>;
};

export type ConsumerAdmin = {
  list(): Promise<readonly GroupState[]>;
  replay(group: string, where: { readonly from: "first" | "head" }): Promise<void>;
};
