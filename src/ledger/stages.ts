import type { Tx } from "../lib/db.ts";

const stages = ["nothing", "open accounts", "lock accounts"] as const;
type Stage = (typeof stages)[number];

const reached = new WeakMap<Tx, Stage>();

/**
 * A transaction opens accounts at most once, then locks accounts at most once: two that locked in two goes could each wait for
 * what the other one has. Throws when the stage has been reached before.
 */
export function enterStage(tx: Tx, stage: Exclude<Stage, "nothing">): void {
  const before = reached.get(tx) ?? "nothing";
  if (stages.indexOf(before) >= stages.indexOf(stage))
    throw new Error(`a transaction that got to "${before}" cannot get to "${stage}": do all of it at once`);
  reached.set(tx, stage);
}
