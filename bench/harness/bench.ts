import type { TemporaryPostgres } from "./postgres.ts";

/** One bench: what `npm run bench -- NAME` runs. */
export type Bench = {
  readonly name: string;
  readonly summary: string;
  readonly run: (context: BenchContext) => Promise<readonly Figure[]>;
};

export type BenchContext = {
  /** The short form: at most 40 seconds in all. */
  readonly quick: boolean;
  readonly postgres: TemporaryPostgres;
  /** One line for the person who reads along. */
  readonly print: (line: string) => void;
  readonly table: (heading: readonly string[], rows: readonly (readonly (string | number)[])[]) => void;
};

/** A number that the bench stands for; one without a goal is only reported. */
export type Figure = {
  /** Snake case, unit last. */
  readonly name: string;
  readonly value: number;
  readonly atLeast?: number;
  readonly atMost?: number;
};

export function holds({ value, atLeast, atMost }: Figure): boolean {
  if (!Number.isFinite(value)) return false;
  return (atLeast === undefined || value >= atLeast) && (atMost === undefined || value <= atMost);
}

/** Throws unless `condition` holds: a bench whose effects are wrong has measured nothing. */
export function verify(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`the bench found a fault: ${what}`);
}
