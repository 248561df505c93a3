import type { Paced } from "../harness/paced.ts";

/** What is sent during a measurement, told to the process that sends it. */
export type Load = {
  readonly perSecond: number;
  readonly forMs: number;
  /** Messages go to rooms or to people, each in turn. */
  readonly to: "rooms" | "people";
  readonly ids: readonly number[];
};

export type LoadResult = Paced & {
  /** Messages whose sending was refused. */
  readonly failed: number;
  /** Until a message was durable, the median in milliseconds; peers keep none. */
  readonly durableP50?: number;
};

export type Answer<R = LoadResult> =
  | { readonly kind: "ready"; readonly port: number }
  | { readonly kind: "sent"; readonly result: R }
  | { readonly kind: "fault"; readonly detail: string };

/** Where the message of this number within a load goes, and which one it is there. */
export function placeOf(
  { ids }: Pick<Load, "ids">,
  index: number,
): { readonly id: number; readonly number: number } {
  return { id: ids[index % ids.length] ?? 0, number: Math.floor(index / ids.length) + 1 };
}

/** The last number that was sent under each key. */
export function lastNumbers({ ids }: Pick<Load, "ids">, count: number): ReadonlyMap<number, number> {
  const rounds = Math.floor(count / ids.length);
  return new Map(ids.map((id, place) => [id, rounds + (place < count % ids.length ? 1 : 0)]));
}
