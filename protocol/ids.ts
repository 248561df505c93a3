const hexByte: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** 16 bytes as the 36 characters of a UUID. Throws nothing; bytes past the sixteenth are ignored. */
export function formatUuid(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
    text += hexByte[bytes[i] ?? 0];
  }
  return text;
}

let lastMs = 0;
let sequence = 0;

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
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(lastMs / 0x10000));
  view.setUint16(4, lastMs % 0x10000);
  view.setUint16(6, 0x7000 | sequence);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return formatUuid(bytes);
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in its canonical, lower-case form. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}
