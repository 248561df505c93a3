import type { VerbContext } from "./context.ts";

/** One option of a verb, under its long name. */
export type VerbOption = {
  readonly type: "text" | "flag";
  /** What help calls the value of a text: `--limit N`. */
  readonly value?: string;
  readonly required?: boolean;
  readonly doc: string;
};

/**
 * One thing that the command line can do. To add a verb, write such an object and name it in `verbs.ts`: parsing,
 * help and spelling suggestions follow from it.
 */
export type Verb = {
  /** One word, or two where several verbs share a noun: `key create`. */
  readonly name: string;
  readonly summary: string;
  /** Its arguments: words in capitals, in brackets those that may be left out. */
  readonly usage: string;
  /** A command line that works, without the program's name. */
  readonly example: string;
  readonly options: Readonly<Record<string, VerbOption>>;
  /** Reads the configuration, so that every setting (`PORT`) may also be given as a flag (`--port`). */
  readonly settings: boolean;
  run(context: VerbContext, args: VerbArgs): Promise<void>;
};

/** What a verb was given. The names are those of its `usage` and `options`; required ones are there. */
export type VerbArgs = {
  argument(name: string): string;
  optionalArgument(name: string): string | undefined;
  text(option: string): string | undefined;
  flag(option: string): boolean;
};

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What was asked for is done, and the answer is not a good one: exit code 3, so that scripts can tell it from a failure. */
export class BadNewsError extends Error {
  override readonly name = "BadNewsError";
}

/** How the program is called in texts that a person may copy: in the project's directory, with any Node.js that npm runs on. */
export const program = "npx tidings";

export const jsonOption: VerbOption = { type: "flag", doc: "print JSON instead of a table" };

/** The id that an argument must be. */
export function idOf(text: string, verbThatLists: string): number {
  const id = Number(text);
  if (!/^[1-9]\d*$/.test(text) || !Number.isSafeInteger(id)) {
    throw new UsageError(`"${text}" is not an id: take one from "${verbThatLists}"`);
  }
  return id;
}

/** The whole number that an option must be. */
export function countOf(text: string, option: string, max: number): number {
  const count = Number(text);
  if (!/^[1-9]\d*$/.test(text) || count > max) {
    throw new UsageError(`--${option} must be a whole number from 1 to ${max}, and "${text}" is not`);
  }
  return count;
}

/** The one of `words` that an option must be. */
export function wordOf<T extends string>(text: string, what: string, words: readonly T[]): T {
  const found = words.find((word) => word === text);
  if (found === undefined)
    throw new UsageError(`${what} must be one of ${words.join(", ")}, and "${text}" is not`);
  return found;
}
