import type { ServerFrame } from "../../protocol/frames.ts";
import type { Subscription } from "./channel.ts";
import { nativeFrames } from "./encodings.ts";
import { frameOf } from "./frames.ts";
import type { Encoding, Reader } from "./reader.ts";

/** The texts of frames that follow on each other in one buffer, as a client's parser sees them. */
export function textsOf(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const short = bytes[at + 1] ?? 0;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    const length =
      short < 126
        ? short
        : short === 126
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    texts.push(bytes.toString("utf8", at + header, at + header + length));
    at += header + length;
  }
  return texts;
}

/** A reader whose client takes bytes only when it is told to. */
export class TestReader implements Reader {
  readonly encoding: Encoding;
  readonly userId: number | undefined;
  readonly sessionId = undefined;
  readonly subscriptions = new Map<string, Subscription>();
  readonly frames: ServerFrame[] = [];
  /** Bytes that the client does not take yet; undefined while it takes everything at once. */
  unsent: Buffer[] | undefined;
  lagging = false;
  readonly #unsentMax: number;
  readonly #onRoom: (reader: TestReader) => void;

  constructor(
    options: {
      readonly userId?: number;
      readonly encoding?: Encoding;
      readonly unsentMax?: number;
      readonly onRoom?: (reader: TestReader) => void;
    } = {},
  ) {
    this.userId = options.userId;
    this.encoding = options.encoding ?? nativeFrames;
    this.#unsentMax = options.unsentMax ?? 1_000;
    this.#onRoom = options.onRoom ?? (() => undefined);
  }

  get full(): boolean {
    return (this.unsent ?? []).reduce((sum, { length }) => sum + length, 0) > this.#unsentMax;
  }

  write(bytes: Buffer): void {
    if (this.unsent === undefined) this.#take(bytes);
    else this.unsent.push(bytes);
  }

  /** How often it was told that it has missed something that its encoding has no words for. */
  losses = 0;
  lost(): void {
    this.losses++;
  }

  together(work: () => void): void {
    work();
  }

  signal(_key: string, bytes: Buffer): void {
    this.write(bytes);
  }

  revoked(topic: string, position: string): void {
    this.subscriptions.delete(topic);
    this.write(frameOf({ type: "removed", topic, position }));
  }

  lag(): void {
    this.lagging = true;
  }

  /** The client stops taking what it is sent. */
  stall(): void {
    this.unsent ??= [];
  }

  /** The client takes all that waits, and everything from now on. */
  drain(): void {
    const waiting = this.unsent ?? [];
    this.unsent = undefined;
    for (const bytes of waiting) this.#take(bytes);
    if (!this.lagging) return;
    this.lagging = false;
    this.#onRoom(this);
  }

  #take(bytes: Buffer): void {
    for (const text of textsOf(bytes)) this.frames.push(JSON.parse(text) as ServerFrame);
  }
}
