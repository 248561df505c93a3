import { parseArgs } from "node:util";
import { nearest } from "./nearest.ts";
import { type Setting, settingOption } from "./settings.ts";
import { UsageError, type Verb, type VerbArgs, type VerbOption, program } from "./verb.ts";

/** A command line taken apart. `environment` holds the settings among the flags, under their environment names. */
export type ParsedArgs = {
  readonly help: boolean;
  readonly args: VerbArgs;
  readonly environment: Readonly<Record<string, string>>;
};

const helpOption: VerbOption = { type: "flag", doc: "show this help" };

/** Reads what follows a verb. Throws `UsageError` that names what is wrong and what may have been meant. */
export function parseVerbArgs(verb: Verb, rest: readonly string[], settings: readonly Setting[]): ParsedArgs {
  const flags = Object.fromEntries(settings.map((setting) => [setting.flag, settingOption(setting)]));
  const known: Readonly<Record<string, VerbOption>> = { ...flags, ...verb.options, help: helpOption };
  const { given, words } = readTokens(verb, rest, known);
  const help = given.has("help");
  const named = help ? new Map<string, string>() : nameArguments(verb, words);
  const missing = Object.entries(verb.options).find(([name, { required }]) => required && !given.has(name));
  if (missing !== undefined && !help) {
    const [name, { value, doc }] = missing;
    throw new UsageError(`"${verb.name}" needs --${name} ${value}: ${doc}`);
  }
  return { help, args: toVerbArgs(named, given), environment: environmentOf(settings, given) };
}

type Token = {
  readonly name: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
};

function readTokens(verb: Verb, rest: readonly string[], known: Readonly<Record<string, VerbOption>>) {
  const { tokens } = parseArgs({
    args: [...rest],
    options: Object.fromEntries(
      Object.entries(known).map(([name, { type }]) => [
        name,
        {
          type: type === "flag" ? ("boolean" as const) : ("string" as const),
          ...(name === "help" ? { short: "h" } : {}),
        },
      ]),
    ),
    allowPositionals: true,
    tokens: true,
    // Every token is checked below: the strict mode's own errors name no nearest option.
    strict: false,
  });
  const given = new Map<string, string>();
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    checkOption(verb, token, known);
    if (given.has(token.name)) throw new UsageError(`--${token.name} is given twice`);
    given.set(token.name, token.value ?? "");
  }
  return { given, words };
}

function checkOption(verb: Verb, token: Token, known: Readonly<Record<string, VerbOption>>): void {
  const { name, value, inlineValue } = token;
  const option = Object.hasOwn(known, name) ? known[name] : undefined;
  if (option === undefined) {
    const dashes = name.length === 1 ? "-" : "--";
    const like = optionLike(name, Object.keys(known));
    throw new UsageError(`"${verb.name}" has no option ${dashes}${name}.${like}`);
  }
  if (option.type === "flag") {
    if (value !== undefined) throw new UsageError(`--${name} takes no value`);
    return;
  }
  if (value === undefined) throw new UsageError(`--${name} needs a value: ${option.doc}`);
  if (value.startsWith("-") && value.length > 1 && inlineValue !== true) {
    throw new UsageError(
      `--${name} needs a value; one that begins with a dash is written --${name}=${value}`,
    );
  }
}

/** What may have been meant by an option that is not there. One letter may be the first of a name, of one word sooner than of several. */
function optionLike(name: string, known: readonly string[]): string {
  if (/^no-colou?r$/.test(name)) return " For plain lines, set NO_COLOR=1 in the environment.";
  const all = known.filter((other) => other.startsWith(name));
  const words = all.filter((other) => !other.includes("-"));
  const [begun, ...others] = words.length > 0 ? words : all;
  const meant = name.length > 1 ? nearest(name, known) : others.length === 0 ? begun : undefined;
  return meant === undefined ? "" : ` Did you mean "--${meant}"?`;
}

/** One argument as a verb's `usage` declares it. */
export type Argument = { readonly name: string; readonly required: boolean };

/** The arguments in a usage such as `GROUP [ID]`. */
export function argumentsOf(usage: string): readonly Argument[] {
  return usage
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => ({ name: word.replaceAll(/[[\]]/g, ""), required: !word.startsWith("[") }));
}

function nameArguments(verb: Verb, words: readonly string[]): Map<string, string> {
  const declared = argumentsOf(verb.usage);
  const named = new Map<string, string>();
  for (const [index, { name, required }] of declared.entries()) {
    const word = words[index];
    if (word !== undefined) named.set(name, word);
    else if (required) {
      throw new UsageError(`"${verb.name}" needs ${name}: ${program} ${verb.name} ${verb.usage}`);
    }
  }
  const extra = words[declared.length];
  if (extra !== undefined) throw new UsageError(`"${verb.name}" does not know what to do with "${extra}"`);
  return named;
}

function toVerbArgs(named: ReadonlyMap<string, string>, given: ReadonlyMap<string, string>): VerbArgs {
  return {
    argument: (name) => {
      const word = named.get(name);
      if (word === undefined) throw new TypeError(`the usage of the verb declares no required ${name}`);
      return word;
    },
    optionalArgument: (name) => named.get(name),
    text: (option) => given.get(option),
    flag: (option) => given.has(option),
  };
}

function environmentOf(
  settings: readonly Setting[],
  given: ReadonlyMap<string, string>,
): Readonly<Record<string, string>> {
  const environment: Record<string, string> = {};
  for (const { env, flag, problem } of settings) {
    const value = given.get(flag);
    if (value === undefined) continue;
    const wrong = problem(value);
    if (wrong !== undefined) throw new UsageError(`--${flag} ${wrong}`);
    environment[env] = value;
  }
  return environment;
}
