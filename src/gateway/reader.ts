import type { Pushed } from "./ring.ts";

/** How a reader wants entries and signals. The readers of one topic and encoding share the bytes they are sent. */
export type Encoding = {
  /** Equal for encodings that give equal bytes. */
  readonly name: string;
  /** The bytes of entries, in order; undefined when none of them has a form in this encoding. */
  entries(list: readonly Pushed[]): Buffer | undefined;
  /** The bytes of any other server frame, made from the frame; undefined when readers of this kind are not told. */
  frame(frame: Buffer): Buffer | undefined;
};

/** Somebody who reads topics: a WebSocket or an event stream. */
export type Reader = {
  readonly encoding: Encoding;
  /** The person, if it is one; what is taken from a person is taken from all their readers. */
  readonly userId: number | undefined;
  /** The person's sign-in, if the token named one. */
  readonly sessionId: string | undefined;
  /** Bytes wait that the client has not taken: it must not be sent more before it has. */
  readonly full: boolean;
  /** Sends bytes of its encoding. Never throws; after the end it does nothing. */
  write(bytes: Buffer): void;
  /** What is written while `work` runs goes out in one piece. It must not wait for anything. */
  together(work: () => void): void;
  /** Sends a signal, or keeps it as the newest of its key while the reader is full. */
  signal(key: string, bytes: Buffer): void;
  /**
   * The reader may no longer read the topic and has been taken out of it: it gets nothing beyond the position, and not
   * always what it had not been sent up to there.
   */
  revoked(topic: string, position: string): void;
  /** It has missed entries, and its encoding has no words for that: whoever comes back is told what counts now. */
  lost(): void;
  /** A subscription has fallen behind because of `full`: catch up when there is room again. */
  lag(): void;
};
