import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseEnv } from "node:util";
import type { FieldError } from "../../protocol/errors.ts";
import { AppError, StartupError, errorCodeOf, errorMessage } from "../lib/errors.ts";
import { argumentsOf, parseVerbArgs } from "./args.ts";
import { type Environment, createContext } from "./context.ts";
import { type FoundVerb, findVerb } from "./find-verb.ts";
import { showAll, showNoun, showVerb } from "./help.ts";
import { loadSettings } from "./settings.ts";
import { printable } from "./table.ts";
import { type OutputStream, type Terminal, createTerminal } from "./terminal.ts";
import { BadNewsError, UsageError, type Verb, program } from "./verb.ts";
import { verbs } from "./verbs.ts";

export type CliIo = {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly environment: Environment;
  /** Where the file `.env` is looked for. */
  readonly directory: string;
};

/** Runs one command line and resolves with the exit code: 0 done, 1 failed, 2 the command line itself is wrong, 3 done with bad news. */
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
    return reportFailure(error, terminal, { logLevel: io.environment["LOG_LEVEL"] });
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
    environment = { ...fromFile, ...withoutEmpty(io.environment), ...parsed.environment };
    await verb.run(createContext(terminal, environment), parsed.args);
    return 0;
  } catch (error) {
    return reportFailure(error, terminal, { logLevel: environment["LOG_LEVEL"], verb });
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
  on: { readonly logLevel: string | undefined; readonly verb?: Verb },
): number {
  if (error instanceof UsageError) {
    terminal.notice(printable(error.message));
    const topic = on.verb === undefined || on.verb.name === "help" ? "" : ` ${on.verb.name}`;
    terminal.notice(`What there is: ${program} help${topic}`);
    return 2;
  }
  const lines = error instanceof AppError ? refusalLines(error, on.verb) : errorMessage(error).split("\n");
  for (const line of lines) terminal.notice(printable(line));
  const debugging = on.logLevel === "debug" || on.logLevel === "trace";
  if (debugging && error instanceof Error && error.stack !== undefined) terminal.notice(error.stack);
  return error instanceof BadNewsError ? 3 : 1;
}

function refusalLines({ message, details }: AppError, verb: Verb | undefined): readonly string[] {
  const { fields = [] } = details;
  const lines = fields.length > 0 ? fields.map((field) => fieldLine(field, verb)) : [message];
  return lines.map(capitalized);
}

/** A bad field under the name that it has on the command line: `NAME must be …`. */
function fieldLine({ pointer, detail }: FieldError, verb: Verb | undefined): string {
  const name = pointer.slice(1);
  const argument = argumentsOf(verb?.usage ?? "").find((item) => item.name.toLowerCase() === name);
  const option = Object.keys(verb?.options ?? {}).find(
    (item) => item === name || item.startsWith(`${name}-`),
  );
  const place = argument?.name ?? (option === undefined ? name : `--${option}`);
  // Some details are sentences, others end one.
  return /^\p{Lu}/u.test(detail) ? detail : `${place} ${detail}`;
}

/** Sentences begin with a capital letter; names of options are as they are. */
function capitalized(line: string): string {
  return /^\p{Ll}+ /u.test(line) ? line.slice(0, 1).toUpperCase() + line.slice(1) : line;
}

/** An empty value counts as not set, so it hides nothing that the file says. */
function withoutEmpty(environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => (value ?? "").trim() !== ""));
}

async function readEnvFile(directory: string): Promise<Environment> {
  const file = path.join(directory, ".env");
  try {
    return parseEnv(await readFile(file, "utf8"));
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return {};
    throw new StartupError(`${file} cannot be read: ${errorMessage(error)}`, { cause: error });
  }
}
