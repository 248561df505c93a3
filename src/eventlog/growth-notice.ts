import type { Entry, JsonText, PartitionGrowth } from "./eventlog.ts";

/** Bytes of a notice: PostgreSQL takes fewer than 8,000. */
export const noticeBytesMax = 7_900;

/** Entries of a notice: more would not fit, however small. */
export const noticeEntriesMax = 64;

/** What one process tells the others after it has appended. */
export type Notice = {
  readonly node: string;
  /** In which the entries were appended. */
  readonly generation: number;
  readonly growth: readonly PartitionGrowth[];
  /** All entries by which its own appends have made the partitions grow, or none, where they are too many. */
  readonly entries: readonly Entry[];
};

const packedLength = 9;
type Packed = readonly [number, number, string, string, string, number, string, string, string | null];

/** The notice as text; its entries are left out where it would be too long. Its heads always fit. */
export function noticeText({ node, generation, growth, entries }: Notice): string {
  const heads = growth.map(({ partition, head }) => `${partition}:${head}`).join(",");
  const short = `${node} ${heads} ${generation}`;
  if (entries.length === 0) return short;
  const packed = entries.map(({ partition, offset, id, topic, type, time, actor, data, trace }): Packed => [
    partition,
    offset,
    id,
    topic,
    type,
    time,
    actor,
    data,
    trace ?? null,
  ]);
  const text = `${short} ${JSON.stringify(packed)}`;
  return Buffer.byteLength(text) > noticeBytesMax ? short : text;
}

/** Undefined for what is no notice. Entries that cannot be read are left out: they are in the log. */
export function readNotice(text: string): Notice | undefined {
  const [node, heads] = text.split(" ", 2);
  if (node === undefined || heads === undefined) return undefined;
  const growth = heads.split(",").map((item) => {
    const [partition, head] = item.split(":");
    return { partition: Number(partition), head: Number(head) };
  });
  if (!growth.every(({ partition, head }) => Number.isSafeInteger(partition) && Number.isSafeInteger(head))) {
    return undefined;
  }
  const [generation = ""] = text.slice(node.length + heads.length + 2).split(" ", 1);
  const packed = text.slice(node.length + heads.length + generation.length + 3);
  return { node, growth, generation: Number(generation), entries: readEntries(packed) };
}

function readEntries(text: string): readonly Entry[] {
  if (text === "") return [];
  try {
    const packed = JSON.parse(text) as readonly Packed[];
    // Whoever may write into this database is trusted; another version of this program may write something else.
    if (!packed.every((one) => one.length === packedLength && typeof one[7] === "string")) return [];
    return packed.map(([partition, offset, id, topic, type, time, actor, data, trace]) => ({
      partition,
      offset,
      id,
      topic,
      type,
      time,
      actor,
      data: data as JsonText,
      trace: trace ?? undefined,
    }));
  } catch {
    return [];
  }
}
