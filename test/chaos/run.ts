import { parseArgs } from "node:util";
import { randomInt } from "node:crypto";
import { Chaos } from "./chaos.ts";

/**
 * Kills the server and its PostgreSQL again and again under traffic, and proves that nothing acknowledged is lost,
 * doubled or out of order, that everything comes back by itself, and that nothing is left behind. `--rounds` is the
 * number of kills of the server; PostgreSQL is killed half as often.
 */
const usage = "npm run chaos [-- --quick] [--seed N] [--rounds N]";
const values = optionsOf(process.argv.slice(2));
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const seed = numberOf("--seed", values.seed) ?? randomInt(1_000_000_000);
const rounds = numberOf("--rounds", values.rounds);
const server = rounds ?? (values.quick ? 3 : 20);
const postgres = rounds === undefined && values.quick ? 2 : Math.ceil(server / 2);

const chaos = new Chaos({ seed, rounds: { server, postgres } });
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    console.log(`${signal}: tidying up`);
    void chaos.interrupt().then(() => process.exit(130));
  });
}
console.log(`chaos: seed ${seed}, ${server} kills of the server, ${postgres} of PostgreSQL`);
process.exitCode = (await chaos.run()) ? 0 : 1;

function optionsOf(args: string[]) {
  const options = {
    quick: { type: "boolean", default: false },
    seed: { type: "string" },
    rounds: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  } as const;
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return process.exit(2);
  }
}

function numberOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) {
    console.error(`${option} takes a number, and "${text}" is none`);
    process.exit(2);
  }
  return Number(text);
}
