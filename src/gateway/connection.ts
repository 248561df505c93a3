import { type CloseReason, closeRules } from "../../protocol/close-codes.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import type { Actor } from "../access/actor.ts";
import type { HeaderPlace } from "../access/development.ts";
import type { PlainForm } from "../deps.ts";
import type { Subscription } from "./channel.ts";
import { frameOf } from "./frames.ts";
import type { Link } from "./link.ts";
import type { Encoding, Reader } from "./reader.ts";

/** Bytes that may wait for a client to take them. Over it, it gets nothing more until it has taken all of them. */
export const unsentBytesMax = 262_144;
/** Signals of different topics, names or keys that are kept for a client that takes nothing; the oldest goes first. */
export const keptSignalsMax = 256;
/** Bytes of the text that a close frame can carry, by RFC 6455. */
export const closeTextBytesMax = 123;

/**
 * `waiting` has shown no credentials yet; `open` is somebody; `closed` is over for us, even while the close frame is
 * still on its way.
 */
export type Phase = "waiting" | "open" | "closed";

/** A seed's form, and the parameters that it was asked for with. */
export type PlainWish = { readonly form: PlainForm; readonly parameters: URLSearchParams };

/**
 * One client: whose it is, what it reads, and what goes out to it, over a WebSocket or an event stream. Frames that come
 * in are `Dispatch`'s.
 */
export class Connection implements Reader {
  readonly id = uuidv7();
  readonly address: string;
  /** What its handshake said about where it came from. */
  readonly place: HeaderPlace;
  readonly subscriptions = new Map<string, Subscription>();
  phase: Phase = "waiting";
  actor: Actor | undefined;
  /** Kept for API keys only, whose end nobody announces. */
  apiKey: string | undefined;
  /** Its place in the timing wheel. */
  slot = -1;
  encoding: Encoding;
  /** Whether it speaks the subprotocol; otherwise it hears the seeds' forms only. */
  readonly native: boolean;
  /** Requests that are being worked on. */
  inFlight = 0;
  badFrames = 0;
  /** Tokens for frames, and when they were counted last. */
  frameTokens: number;
  frameTokensAtMs = 0;
  /** Something has come since the last ping, or nothing ever does. */
  get heard(): boolean {
    return this.#heard || !this.#link.answersPings;
  }

  set heard(heard: boolean) {
    this.#heard = heard;
  }

  toldExpiry = false;
  /** What a connection that speaks a seed's form asked for in its URL, until it is known whose it is. */
  plain: PlainWish | undefined;
  /** The seed's form that it speaks, when it is somebody's. */
  form: PlainForm | undefined;
  /** What such a connection is to hear first is being told: until it is, nothing that it says is answered. */
  beginning: Promise<void> | undefined;
  /** Since when it takes nothing; undefined while it keeps up. */
  fullSinceMs: number | undefined;
  #heard = true;
  readonly #link: Link;
  readonly #onRoom: (connection: Connection) => void;
  readonly #onLost: ((connection: Connection) => void) | undefined;
  /** Frames of a plain connection that wait for their turn, in order. */
  readonly waiting: Readonly<Record<string, unknown>>[] = [];
  /** Nothing is read of what the client sends while frames of it wait. */
  #held = false;
  /** Who waits until there is room again. */
  #waiting: (() => void) | undefined;
  #kept: Map<string, Buffer> | undefined;

  constructor(options: {
    readonly link: Link;
    readonly address: string;
    readonly place: HeaderPlace;
    readonly native: boolean;
    readonly encoding: Encoding;
    readonly frameTokens: number;
    /** Called when a client that took nothing has taken everything. */
    readonly onRoom: (connection: Connection) => void;
    /** Called when it has missed entries without being told. */
    readonly onLost?: (connection: Connection) => void;
  }) {
    this.#link = options.link;
    this.address = options.address;
    this.place = options.place;
    this.native = options.native;
    this.encoding = options.encoding;
    this.frameTokens = options.frameTokens;
    this.#onRoom = options.onRoom;
    this.#onLost = options.onLost;
  }

  get userId(): number | undefined {
    return this.actor?.kind === "user" ? this.actor.id : undefined;
  }

  get sessionId(): string | undefined {
    return this.actor?.kind === "user" ? this.actor.sessionId : undefined;
  }

  get full(): boolean {
    return this.#link.unsentBytes > unsentBytesMax;
  }

  write(bytes: Buffer): void {
    if (this.phase !== "closed") this.#link.write(bytes);
  }

  together(work: () => void): void {
    if (this.phase === "closed") work();
    else this.#link.together(work);
  }

  lag(): void {
    if (this.fullSinceMs !== undefined || this.phase === "closed") return;
    this.fullSinceMs = performance.now();
    // Whoever takes no answers asks no more.
    this.#link.setReading(false);
    this.#link.onceDrained(() => {
      this.fullSinceMs = undefined;
      this.#link.setReading(!this.#held);
      if (this.phase === "closed") return;
      const kept = this.#kept;
      this.#kept = undefined;
      if (kept !== undefined) for (const bytes of kept.values()) this.write(bytes);
      this.#letIn();
      this.#onRoom(this);
    });
  }

  /** Resolves when the client can be sent more, or when it is over. One at a time waits. */
  room(): Promise<void> {
    if (!this.full || this.phase === "closed") return Promise.resolve();
    this.lag();
    return new Promise((resolve) => (this.#waiting = resolve));
  }

  /** Lets what the client sends wait, since frames of it are still being served, or no longer. */
  hold(isHeld: boolean): void {
    this.#held = isHeld;
    if (this.fullSinceMs === undefined && this.phase !== "closed") this.#link.setReading(!isHeld);
  }

  #letIn(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }

  lost(): void {
    this.#onLost?.(this);
  }

  signal(key: string, bytes: Buffer): void {
    if (!this.full) return this.write(bytes);
    this.lag();
    const kept = (this.#kept ??= new Map<string, Buffer>());
    kept.delete(key);
    kept.set(key, bytes);
    const [oldest] = kept.keys();
    if (kept.size > keptSignalsMax && oldest !== undefined) kept.delete(oldest);
  }

  revoked(topic: string, position: string): void {
    this.subscriptions.delete(topic);
    if (this.native) this.write(frameOf({ type: "removed", topic, position }));
  }

  /** It is over for us, whoever has ended it: nothing more is written to it, and nobody waits for it. */
  leave(): void {
    this.phase = "closed";
    this.#letIn();
  }

  /**
   * Says why and closes; `detail` is what is wrong in this case, for a person to read. Whoever calls it has taken the
   * connection out of the hub.
   */
  close(reason: CloseReason, detail?: string): void {
    const { code, meaning } = closeRules[reason];
    this.closeWith(code, cutToBytes(detail ?? meaning, closeTextBytesMax));
  }

  /** Closes with a code of RFC 6455. */
  closeWith(code: number, meaning: string): void {
    this.leave();
    // The client's side of the close is to be heard, whatever it has not taken yet.
    if (this.fullSinceMs !== undefined || this.#held) this.#link.setReading(true);
    this.#link.close(code, meaning);
  }
}

/** The text, cut between two characters to so many bytes of UTF-8, an ellipsis included. */
function cutToBytes(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  const ellipsis = "…";
  const room = new Uint8Array(bytesMax - Buffer.byteLength(ellipsis));
  return text.slice(0, new TextEncoder().encodeInto(text, room).read) + ellipsis;
}
