import { once } from "node:events";
import type { Static } from "typebox";
import { WebSocket } from "ws";
import { isBroadcastPlace } from "../../../protocol/broadcast-rules.ts";
import type { SeedPush, SeedReadAck } from "../../../protocol/notifications.ts";
import { settlesWithin } from "../../../src/embedded/settles-within.ts";
import { pause } from "../../../src/lib/backoff.ts";
import { type Device, type DeviceOptions, noteWait, readSometimes } from "./device.ts";
import { type Place, comparePlaces, placeOf } from "./place.ts";

/** How long it stays away; longer each time that it is not let in, as people's programs do. */
const awayMs = { baseMs: 600, factor: 1.6, maxMs: 5_000 } as const;
const handshakeTimeoutMs = 10_000;
const closeLimitMs = 1_000;

type Push = Static<typeof SeedPush>;
type Ack = Static<typeof SeedReadAck>;
/** What was said while there was no database was not taken. */
type Refused = { readonly type: "error"; readonly error: { readonly code: string } };

/** What one connection has heard. What an old one still says while it is closed is no news of the next. */
type Hearing = {
  readonly begunMs: number;
  openedMs: number;
  readonly heard: Set<string>;
  readonly acked: Set<string>;
  /** The last place of the person's own, and of what everybody is told: these are counted apart. */
  readonly last: { own: Place; shared: Place };
};

function hearing(): Hearing {
  return {
    begunMs: performance.now(),
    openedMs: Infinity,
    heard: new Set(),
    acked: new Set(),
    last: { own: [0, 0], shared: [0, 0] },
  };
}

/** A device in the seed's form: connects, is cut off, comes back; reads now and then what it hears. */
export class SeedDevice implements Device {
  #hearing = hearing();
  #socket: WebSocket | undefined;
  readonly #options: DeviceOptions;

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  /** What the last connection has heard, in order. */
  get heard(): ReadonlySet<string> {
    return this.#hearing.heard;
  }

  async run(stop: AbortSignal): Promise<void> {
    const { prng, bounds } = this.#options;
    for (let refusals = 0; !stop.aborted;) {
      const open = await this.connect();
      refusals = open === undefined ? refusals + 1 : 0;
      if (open !== undefined) {
        await Promise.race([open.closed, pause(prng.between(bounds.lifeMs.min, bounds.lifeMs.max), stop)]);
        await this.#disconnect(prng.chance(0.5));
      }
      await pause(prng.next() * Math.min(awayMs.maxMs, awayMs.baseMs * awayMs.factor ** refusals), stop);
    }
  }

  close(): Promise<void> {
    return this.#disconnect(false);
  }

  /** Resolves when it is connected, with what resolves when it is not any more; with nothing when it is not let in. */
  async connect(): Promise<{ readonly closed: Promise<unknown> } | undefined> {
    const { port, userId, token, ledger } = this.#options;
    const own = hearing();
    const url = `ws://127.0.0.1:${port}/ws?user_id=${userId}&token=${await token()}`;
    const socket = new WebSocket(url, { handshakeTimeout: handshakeTimeoutMs, perMessageDeflate: false });
    this.#hearing = own;
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer) => this.#take(data.toString(), own));
    await Promise.race([once(socket, "open").catch(() => undefined), closed]);
    if (socket.readyState !== WebSocket.OPEN) return undefined;
    ledger.counts.connections++;
    this.#socket = socket;
    own.openedMs = performance.now();
    void closed.then(() => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    return { closed };
  }

  async #disconnect(abruptly: boolean): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined || socket.readyState === WebSocket.CLOSED) return;
    const closed = once(socket, "close");
    if (abruptly) socket.terminate();
    else socket.close();
    await settlesWithin(closed, closeLimitMs);
    socket.terminate();
  }

  read(id: string): void {
    const { ledger, userId } = this.#options;
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    ledger.sayRead(userId, [id]);
    this.#socket.send(
      JSON.stringify({ type: "notification.read", data: { notification_id: id, stream_id: "0-0" } }),
    );
  }

  overdue(): readonly string[] {
    const { ledger, userId, bounds } = this.#options;
    const byMs = performance.now() - bounds.heardWithinMs;
    const { heard, acked, openedMs } = this.#hearing;
    if (this.#socket?.readyState !== WebSocket.OPEN || Math.max(openedMs, ledger.disturbedMs) > byMs)
      return [];
    const missing = ledger.due(userId, byMs).find(({ id }) => !heard.has(id));
    const { told } = ledger.of(userId);
    const unacked = [...heard].find((id) => {
      const { ackedMs = Infinity, endsAt = 0 } = told.get(id) ?? {};
      // Of what has ended only those who ask hear anything more.
      return ackedMs < byMs && endsAt === Infinity && !acked.has(id);
    });
    return [
      ...(missing === undefined ? [] : [`${userId} was not told ${missing.id} ("${missing.text}")`]),
      ...(unacked === undefined ? [] : [`${userId} was not told that ${unacked} is read`]),
    ];
  }

  #take(text: string, own: Hearing): void {
    const frame = JSON.parse(text) as Push | Ack | Refused;
    if (frame.type === "notification.push") this.#takePush(frame, own);
    else if (frame.type === "notification.read.ack") this.#takeAck(frame, own);
    else if (frame.error.code === "unavailable") this.#options.ledger.counts.refused++;
    else this.#options.ledger.fault(`a device heard ${text}`);
  }

  #takePush({ data }: Push, { begunMs, openedMs, heard, acked, last }: Hearing): void {
    const { ledger, userId } = this.#options;
    const { notification_id: id, message, stream_id } = data;
    ledger.counts.pushed++;
    const place = placeOf(stream_id);
    const told = ledger.hear(userId, { id, text: message, place });
    const which = isBroadcastPlace(stream_id) ? "shared" : "own";
    // What was known to be read before the handshake began may not be told on this connection. While it lasts, what is
    // done with broadcasts comes in another topic than they do, and sometimes before them.
    if ((which === "own" && acked.has(id)) || (told.ackedMs ?? Infinity) < begunMs)
      ledger.fault(`${id} was told to ${userId} again after it was acknowledged as read`);
    if (heard.has(id)) return ledger.fault(`${id} was told to ${userId} twice on one connection`);
    heard.add(id);
    noteWait(ledger, told, openedMs);
    if (comparePlaces(place, last[which]) > 0) last[which] = place;
    else ledger.fault(`${userId} was told ${stream_id} out of order`);
    readSometimes(this.#options, told);
  }

  #takeAck({ data }: Ack, { acked }: Hearing): void {
    const { ledger, userId } = this.#options;
    const told = ledger.of(userId).told.get(data.notification_id);
    acked.add(data.notification_id);
    ledger.counts.acked++;
    if (told !== undefined) return ledger.ack(told);
    // A digest, or what was held, that was told to another device and read there before any answer came.
    ledger.fault(`${userId} heard that ${data.notification_id} is read, of which nobody knows`);
  }
}
