/**
 * MurmurHash2, 32 bit, with the seed and the sign treatment of Kafka's default partitioner, so that a topic lies in
 * the same partition whichever driver holds the log (Austin Appleby's public-domain algorithm).
 */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995;
  const length = data.length;
  let h = 0x9747b28c ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let k = byte(data, i) | (byte(data, i + 1) << 8) | (byte(data, i + 2) << 16) | (byte(data, i + 3) << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    h = Math.imul(h, m) ^ k;
  }
  const rest = length - i;
  if (rest === 3) h ^= byte(data, i + 2) << 16;
  if (rest >= 2) h ^= byte(data, i + 1) << 8;
  if (rest >= 1) h = Math.imul(h ^ byte(data, i), m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  h ^= h >>> 15;
  return h;
}

function byte(data: Uint8Array, index: number): number {
  return data[index] ?? 0;
}

const scratch = new Uint8Array(1024);
const encoder = new TextEncoder();

/** The partition of a topic: the same on every server and with every driver. */
export function partitionOf(topic: string, partitions: number): number {
  const { written, read } = encoder.encodeInto(topic, scratch);
  const bytes = read === topic.length ? scratch.subarray(0, written) : encoder.encode(topic);
  return (murmur2(bytes) & 0x7fffffff) % partitions;
}
