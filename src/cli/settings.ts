import type { Option } from "../config.ts";
import { errorMessage } from "../lib/errors.ts";
import type { VerbOption } from "./verb.ts";

/** One option of `config.ts` as the command line shows and takes it. */
export type Setting = {
  readonly env: string;
  /** Its name as a flag, without the dashes: `request-timeout-ms`. */
  readonly flag: string;
  readonly group: string;
  readonly doc: string;
  readonly shownDefault: string;
  readonly secret: boolean;
  /** What is wrong with a text for it, as the end of a sentence; undefined when it can be read. */
  readonly problem: (text: string) => string | undefined;
};

/** Every option there is. Loads `config.ts`, which the quick verbs do without. */
export async function loadSettings(): Promise<readonly Setting[]> {
  const { options, shownDefault } = await import("../config.ts");
  return (Object.values(options) as Option<unknown>[]).map((option) => ({
    env: option.env,
    flag: option.env.toLowerCase().replaceAll("_", "-"),
    group: option.group,
    doc: option.doc,
    shownDefault: shownDefault(option),
    secret: option.secret === true,
    problem: (text) => problemOf(option, text),
  }));
}

function problemOf(option: Option<unknown>, text: string): string | undefined {
  // An empty value counts as not set.
  if (text.trim() === "") return undefined;
  try {
    option.parse(text.trim());
    return undefined;
  } catch (error) {
    return errorMessage(error);
  }
}

export function settingOption(setting: Setting): VerbOption {
  return { type: "text", value: "VALUE", doc: setting.doc };
}
