import { signalBytesMax } from "./signals.ts";

/** What asks all gateways. */
export const everybody = "*";
/** Above every person's id: the list that reaches up to here is the last one. */
export const lastId = Number.MAX_SAFE_INTEGER;
/** Bytes of a signal that are left for ids: its names, two nodes and the ends of a list take less than the rest. */
export const idsBytesMax = signalBytesMax - 300;

/** Of the people above `after` up to `to`, exactly `ids` are here: whoever is not in it has left. */
export type PeopleList = { readonly after: number; readonly to: number; readonly ids: readonly number[] };

/** What gateways tell each other of presence. A `node` alone says that it is there, as all the others do. */
export type NodeSays = {
  readonly node: string;
  /** The node, or everybody, that is to say who is with it. */
  readonly ask?: string;
  readonly list?: PeopleList;
  /** Changes since the list: who came and who has left. */
  readonly came?: readonly number[];
  readonly left?: readonly number[];
  /** It stops in good order, and its people are not with it any more. */
  readonly goes?: true;
};

/** The same as it was heard, all fields looked at. */
export type NodeSaid = {
  readonly node: string;
  readonly ask: string | undefined;
  readonly list: PeopleList | undefined;
  readonly came: readonly number[];
  readonly left: readonly number[];
  readonly goes: boolean;
};

/** Undefined for what no gateway says. Fields that are not understood are as good as absent: versions may differ. */
export function saidOf(data: unknown): NodeSaid | undefined {
  if (!isRecord(data)) return undefined;
  const { node, ask, list, came, left, goes } = data;
  if (typeof node !== "string") return undefined;
  return {
    node,
    ask: typeof ask === "string" ? ask : undefined,
    list: listOf(list),
    came: idsOf(came) ?? [],
    left: idsOf(left) ?? [],
    goes: goes === true,
  };
}

/** How many ids, of which none is longer than `widest`, fit into one signal. */
export function idsPerSignal(widest: number): number {
  return Math.floor(idsBytesMax / idBytes(widest));
}

/** What an id takes in a list, with its comma. */
export function idBytes(id: number): number {
  return String(id).length + 1;
}

function listOf(list: unknown): PeopleList | undefined {
  if (!isRecord(list)) return undefined;
  const { after, to } = list;
  const ids = idsOf(list["ids"]);
  return isWhole(after) && isWhole(to) && ids !== undefined ? { after, to, ids } : undefined;
}

function idsOf(ids: unknown): readonly number[] | undefined {
  return Array.isArray(ids) && ids.every(isWhole) ? ids : undefined;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
