import { WebSocket } from "ws";
import { isBroadcastPlace } from "../../../protocol/broadcast-rules.ts";
import type { Mark } from "../../../protocol/notifications.ts";
import { type Client, type Fetch, type SocketClass, createClient } from "../../../sdk/client.ts";
import { TidingsError } from "../../../sdk/errors.ts";
import { type NotificationStore, openNotifications } from "../../../sdk/notification-store.ts";
import { pause } from "../../../src/lib/backoff.ts";
import { type Device, type DeviceOptions, noteWait, readSometimes } from "./device.ts";
import { placeOf } from "./place.ts";
import { Shown, isUnread } from "./shown.ts";

const openAgainMs = 250;
const restMaxMs = 2_000;
const lookMs = 50;
/** Of all that disturbs it: the connection breaks, the client is stopped and started, the device begins anew. */
const cutShare = 0.6;
const restShare = 0.2;
const readAllShare = 0.02;
const markPath = "/api/v1/notifications/mark";

/** One life: from the opening of the client to its end. */
type Life = {
  readonly client: Client;
  readonly store: NotificationStore;
  readonly sockets: Set<WebSocket>;
  readonly begunMs: number;
  /** When what was marked here was marked, by id, until the server is known to know. */
  readonly marks: Map<string, number>;
};

/** A device that runs the client as a program in Node does, with a store of its own. */
export class SdkDevice implements Device {
  readonly #options: DeviceOptions;
  #life: Life | undefined;
  #openedMs = Infinity;

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  async run(stop: AbortSignal): Promise<void> {
    const { prng, bounds } = this.#options;
    while (!stop.aborted) {
      if (this.#life === undefined) await this.#open();
      await pause(prng.between(bounds.lifeMs.min, bounds.lifeMs.max), stop);
      if (!stop.aborted) await this.#disturb(stop);
    }
    while (this.#life === undefined) await this.#open();
    this.#life.client.start();
    while (this.#life.client.connection.get().state !== "open") await pause(lookMs);
  }

  read(id: string): void {
    const life = this.#life;
    if (life === undefined) return;
    const { ledger, userId, prng } = this.#options;
    if (prng.chance(readAllShare)) return this.#readAll(life);
    ledger.sayRead(userId, [id]);
    if (isNews(life, id)) life.marks.set(id, performance.now());
    life.store.markRead([id]);
  }

  #readAll({ store, marks }: Life): void {
    const { ledger, userId } = this.#options;
    const { notifications, newest } = store.get();
    const unread = notifications.filter(isUnread);
    const shared = unread.filter(({ stream_id }) => isBroadcastPlace(stream_id));
    ledger.sayRead(
      userId,
      shared.map(({ notification_id: id }) => id),
    );
    ledger.sayAllRead(userId, placeOf(newest));
    for (const { notification_id: id } of unread) marks.set(id, performance.now());
    store.markAllRead();
  }

  overdue(): readonly string[] {
    const life = this.#life;
    const { ledger, userId, bounds } = this.#options;
    const byMs = performance.now() - bounds.heardWithinMs;
    if (life === undefined || Math.max(this.#openedMs, ledger.disturbedMs) > byMs) return [];
    const { notifications, unread } = life.store.get();
    const listed = new Map(notifications.filter(isUnread).map((one) => [one.notification_id, one]));
    const { told } = ledger.of(userId);
    const missing = ledger.due(userId, byMs).find(({ id }) => !listed.has(id));
    const left = [...listed.keys()].find((id) => (told.get(id)?.ackedMs ?? Infinity) < byMs);
    const over = [...listed.keys()].find(
      (id) => (told.get(id)?.endsAt ?? Infinity) < Date.now() - bounds.heardWithinMs,
    );
    const [untold] = [...life.marks].find(([, ms]) => ms < byMs) ?? [];
    return [
      ...(missing === undefined ? [] : [`${userId} is not shown ${missing.id} ("${missing.text}")`]),
      ...(left === undefined ? [] : [`${userId} is shown ${left} as unread long after it was read`]),
      ...(over === undefined ? [] : [`${userId} is shown ${over} long after its end`]),
      ...(untold === undefined ? [] : [`the client of ${userId} has not told that ${untold} is read`]),
      ...(unread === listed.size ? [] : [`${userId} is shown ${listed.size} and counts ${unread}`]),
    ];
  }

  /** What it shows as unread, in order, and the count beside it. */
  shows(): { readonly ids: readonly string[]; readonly unread: number } {
    const { store } = this.#life ?? {};
    if (store === undefined) return { ids: [], unread: -1 };
    const unread = store.get().notifications.filter(isUnread);
    return { ids: unread.map(({ notification_id: id }) => id), unread: store.unread.get() };
  }

  async close(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    this.#openedMs = Infinity;
    life?.store.stop();
    life?.client.stop();
    for (const socket of life?.sockets ?? []) socket.terminate();
  }

  async #disturb(stop: AbortSignal): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    const { prng } = this.#options;
    const what = prng.next();
    if (what < cutShare) for (const socket of life.sockets) socket.terminate();
    else if (what < cutShare + restShare) {
      life.client.stop();
      await pause(prng.between(0, restMaxMs), stop);
      life.client.start();
    } else await this.close();
  }

  /** Opens the client and its store. Without a server it is tried again. */
  async #open(): Promise<void> {
    const { port, userId, token, ledger } = this.#options;
    const sockets = new Set<WebSocket>();
    const marks = new Map<string, number>();
    const begunMs = performance.now();
    const client = createClient({
      url: `http://127.0.0.1:${port}`,
      credentials: token,
      webSocket: socketsInto(sockets),
      fetch: this.#fetchNoting(marks),
      onError: (error) => ledger.fault(`the client of ${userId} says: ${describe(error)}`),
    });
    try {
      const store = await openNotifications(client);
      this.#life = { client, store, sockets, begunMs, marks };
      ledger.counts.lives++;
      this.#follow(this.#life);
    } catch (error) {
      client.stop();
      if (!(error instanceof TidingsError && error.retry === "later"))
        ledger.fault(`the client of ${userId} does not open: ${describe(error)}`);
      await pause(openAgainMs);
    }
  }

  #follow(life: Life): void {
    const { ledger, userId } = this.#options;
    const { client, store } = life;
    const shown = new Shown();
    client.connection.subscribe(({ state }) => {
      if (this.#life !== life) return;
      const isOpen = state === "open";
      if (isOpen && this.#openedMs === Infinity) ledger.counts.connections++;
      if (!isOpen) this.#openedMs = Infinity;
      else if (this.#openedMs === Infinity) this.#openedMs = performance.now();
    });
    const look = (): void => {
      const { fresh, faults } = shown.look(store.get());
      for (const fault of faults) ledger.fault(`the client of ${userId} ${fault}`);
      for (const { notification_id: id, message, stream_id, status } of fresh) {
        ledger.counts.shown++;
        const told = ledger.hear(userId, { id, text: message, place: placeOf(stream_id) });
        noteWait(ledger, told, this.#openedMs);
        if (isUnread({ status })) readSometimes(this.#options, told);
      }
    };
    look();
    store.subscribe(look);
    store.unread.subscribe((unread) => {
      if (unread < 0) ledger.fault(`the client of ${userId} counts ${unread}`);
    });
  }

  /** `fetch`, by which the ledger learns which marks the server has taken. */
  #fetchNoting(marks: Map<string, number>): Fetch {
    const { ledger, userId } = this.#options;
    return async (url, init) => {
      const answer = await fetch(url, init);
      if (answer.status !== 200 || init.body === undefined || !url.endsWith(markPath)) return answer;
      const mark = JSON.parse(init.body) as Mark;
      ledger.counts.acked++;
      if ("up_to" in mark) ledger.ackUpTo(userId, placeOf(mark.up_to));
      const { told } = ledger.of(userId);
      const named = "up_to" in mark ? [] : mark.notification_ids;
      for (const id of named) {
        marks.delete(id);
        const one = told.get(id);
        if (one !== undefined) ledger.ack(one);
      }
      for (const id of marks.keys()) if (told.get(id)?.ackedMs !== undefined) marks.delete(id);
      return answer;
    };
  }
}

/** Whether the client has anything to tell of it: what is known to be read is told no more. */
function isNews({ store }: Life, id: string): boolean {
  const known = store.get().notifications.find((one) => one.notification_id === id);
  return known === undefined || isUnread(known);
}

function socketsInto(open: Set<WebSocket>): SocketClass {
  class KnownSocket extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols, { perMessageDeflate: false });
      open.add(this);
      this.on("close", () => open.delete(this));
    }
  }
  return KnownSocket;
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name} ${error.message}` : String(error);
}
