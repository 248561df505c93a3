import type { App, AppOptions } from "../app.ts";
import type { Backstage, BackstageOptions } from "../backstage.ts";
import type { Config } from "../config.ts";
import type { Terminal } from "./terminal.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a verb works with. The server itself is loaded only by verbs that ask for it: the others stay quick. */
export type VerbContext = {
  readonly terminal: Terminal;
  /** The `.env` file, over it the process's environment, over it the flags. */
  readonly environment: Environment;
  readonly readConfig: () => Promise<Config>;
  /**
   * Database and log without listeners, migrated; the caller disposes of it. An embedded database that is not there is
   * made only where that is said, and one that nobody runs is started unless something else is said.
   */
  readonly openBackstage: (
    options?: Partial<Pick<BackstageOptions, "mayCreate" | "mayStart">>,
  ) => Promise<Backstage>;
  /** Where the data lies: not always where the configuration says, when root starts the server. */
  readonly dataDirOf: (config: Config) => Promise<string>;
  readonly startApp: (config: Config, options: AppOptions) => Promise<App>;
};

export function createContext(terminal: Terminal, environment: Environment): VerbContext {
  const readConfig = async (): Promise<Config> => (await import("../config.ts")).readConfig(environment);
  return {
    terminal,
    environment,
    readConfig,
    openBackstage: async ({ mayCreate = false, mayStart = true } = {}) => {
      const config = await readConfig();
      const [{ openBackstage }, { quietLogger }] = await Promise.all([
        import("../backstage.ts"),
        import("./quiet-logger.ts"),
      ]);
      return openBackstage(config, {
        log: quietLogger(terminal, environment, config.logLevel),
        mayCreate,
        mayStart,
      });
    },
    dataDirOf: async (config) => (await import("../backstage.ts")).dataDirOf(config),
    startApp: async (config, options) => (await import("../app.ts")).createApp(config, options),
  };
}
