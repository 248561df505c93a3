import type { Config } from "../config.ts";
import type { Logger } from "../lib/logger.ts";
import type { App } from "../app.ts";
import type { VerbContext } from "./context.ts";
import { seconds } from "./live-line.ts";
import type { Verb } from "./verb.ts";

export const serve: Verb = {
  name: "serve",
  summary: "start the server and keep it running",
  usage: "",
  example: "serve --port 6000",
  options: {},
  settings: true,
  run: async (context) => {
    const { terminal } = context;
    const begunAt = performance.now();
    const config = await context.readConfig();
    const { isLoopback, requireSafeBinding } = await import("../access/development.ts");
    requireSafeBinding(config);

    const { openResources, watchStopSignals } = await import("./stopping.ts");
    let step = "starting";
    using stopping = watchStopSignals({
      signals: process,
      announce: terminal.announce,
      exit: (code) => process.exit(code),
      whatHangs: () => `${step} did not end; open: ${openResources()}`,
    });
    let app: App;
    try {
      app = await context.startApp(config, {
        log: await serverLogger(context, config),
        onProgress: (text) => terminal.step((step = text)),
        developmentKeyAllowed: isLoopback(config.host),
      });
    } finally {
      terminal.endSteps();
    }
    try {
      await showBanner(context, app, seconds(performance.now() - begunAt));
      await stopping.requested;
    } finally {
      step = "closing";
      await app.close().finally(() => terminal.endSteps());
    }
  },
};

/** JSON lines on standard output for machines; for a person who watches, short lines from warnings up. */
async function serverLogger({ terminal, environment }: VerbContext, config: Config): Promise<Logger> {
  if (terminal.live)
    return (await import("./quiet-logger.ts")).quietLogger(terminal, environment, config.logLevel);
  return (await import("../lib/logger.ts")).createLogger(config.logLevel);
}

async function showBanner({ terminal }: VerbContext, app: App, startedIn: string): Promise<void> {
  const [{ bannerLines }, { readVersion }] = await Promise.all([
    import("./banner.ts"),
    import("./version.ts"),
  ]);
  const { host, dataDir } = app.deps.config;
  const facts = { version: await readVersion(), startedIn, host, dataDir };
  for (const line of bannerLines(app, facts, terminal)) terminal.announce(line);
}
