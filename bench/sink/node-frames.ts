const empty = Buffer.alloc(0);
const mask = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** Cuts a stream of bytes into frames that a server sends: not masked, and not in parts. */
export class FrameReader {
  #rest: Buffer = empty;
  readonly #onFrame: (opcode: number, payload: Buffer) => void;

  constructor(onFrame: (opcode: number, payload: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  read(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const header = headerOf(data, at);
      if (header === undefined || data.length - at - header.bytes < header.size) break;
      const begin = at + header.bytes;
      at = begin + header.size;
      this.#onFrame((data[begin - header.bytes] ?? 0) & 0x0f, data.subarray(begin, at));
    }
    this.#rest = data.subarray(at);
  }
}

function headerOf(data: Buffer, at: number): { readonly bytes: number; readonly size: number } | undefined {
  const there = data.length - at;
  if (there < 2) return undefined;
  const short = (data[at + 1] ?? 0) & 0x7f;
  if (short < 126) return { bytes: 2, size: short };
  if (short === 126) return there < 4 ? undefined : { bytes: 4, size: data.readUInt16BE(at + 2) };
  return there < 10 ? undefined : { bytes: 10, size: Number(data.readBigUInt64BE(at + 2)) };
}

/** A frame as a client sends it, masked; at most 65,535 bytes. */
export function clientFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < 126 ? [0x80 | opcode, 0x80 | length] : [0x80 | opcode, 0xfe, length >> 8, length & 0xff];
  const masked = Buffer.from(payload.map((byte, place) => byte ^ (mask[place % 4] ?? 0)));
  return Buffer.concat([Buffer.from(head), mask, masked]);
}
