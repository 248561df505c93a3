/** A stream id, as numbers. */
export type Place = readonly [ms: number, n: number];

export function placeOf(streamId: string): Place {
  const [ms = 0, n = 0] = streamId.split("-").map(Number);
  return [ms, n];
}

/** Less than zero when the first one comes before the second. */
export function comparePlaces([aMs, aN]: Place, [bMs, bN]: Place): number {
  return aMs - bMs || aN - bN;
}
