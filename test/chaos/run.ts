import { Chaos } from "./chaos.ts";
import { readOptions } from "./command.ts";
import { Trial } from "./trial.ts";

/**
 * Kills the server and its PostgreSQL again and again under traffic, and proves that nothing acknowledged is lost,
 * doubled or out of order, that everything comes back by itself, and that nothing is left behind. `--rounds` is the
 * number of kills of the server; PostgreSQL is killed half as often.
 */
const { quick, seed, numbers } = readOptions("chaos", { rounds: 0 });
const server = numbers.rounds ?? (quick ? 3 : 20);
const postgres = numbers.rounds === undefined && quick ? 2 : Math.ceil(server / 2);

console.log(`chaos: seed ${seed}, ${server} kills of the server, ${postgres} of PostgreSQL`);
const trial = new Trial();
const chaos = new Chaos(trial, { seed, rounds: { server, postgres } });
await trial.carryOut(() => chaos.play());
