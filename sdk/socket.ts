/** What is used of a WebSocket: that of browsers, of Node, and of the package `ws`. */
export type SocketLike = {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number }) => void): void;
};
export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

export type SocketListeners = {
  readonly opened: () => void;
  readonly message: (text: string) => void;
  readonly closed: (code: number) => void;
};

/** Code of a connection that ended without a word. */
const abnormal = 1006;

/**
 * A socket that is over the moment it is closed: what the old connection still says while it is taken down (which may
 * take a minute when the network is gone) reaches nobody.
 */
export class Socket {
  readonly #socket: SocketLike | undefined;
  #listeners: SocketListeners | undefined;

  constructor(make: () => SocketLike, listeners: SocketListeners) {
    this.#listeners = listeners;
    try {
      this.#socket = make();
    } catch {
      // Not allowed here, or an address that is none. Told like any other failure, and not before we are made.
      queueMicrotask(() => this.#ended(abnormal));
      return;
    }
    this.#socket.addEventListener("open", () => this.#listeners?.opened());
    this.#socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.#listeners?.message(data);
    });
    this.#socket.addEventListener("close", ({ code }) => this.#ended(code));
    // `close` follows and says as much. Without a listener, `ws` would throw.
    this.#socket.addEventListener("error", () => undefined);
  }

  send(text: string): void {
    try {
      if (this.#listeners !== undefined) this.#socket?.send(text);
    } catch {
      // It is closing already; `close` is about to be told.
    }
  }

  close(code: number): void {
    this.#listeners = undefined;
    try {
      this.#socket?.close(code);
    } catch {
      // It is closed already.
    }
  }

  #ended(code: number): void {
    const listeners = this.#listeners;
    this.#listeners = undefined;
    listeners?.closed(code);
  }
}
