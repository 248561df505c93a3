import type { Figure } from "./bench.ts";

export type Spread = { readonly min: number; readonly median: number; readonly max: number };

/** Smallest, middle and largest of several runs. Throws for none. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { min: quantile(sorted, 0), median: quantile(sorted, 0.5), max: quantile(sorted, 1) };
}

/** The value below which the part `share` of the sorted values lies; halfway between two where it falls between. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) throw new RangeError("no values");
  const place = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)] ?? 0, sorted[Math.ceil(place)] ?? 0];
  // Between two infinite ones, which stand for what failed, there is nothing to reckon.
  if (low === high) return low;
  return low + (high - low) * (place % 1);
}

/** Run by run, so that what disturbed both sides of one run cancels out. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, run) => value / (theirs[run] ?? Number.NaN));
}

/** A figure with its spread beside it, as `NAME_min` and `NAME_max`. */
export function spreadFigures(
  name: string,
  spread: Spread,
  goal: { readonly atLeast?: number; readonly atMost?: number } = {},
): Figure[] {
  return [
    { name, value: spread.median, ...goal },
    { name: `${name}_min`, value: spread.min },
    { name: `${name}_max`, value: spread.max },
  ];
}

/** Slope of the least-squares line through points, in units of y per unit of x. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const covariance = mean(points.map(([x, y]) => (x - meanX) * (y - meanY)));
  return covariance / mean(points.map(([x]) => (x - meanX) ** 2));
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
