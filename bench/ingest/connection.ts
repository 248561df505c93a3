import { type Socket, connect } from "node:net";

export type ConnectionEvents = {
  /** The answer to the request on its way: its status, or `lost` when the connection broke instead. */
  readonly onAnswer: (connection: Connection, status: number | "lost") => void;
};

const headEnd = Buffer.from("\r\n\r\n");
const contentLength = /\r\ncontent-length: *(\d+)/i;

/** A keep-alive connection with one request on its way at a time. Knows as little HTTP as is safe here. */
export class Connection {
  /** What the request on its way is, for the owner. */
  place = 0;
  startedAt = 0;
  readonly #port: number;
  readonly #events: ConnectionEvents;
  #socket: Socket;
  #received: Buffer | undefined;
  #waiting = false;
  #closing = false;

  constructor(port: number, events: ConnectionEvents) {
    this.#port = port;
    this.#events = events;
    this.#socket = this.#open();
  }

  /** Whether an answer is due. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** What has come of it. */
  get heard(): string {
    return this.#received?.toString("latin1") ?? "";
  }

  send(request: Buffer): void {
    this.#waiting = true;
    this.#socket.write(request);
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #open(): Socket {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#lost());
    return socket;
  }

  #read(chunk: Buffer): void {
    // A server that gives an unused connection up may say so (408): that answers nothing.
    if (!this.#waiting) return;
    const data = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk]);
    const end = data.indexOf(headEnd);
    const length = end === -1 ? undefined : contentLength.exec(data.toString("latin1", 0, end))?.[1];
    if (length === undefined || data.length < end + headEnd.length + Number(length)) {
      this.#received = data;
      return;
    }
    this.#received = undefined;
    this.#waiting = false;
    this.#events.onAnswer(this, Number(data.toString("latin1", 9, 12)));
  }

  #lost(): void {
    if (this.#closing) return;
    this.#received = undefined;
    this.#socket = this.#open();
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#events.onAnswer(this, "lost");
  }
}
