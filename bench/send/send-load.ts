/** What the process that sends chat messages is told, and what it answers. */
export type SendLoad = {
  readonly via: "socket" | "http";
  readonly port: number;
  /** Of the senders, all members of all rooms. */
  readonly tokens: readonly string[];
  readonly roomIds: readonly number[];
  readonly forMs: number;
  /** Open loop: messages per second by the clock. Without it, closed loop: as fast as answers come. */
  readonly perSecond?: number;
};

export type SendResult = {
  readonly accepted: number;
  readonly failed: number;
  readonly perSecond: number;
  /** Milliseconds until the answer; in an open loop from the moment the message was due. */
  readonly p50: number;
  readonly p99: number;
};

/** One message on its way at a time. */
export type Lane = {
  /** To a room or a person. Resolves with whether it was accepted. */
  send(id: number, content: string): Promise<boolean>;
};

export type Lanes = Disposable & { readonly lanes: readonly Lane[] };
