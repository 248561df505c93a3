/** Opcodes of RFC 6455. */
const textOpcode = 0x1;
const pingOpcode = 0x9;
const finalBit = 0x80;

/** Longest header of a frame that a server sends: it is not masked. */
const headerBytesMax = 10;

/**
 * The bytes of one unmasked text message, header included, made once and written to any number of sockets: building
 * a frame for each costs more than all the rest of a small delivery but the system call.
 */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const header = headerLength(length);
  const bytes = Buffer.allocUnsafe(header + length);
  bytes[0] = finalBit | textOpcode;
  if (header === 2) bytes[1] = length;
  else if (header === 4) {
    bytes[1] = 126;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = 127;
    bytes.writeBigUInt64BE(BigInt(length), 2);
  }
  bytes.write(text, header);
  return bytes;
}

/** The text of a frame that `textFrame` made, as bytes. */
export function frameText(frame: Buffer): Buffer {
  const [, short = 0] = frame;
  return frame.subarray(short === 126 ? 4 : short === 127 ? headerBytesMax : 2);
}

/** The frames that follow on each other in one buffer of this server's: their opcodes and payloads. */
export function splitFrames(bytes: Buffer): { readonly isPing: boolean; readonly text: string }[] {
  const frames: { isPing: boolean; text: string }[] = [];
  for (let at = 0; at < bytes.length;) {
    const [first = 0, short = 0] = bytes.subarray(at, at + 2);
    const header = short === 126 ? 4 : short === 127 ? headerBytesMax : 2;
    const length =
      header === 2
        ? short
        : header === 4
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    const end = at + header + length;
    frames.push({ isPing: (first & 0xf) === pingOpcode, text: bytes.toString("utf8", at + header, end) });
    at = end;
  }
  return frames;
}

/** A ping without a payload. */
export const pingFrame: Buffer = Buffer.from([finalBit | pingOpcode, 0]);

function headerLength(payloadBytes: number): number {
  if (payloadBytes < 126) return 2;
  return payloadBytes < 65_536 ? 4 : headerBytesMax;
}
