import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";

type Options<Name extends string> = {
  readonly quick: boolean;
  /** One at random unless it is given. */
  readonly seed: number;
  /** The script's own numbers, where they are given. */
  readonly numbers: { readonly [name in Name]?: number };
};

/**
 * What stands behind `npm run SCRIPT --`. The script takes these numbers, of which each has a least value. Asked for help
 * or for nonsense, the process ends.
 */
export function readOptions<Name extends string>(
  script: string,
  least: Readonly<Record<Name, number>>,
): Options<Name> {
  const leasts = new Map(Object.entries<number>({ seed: 0, ...least }));
  const names = [...leasts.keys()];
  const usage = `npm run ${script} [-- --quick]${names.map((name) => ` [--${name} N]`).join("")}`;
  try {
    const { quick, help, ...texts } = parseArgs({
      options: {
        ...Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
        quick: { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    }).values;
    if (help === true) {
      console.log(usage);
      process.exit(0);
    }
    const given = Object.entries(texts).map(([name, text]) => [
      name,
      numberOf(name, String(text), leasts.get(name) ?? 0),
    ]);
    const { seed = randomInt(1_000_000_000), ...numbers } = Object.fromEntries(given) as Record<
      string,
      number
    >;
    return { quick, seed, numbers: numbers as Options<Name>["numbers"] };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return process.exit(2);
  }
}

function numberOf(option: string, text: string, least: number): number {
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
  throw new Error(`--${option} takes a number from ${least} on, and "${text}" is none`);
}
