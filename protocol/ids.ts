const hexByte: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

let lastMs = 0;
let sequence = 0;

/** Random bytes are fetched for many ids at once: a call for each would cost more than all the rest. */
const randomPool = new Uint8Array(4096);
let randomUsed = randomPool.length;

function takeRandom(count: number): Uint8Array {
  if (randomUsed + count > randomPool.length) {
    crypto.getRandomValues(randomPool);
    randomUsed = 0;
  }
  randomUsed += count;
  return randomPool.subarray(randomUsed - count, randomUsed);
}

/**
 * A UUIDv7 (RFC 9562): 48 bits of unix milliseconds, a 12-bit counter within the millisecond, 62 random bits.
 * Ids made by one process grow strictly: when the counter is used up, or the clock steps back, the time field
 * runs ahead by a millisecond.
 */
export function uuidv7(nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    sequence = 0;
  } else if (++sequence > 0xfff) {
    lastMs++;
    sequence = 0;
  }
  const time = lastMs.toString(16).padStart(12, "0");
  const counter = (0x7000 | sequence).toString(16);
  const random = takeRandom(8);
  random[0] = 0x80 | (byteAt(random, 0) & 0x3f);
  const tail = formatBytes(random);
  return `${time.slice(0, 8)}-${time.slice(8)}-${counter}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

function formatBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexByte[byte];
  return text;
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in its canonical, lower-case form. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}
