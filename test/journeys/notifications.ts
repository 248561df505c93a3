import assert from "node:assert/strict";
import { WebSocket } from "ws";
import type { NotifyResult } from "../../protocol/notifications.ts";
import { eventually } from "../harness.ts";

/** The seed's frames, as a client of its hears them. */
export type SeedFrame =
  | {
      readonly type: "notification.push";
      readonly data: {
        readonly notification_id: string;
        readonly stream_id: string;
        readonly message: string;
        readonly created_at: string;
        readonly source: string;
        readonly status: string;
      };
    }
  | {
      readonly type: "notification.read.ack";
      readonly data: { readonly notification_id: string; readonly stream_id?: string };
    };

/** A client as the seed describes one: a plain WebSocket, the person in the URL, and a token, which the seed has not. */
export class SeedClient {
  readonly frames: SeedFrame[] = [];
  /** Refusals, which the seed does not know. */
  readonly errors: string[] = [];
  closed: number | undefined;
  readonly #ws: WebSocket;

  constructor(url: string, parameters: Readonly<Record<string, string | number>>, token?: string) {
    const address = new URL("/ws", url.replace("http", "ws"));
    for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, String(value));
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.#ws = new WebSocket(address, { headers });
    this.#ws.on("message", (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as SeedFrame | { type: "error"; error: { code: string } };
      if (frame.type === "error") this.errors.push(frame.error.code);
      else this.frames.push(frame);
    });
    this.#ws.on("close", (code) => (this.closed = code));
    this.#ws.on("error", () => undefined);
  }

  get pushes(): readonly Extract<SeedFrame, { type: "notification.push" }>["data"][] {
    return this.frames.flatMap((frame) => (frame.type === "notification.push" ? [frame.data] : []));
  }

  get acks(): readonly string[] {
    return this.frames.flatMap((frame) =>
      frame.type === "notification.read.ack" ? [frame.data.notification_id] : [],
    );
  }

  async opened(): Promise<this> {
    await eventually("it is open", () => this.#ws.readyState === WebSocket.OPEN);
    return this;
  }

  /** Resolves with what was pushed when there are so many. */
  async hears(count: number): Promise<SeedClient["pushes"]> {
    await eventually(`${count} pushes`, () => this.pushes.length >= count || this.closed !== undefined);
    assert.equal(this.closed, undefined, "the server has closed it");
    return this.pushes;
  }

  /** Resolves when so many of what it has read are acknowledged. */
  async isAcknowledged(count: number): Promise<void> {
    await eventually(`${count} acks`, () => this.acks.length >= count || this.closed !== undefined);
    assert.equal(this.closed, undefined, "the server has closed it");
    assert.equal(this.acks.length, count);
  }

  send(frame: unknown): void {
    this.#ws.send(JSON.stringify(frame));
  }

  read(notificationId: string, streamId?: string): void {
    const stream = streamId === undefined ? {} : { stream_id: streamId };
    this.send({ type: "notification.read", data: { notification_id: notificationId, ...stream } });
  }

  stopReading(): void {
    this.#ws.pause();
  }

  readOn(): void {
    this.#ws.resume();
  }

  /** Goes without a word. */
  drop(): void {
    this.#ws.terminate();
  }
}

/** The ids of results, which must all have one. */
export function idsOf(results: readonly NotifyResult[]): readonly string[] {
  return results.map((result) => {
    assert.ok("notification_id" in result, JSON.stringify(result));
    return result.notification_id;
  });
}
