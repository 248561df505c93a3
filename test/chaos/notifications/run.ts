import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { NotificationsChaos } from "./chaos.ts";

/**
 * Kills the server and its PostgreSQL again and again while people are told things, and proves that each of their devices
 * shows what is unread, in order, once, and nothing again that was read; that counts are what is there; and that nothing is
 * lost of what is held. `--quick` is a small run for every change.
 */
const usage = "npm run chaos:notifications [-- --quick] [--seed N] [--people N] [--seconds N]";
const values = optionsOf(process.argv.slice(2));
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const seed = numberOf("--seed", values.seed) ?? randomInt(1_000_000_000);
const people = numberOf("--people", values.people) ?? (values.quick ? 60 : 1_000);
const seconds = numberOf("--seconds", values.seconds) ?? (values.quick ? 8 : 120);

const chaos = new NotificationsChaos({ seed, seconds, people });
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void chaos.tidyUp().then(() => process.exit(130)));
}
console.log(`chaos of notifications: seed ${seed}, ${people} people, ${seconds} s`);
process.exitCode = (await chaos.run()) ? 0 : 1;

function optionsOf(args: string[]) {
  const options = {
    quick: { type: "boolean", default: false },
    seed: { type: "string" },
    people: { type: "string" },
    seconds: { type: "string" },
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
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    console.error(`${option} takes a number from 1 on, and "${text}" is none`);
    process.exit(2);
  }
  return Number(text);
}
