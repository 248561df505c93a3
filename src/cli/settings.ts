import type { Option } from "../config.ts";
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
  }));
}

export function settingOption(setting: Setting): VerbOption {
  return { type: "text", value: "VALUE", doc: setting.doc };
}
