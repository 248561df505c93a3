import type { Config } from "../config.ts";
import type { Logger } from "../lib/logger.ts";
import type { App } from "../app.ts";
import type { VerbContext } from "./context.ts";
import { seconds } from "./live-line.ts";
import { type Stopping, openResources, watchStopSignals } from "./stopping.ts";
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
    const state = { step: "starting", accepting: false };
    // From here on Ctrl-C is an orderly end, at whatever point of the start it comes.
    using stopping = watchStopSignals({
      signals: process,
      announce: terminal.announce,
      accepting: () => state.accepting,
      exit: (code) => process.exit(code),
      whatHangs: () => `${state.step} did not end; open: ${openResources()}`,
    });
    await runServer(context, stopping, state);
    if (stopping.signal.aborted) terminal.announce("stopped");
  },
};

/** What the server does just now, for whoever asks while it stops. */
type ServerState = { step: string; accepting: boolean };

async function runServer(context: VerbContext, stopping: Stopping, state: ServerState): Promise<void> {
  const { terminal } = context;
  const begunAt = performance.now();
  const app = await startServer(context, stopping.signal, state);
  if (app === undefined) return;
  try {
    state.accepting = true;
    const startedIn = seconds(performance.now() - begunAt);
    if (!stopping.signal.aborted) await showBanner(context, app, { startedIn, signal: stopping.signal });
    await stopping.requested;
  } finally {
    state.step = "closing";
    await app.close().finally(() => terminal.endSteps());
  }
}

/** Undefined when the start was given up. */
async function startServer(
  context: VerbContext,
  signal: AbortSignal,
  state: ServerState,
): Promise<App | undefined> {
  const { terminal } = context;
  const config = await context.readConfig();
  const { isLoopback, requireSafeBinding } = await import("../access/development.ts");
  requireSafeBinding(config);
  const log = await serverLogger(context, config);
  await warnOfIgnored(context, log);
  try {
    return await context.startApp(config, {
      log,
      onProgress: (text) => terminal.step((state.step = text)),
      developmentKeyAllowed: isLoopback(config.host),
      signal,
    });
  } catch (error) {
    if (signal.aborted && error === signal.reason) return undefined;
    throw error;
  } finally {
    terminal.endSteps();
  }
}

async function warnOfIgnored({ environment }: VerbContext, log: Logger): Promise<void> {
  const options = (await import("../config.ts")).ignoredOptions(environment);
  if (options.length > 0) log.warn({ options }, "options ignored: not used yet");
}

/** JSON lines on standard output for machines; for a person who watches, short lines from warnings up. */
async function serverLogger({ terminal, environment }: VerbContext, config: Config): Promise<Logger> {
  if (terminal.live)
    return (await import("./quiet-logger.ts")).quietLogger(terminal, environment, config.logLevel);
  return (await import("../lib/logger.ts")).createLogger(config.logLevel);
}

async function showBanner(
  context: VerbContext,
  app: App,
  { startedIn, signal }: { readonly startedIn: string; readonly signal: AbortSignal },
): Promise<void> {
  const [{ bannerLines }, { version }] = await Promise.all([
    import("./banner.ts"),
    import("../http/version.ts"),
  ]);
  // A banner after "stopping…" would be taken for a new start, and show a key that is shown only once.
  if (signal.aborted) return;
  const { metricsHost, roles } = app.deps.config;
  const facts = { version, startedIn, metricsHost, roles, directory: process.cwd() };
  for (const line of bannerLines(app, facts, context.terminal)) context.terminal.announce(line);
}
