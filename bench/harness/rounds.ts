/** One side of a comparison: measures once and answers with its rate or time. */
export type Side = { readonly name: string; readonly measure: () => Promise<number> };

/**
 * Measures the sides in turn, A B A B…, so that a machine that slows down slows all of them; many short rounds pair
 * better than few long ones. Answers each side's values in the order of the rounds.
 */
export async function interleave<const S extends readonly Side[]>(
  sides: S,
  rounds: number,
  hooks: {
    readonly onValue: (side: Side, round: number, value: number) => void;
    readonly beforeRound?: () => Promise<void>;
  },
): Promise<{ [K in keyof S]: number[] }> {
  const values = sides.map((): number[] => []);
  for (let round = 1; round <= rounds; round++) {
    await hooks.beforeRound?.();
    for (const [index, side] of sides.entries()) {
      const value = await side.measure();
      values[index]?.push(value);
      hooks.onValue(side, round, value);
    }
  }
  return values as { [K in keyof S]: number[] };
}
