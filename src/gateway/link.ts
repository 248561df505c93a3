import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { ServerFrame } from "../../protocol/frames.ts";
import { splitFrames } from "./frame-bytes.ts";

/** How long the client's side of a close is waited for, milliseconds. */
export const closeWithinMs = 3_000;

/** Bytes that are held back to go out in one piece. */
export const corkedBytesMax = 16_384;

/** The way to a client. Takes the bytes of WebSocket frames, whatever it makes of them. */
export type Link = {
  /** Bytes that the client has not taken yet. */
  readonly unsentBytes: number;
  /** Whether the client can show that it lives. */
  readonly answersPings: boolean;
  write(frames: Buffer): void;
  /** What is written while `work` runs goes out in one piece, unless it is much. */
  together(work: () => void): void;
  /** Lets what the client sends wait, or no longer. */
  setReading(reading: boolean): void;
  /** Calls back once, when a client that had too many bytes waiting has taken all of them. */
  onceDrained(callback: () => void): void;
  /** Says why and ends, also when what is said has not been taken within `closeWithinMs`. */
  close(code: number, meaning: string): void;
};

/** Frames go past `ws`, which would build each of them anew: out here go finished bytes, many frames in one write. */
export class WebSocketLink implements Link {
  readonly answersPings = true;
  readonly #ws: WebSocket;
  readonly #socket: Socket;

  constructor(ws: WebSocket, socket: Socket) {
    this.#ws = ws;
    this.#socket = socket;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(frames: Buffer): void {
    const socket = this.#socket;
    // What is held back counts as waiting for the client, which must not be taken for one that takes nothing.
    if (socket.writableCorked > 0 && socket.writableLength > corkedBytesMax) socket.uncork();
    socket.write(frames);
  }

  together(work: () => void): void {
    this.#socket.cork();
    try {
      work();
    } finally {
      if (this.#socket.writableCorked > 0) this.#socket.uncork();
    }
  }

  setReading(reading: boolean): void {
    if (reading) this.#ws.resume();
    else this.#ws.pause();
  }

  onceDrained(callback: () => void): void {
    this.#socket.once("drain", callback);
  }

  close(code: number, meaning: string): void {
    this.#ws.close(code, meaning);
  }
}

type Part = {
  /** Undefined for a ping. */
  readonly text: string | undefined;
  /** Topics that it moves on, and up to where. */
  readonly moves: readonly (readonly [topic: string, position: string])[];
};

/** What was taken apart last: the streams of a topic are handed the same buffer, one after the other. */
let last: { readonly frames: Buffer; readonly parts: readonly Part[] } | undefined;

function partsOf(frames: Buffer): readonly Part[] {
  if (last?.frames !== frames) {
    const parts = splitFrames(frames).map(({ isPing, text }): Part =>
      isPing ? { text: undefined, moves: [] } : { text, moves: movesOf(JSON.parse(text) as ServerFrame) },
    );
    last = { frames, parts };
  }
  return last.parts;
}

function movesOf(frame: ServerFrame): Part["moves"] {
  if (frame.type === "entry" || frame.type === "limited") return [[frame.topic, frame.position]];
  if (frame.type === "positions") return Object.entries(frame.positions);
  if (frame.type !== "subscribed") return [];
  return Object.entries(frame.topics).map(([topic, { position }]) => [topic, position] as const);
}

/**
 * Server-sent events: the same frames as text. An event's id holds the positions of all topics of the stream, since a
 * browser that comes back says only the last one it saw.
 */
export class EventStreamLink implements Link {
  readonly answersPings = false;
  readonly #response: ServerResponse;
  /** Topics in the order of the request, with the position that the client has. */
  readonly #positions: Map<string, string>;

  constructor(response: ServerResponse, positions: ReadonlyMap<string, string>) {
    this.#response = response;
    this.#positions = new Map(positions);
  }

  get unsentBytes(): number {
    return this.#response.writableLength;
  }

  write(frames: Buffer): void {
    const events = partsOf(frames).map((part) => this.#eventOf(part));
    this.#response.write(events.join(""));
  }

  together(work: () => void): void {
    work();
  }

  setReading(): void {
    // Nothing comes.
  }

  onceDrained(callback: () => void): void {
    this.#response.once("drain", callback);
  }

  close(code: number, meaning: string): void {
    const response = this.#response;
    response.end(`event: close\ndata: ${JSON.stringify({ code, reason: meaning })}\n\n`);
    const timer = setTimeout(() => response.destroy(), closeWithinMs);
    response.once("close", () => clearTimeout(timer));
  }

  #eventOf({ text, moves }: Part): string {
    if (text === undefined) return ":\n\n";
    for (const [topic, position] of moves)
      if (this.#positions.has(topic)) this.#positions.set(topic, position);
    return `id: ${[...this.#positions.values()].join(",")}\ndata: ${text}\n\n`;
  }
}

/** Stands in an event's id for a topic of which the client has heard nothing. */
export const noPosition = "-";
