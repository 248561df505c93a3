import { type Socket, connect } from "node:net";
import { backoffMs, connectBackoff } from "../../sdk/backoff.ts";
import type { Numbers } from "./node-check.ts";
import { FrameReader, clientFrame } from "./node-frames.ts";
import type { SinkSocket } from "./sink.ts";

export type SocketState = "idle" | "waiting" | "underway" | "open" | "dead";

export type SocketEvents = {
  readonly port: number;
  readonly subprotocol: string;
  readonly ready: string;
  readonly reconnect: boolean;
  readonly onText: (socket: NodeSocket, payload: Buffer) => void;
  readonly onState: (socket: NodeSocket, before: SocketState) => void;
  readonly onCode: (code: number) => void;
};

const headEnd = Buffer.from("\r\n\r\n");
/** One WebSocket of the sink: connects, comes back when it is cut off, and hands on what it is told. */
export class NodeSocket {
  readonly index: number;
  readonly spec: SinkSocket;
  readonly numbers: Numbers;
  state: SocketState = "idle";
  position = "";
  readyNs = 0n;
  caughtNs = 0n;
  readonly #events: SocketEvents;
  readonly #address: string | undefined;
  #socket: Socket | undefined;
  #attempts = 0;

  constructor(
    index: number,
    options: {
      readonly spec: SinkSocket;
      readonly numbers: Numbers;
      readonly events: SocketEvents;
      /** The source address. */
      readonly address: string | undefined;
    },
  ) {
    this.index = index;
    this.spec = options.spec;
    this.numbers = options.numbers;
    this.#events = options.events;
    this.#address = options.address;
  }

  connect(): void {
    const { port } = this.#events;
    const from = this.#address === undefined ? {} : { localAddress: this.#address };
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, ...from });
    this.#socket = socket;
    this.#become("underway");
    let head: Buffer | undefined = Buffer.alloc(0);
    const frames = new FrameReader((opcode, payload) => this.#take(opcode, payload));
    socket.on("connect", () => socket.write(this.#request()));
    socket.on("data", (chunk) => {
      if (head === undefined) return frames.read(chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(headEnd);
      if (end === -1) return;
      const rest = head.subarray(end + headEnd.length);
      const status = Number(head.toString("latin1", 9, 12));
      head = undefined;
      if (status === 101) {
        this.#begin();
        frames.read(rest);
      } else {
        this.#events.onCode(status);
        socket.destroy();
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#socket === socket) this.#lost();
    });
  }

  ready(): void {
    this.#attempts = 0;
    this.readyNs = this.caughtNs = process.hrtime.bigint();
    this.#become("open");
  }

  stall(stalled: boolean): void {
    if (stalled) this.#socket?.pause();
    else this.#socket?.resume();
  }

  cut(): void {
    this.#socket?.resetAndDestroy();
  }

  send(opcode: number, payload: Buffer): void {
    this.#socket?.write(clientFrame(opcode, payload));
  }

  #begin(): void {
    const { first, topic } = this.spec;
    const resume = { type: "resume", id: 1, positions: { [topic]: this.position } };
    const text = this.position === "" ? first : JSON.stringify(resume);
    if (text !== "") this.send(1, Buffer.from(text));
    if (this.#events.ready === "") this.ready();
  }

  #take(opcode: number, payload: Buffer): void {
    if (opcode === 1) this.#events.onText(this, payload);
    else if (opcode === 9) this.send(10, payload);
    else if (opcode === 8) this.#events.onCode(payload.length < 2 ? 1005 : payload.readUInt16BE(0));
  }

  #lost(): void {
    this.readyNs = this.caughtNs = 0n;
    this.#become(this.#events.reconnect ? "waiting" : "dead");
    if (!this.#events.reconnect) return;
    setTimeout(() => this.connect(), backoffMs(++this.#attempts, connectBackoff, Math.random()));
  }

  #request(): string {
    const { subprotocol, port } = this.#events;
    const protocol = subprotocol === "" ? "" : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
    return `GET ${this.spec.path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${protocol}\r\n`;
  }

  #become(state: SocketState): void {
    const before = this.state;
    this.state = state;
    this.#events.onState(this, before);
  }
}
