import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { NotificationsChaos } from "./chaos.ts";

/**
 * Kills the server and its PostgreSQL again and again while people are told things, and proves that each hears what is
 * unread on whatever device connects, in order, and nothing again that was acknowledged as read; and that counts are right.
 */
const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    seed: { type: "string" },
    seconds: { type: "string" },
  },
});
const seed = Number(values.seed ?? randomInt(1_000_000_000));
const seconds = Number(values.seconds ?? (values.quick ? 20 : 120));
if (!Number.isInteger(seed) || !(seconds > 0)) {
  console.error("npm run chaos:notifications [-- --quick] [--seed N] [--seconds N]");
  process.exit(2);
}

const chaos = new NotificationsChaos({ seed, seconds });
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void chaos.tidyUp().then(() => process.exit(130)));
}
console.log(`chaos of notifications: seed ${seed}, ${seconds} s`);
process.exitCode = (await chaos.run()) ? 0 : 1;
