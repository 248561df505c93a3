import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseEnv } from "node:util";
import { AppError, errorCodeOf, errorMessage } from "../lib/errors.ts";
import { parseVerbArgs } from "./args.ts";
import { type Environment, createContext } from "./context.ts";
import { type FoundVerb, findVerb } from "./find-verb.ts";
import { showAll, showNoun, showVerb } from "./help.ts";
import { loadSettings } from "./settings.ts";
import { printable } from "./table.ts";
import { type OutputStream, type Terminal, createTerminal } from "./terminal.ts";
import { UsageError, type Verb, program } from "./verb.ts";
import { verbs } from "./verbs.ts";

export type CliIo = {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly environment: Environment;
  /** Where the file `.env` is looked for. */
  readonly directory: string;
};

/** Runs one command line and resolves with the exit code: 0 done, 1 failed, 2 the command line itself is wrong. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  const terminal = createTerminal({ stdout: io.stdout, stderr: io.stderr, env: io.environment });
  if (argv.length === 0) {
    showAll({ ...terminal, print: terminal.notice }, verbs);
    return 2;
  }
  let found: FoundVerb;
  try {
    found = findVerb(verbs, spelledOut(argv));
  } catch (error) {
    return reportFailure(error, terminal, { logLevel: io.environment["LOG_LEVEL"], helpOn: "" });
  }
  if (found.kind === "noun") {
    showNoun(terminal, verbs, found.noun);
    return 0;
  }
  return runVerb(found.verb, found.rest, terminal, io);
}

async function runVerb(verb: Verb, rest: readonly string[], terminal: Terminal, io: CliIo): Promise<number> {
  // Flags come on top once they are read; a failure before that is judged by the environment alone.
  let { environment } = io;
  try {
    const settings = verb.settings ? await loadSettings() : [];
    const parsed = parseVerbArgs(verb, rest, settings);
    if (parsed.help) {
      await showVerb(terminal, verb);
      return 0;
    }
    const fromFile = verb.settings ? await readEnvFile(io.directory) : {};
    environment = { ...fromFile, ...io.environment, ...parsed.environment };
    await verb.run(createContext(terminal, environment), parsed.args);
    return 0;
  } catch (error) {
    return reportFailure(error, terminal, { logLevel: environment["LOG_LEVEL"], helpOn: ` ${verb.name}` });
  }
}

/** The habits of other programs, as verbs. */
function spelledOut(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv;
  if (first === "--help" || first === "-h") return ["help", ...rest];
  if (first === "--version" || first === "-v") return ["version", ...rest];
  return argv;
}

/** Says what went wrong, in one sentence; the stack only for those who debug. Returns the exit code. */
function reportFailure(
  error: unknown,
  terminal: Terminal,
  on: { readonly logLevel: string | undefined; readonly helpOn: string },
): number {
  if (error instanceof UsageError) {
    terminal.notice(printable(error.message));
    terminal.notice(`What there is: ${program} help${on.helpOn}`);
    return 2;
  }
  for (const line of errorMessage(error).split("\n")) terminal.notice(printable(line));
  if (error instanceof AppError) {
    for (const { pointer, detail } of error.details.fields ?? []) {
      if (detail !== error.message) terminal.notice(printable(`  ${pointer}: ${detail}`));
    }
  }
  const debugging = on.logLevel === "debug" || on.logLevel === "trace";
  if (debugging && error instanceof Error && error.stack !== undefined) terminal.notice(error.stack);
  return 1;
}

async function readEnvFile(directory: string): Promise<Environment> {
  try {
    return parseEnv(await readFile(path.join(directory, ".env"), "utf8"));
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return {};
    throw error;
  }
}
