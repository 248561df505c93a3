import { once } from "node:events";
import { WebSocket } from "ws";
import type { Static } from "typebox";
import type { SeedPush, SeedReadAck } from "../../../protocol/notifications.ts";
import { pause } from "../../../src/lib/backoff.ts";
import { settlesWithin } from "../../../src/embedded/settles-within.ts";
import type { Prng } from "../prng.ts";
import { type Ledger, sentKey } from "./ledger.ts";
import { isLasting } from "./notifier.ts";

const lifeMs = { min: 200, max: 9_000 } as const;
const awayMaxMs = 600;
const readShare = 0.6;
const readAfterMaxMs = 300;
const handshakeTimeoutMs = 5_000;
const closeLimitMs = 1_000;
/** Until when an open connection must have been told what was accepted, milliseconds. */
export const heardWithinMs = 3_000;

type Push = Static<typeof SeedPush>;
type Ack = Static<typeof SeedReadAck>;
/** What was said while there was no database was not taken. */
type Refused = { readonly type: "error"; readonly error: { readonly code: string } };

export type DeviceOptions = {
  readonly port: number;
  readonly userId: number;
  readonly token: () => Promise<string>;
  readonly ledger: Ledger;
  readonly prng: Prng;
  /** All devices of the person, this one too. */
  readonly devices: Device[];
};

/** One device of a person, in the seed's form: connects, is cut off, comes back; reads now and then what it hears. */
export class Device {
  /** What the connection that is open has heard. */
  readonly heard = new Set<string>();
  #acked = new Set<string>();
  #openedMs: number | undefined;
  #lastPlace: readonly [number, number] = [0, 0];
  #socket: WebSocket | undefined;
  readonly #options: DeviceOptions;

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  async run(stop: AbortSignal): Promise<void> {
    const { prng } = this.#options;
    while (!stop.aborted) {
      const open = await this.connect();
      if (open !== undefined) {
        await Promise.race([open.closed, pause(prng.between(lifeMs.min, lifeMs.max), stop)]);
        await this.disconnect(prng.chance(0.5));
      }
      await pause(prng.between(0, awayMaxMs), stop);
    }
  }

  /** Resolves when it is connected, with what resolves when it is not any more; with nothing when it is not let in. */
  async connect(): Promise<{ readonly closed: Promise<unknown> } | undefined> {
    const { port, userId, token, ledger } = this.#options;
    const begunMs = performance.now();
    const url = `ws://127.0.0.1:${port}/ws?user_id=${userId}&token=${await token()}`;
    const socket = new WebSocket(url, { handshakeTimeout: handshakeTimeoutMs, perMessageDeflate: false });
    this.heard.clear();
    this.#acked = new Set();
    this.#lastPlace = [0, 0];
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => undefined);
    // What was known to be read before the handshake began may not be told on this connection.
    socket.on("message", (data: Buffer) => this.#take(data.toString(), begunMs));
    await Promise.race([once(socket, "open").catch(() => undefined), closed]);
    if (socket.readyState !== WebSocket.OPEN) return undefined;
    ledger.counts.connections++;
    this.#socket = socket;
    this.#openedMs = performance.now();
    void closed.then(() => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    return { closed };
  }

  async disconnect(abruptly: boolean): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined || socket.readyState === WebSocket.CLOSED) return;
    const closed = once(socket, "close");
    if (abruptly) socket.terminate();
    else socket.close();
    await settlesWithin(closed, closeLimitMs);
    socket.terminate();
  }

  /** Says that something is read, if it is connected. */
  read(id: string): void {
    const { ledger } = this.#options;
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const told = ledger.told.get(id);
    if (told !== undefined) told.readSent = true;
    ledger.counts.reads++;
    this.#socket.send(
      JSON.stringify({ type: "notification.read", data: { notification_id: id, stream_id: "0-0" } }),
    );
  }

  /** What it should have heard by now and has not, though nothing disturbed it. */
  overdue(): readonly string[] {
    const { ledger, userId } = this.#options;
    const since = Math.max(this.#openedMs ?? Infinity, ledger.disturbedMs);
    const nowMs = performance.now();
    if (this.#socket?.readyState !== WebSocket.OPEN || since > nowMs - heardWithinMs) return [];
    return (ledger.byPerson.get(userId) ?? [])
      .filter(
        ({ id, lasting, readSent, acceptedMs }) =>
          lasting && !readSent && acceptedMs < nowMs - heardWithinMs && !this.heard.has(id),
      )
      .map(({ id }) => id);
  }

  #take(text: string, begunMs: number): void {
    const frame = JSON.parse(text) as Push | Ack | Refused;
    if (frame.type === "notification.push") this.#takePush(frame, begunMs);
    else if (frame.type === "notification.read.ack") this.#takeAck(frame);
    else if (frame.error.code === "unavailable") this.#options.ledger.counts.refused++;
    else this.#options.ledger.fault(`a device heard ${text}`);
  }

  #takePush({ data }: Push, begunMs: number): void {
    const { ledger, userId, prng, devices } = this.#options;
    const { notification_id: id, message, stream_id } = data;
    ledger.counts.pushed++;
    if (!ledger.sent.has(sentKey(userId, message)))
      ledger.fault(`${userId} was told "${message}", never sent`);
    const told = ledger.note(id, userId, message, isLasting(message));
    if (told.userId !== userId || told.text !== message) ledger.fault(`${id} was told as something else`);
    if (this.#acked.has(id) || (told.ackedMs ?? Infinity) < begunMs)
      ledger.fault(`${id} was told to ${userId} again after it was acknowledged as read`);
    if (this.heard.has(id)) return;
    this.heard.add(id);
    const place = placeOf(stream_id);
    if (!isAfter(place, this.#lastPlace)) ledger.fault(`${userId} was told ${stream_id} out of order`);
    this.#lastPlace = place;
    if (devices.length === 0 || !prng.chance(readShare)) return;
    const readers = prng.shuffled(devices).slice(0, prng.between(1, devices.length));
    void pause(prng.between(0, readAfterMaxMs)).then(() => {
      for (const device of readers) device.read(id);
    });
  }

  #takeAck({ data }: Ack): void {
    const { ledger, userId } = this.#options;
    const told = ledger.told.get(data.notification_id);
    this.#acked.add(data.notification_id);
    ledger.counts.acked++;
    if (told?.userId !== userId || !told.readSent)
      return ledger.fault(`${userId} heard that ${data.notification_id} is read, which nobody said`);
    told.ackedMs ??= performance.now();
  }
}

function placeOf(streamId: string): readonly [number, number] {
  const [ms = 0, n = 0] = streamId.split("-").map(Number);
  return [ms, n];
}

function isAfter(
  [ms, n]: readonly [number, number],
  [beforeMs, beforeN]: readonly [number, number],
): boolean {
  return ms > beforeMs || (ms === beforeMs && n > beforeN);
}
