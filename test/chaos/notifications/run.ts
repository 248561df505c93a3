import { readOptions } from "../command.ts";
import { Trial } from "../trial.ts";
import { NotificationsChaos } from "./chaos.ts";

/**
 * Kills the server and its PostgreSQL again and again while people are told things, and proves that each of their devices
 * shows what is unread, in order, once, and nothing again that was read; that counts are what is there; and that nothing is
 * lost of what is held. `--quick` is a small run for every change.
 */
const { quick, seed, numbers } = readOptions("chaos:notifications", { people: 1, seconds: 1 });
const { people = quick ? 60 : 1_000, seconds = quick ? 8 : 120 } = numbers;

console.log(`chaos of notifications: seed ${seed}, ${people} people, ${seconds} s`);
const trial = new Trial();
const chaos = new NotificationsChaos(trial, { seed, seconds, people });
await trial.carryOut(() => chaos.play());
