const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

let lastMs = 0;
let sequence = 0;

/** Random bytes are fetched for many ids at once: a call for each would cost more than all the rest. */
const randomPool = new Uint8Array(4096);
let randomUsed = randomPool.length;

function randomByte(): number {
  if (randomUsed === randomPool.length) {
    crypto.getRandomValues(randomPool);
    randomUsed = 0;
  }
  return randomPool[randomUsed++] ?? 0;
}

/** The lowest byte of a number as two hexadecimal digits. */
function byteText(value: number): string {
  return hex[value & 0xff] ?? "";
}

function randomText(): string {
  return byteText(randomByte());
}

/**
 * A UUIDv7 (RFC 9562): 48 bits of unix millihigh, a 12-bit counter within the millisecond, 62 random bits.
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
  const high = Math.floor(lastMs / 0x1_0000);
  const time = `${byteText(high >>> 24)}${byteText(high >>> 16)}${byteText(high >>> 8)}${byteText(high)}`;
  const rest = `${byteText(lastMs >>> 8)}${byteText(lastMs)}`;
  const counter = `${byteText(0x70 | (sequence >>> 8))}${byteText(sequence)}`;
  const variant = `${byteText(0x80 | (randomByte() & 0x3f))}${randomText()}`;
  const tail = `${randomText()}${randomText()}${randomText()}${randomText()}${randomText()}${randomText()}`;
  return `${time}-${rest}-${counter}-${variant}-${tail}`;
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in its canonical, lower-case form. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}
