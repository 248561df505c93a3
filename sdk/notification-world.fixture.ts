import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Mark } from "../protocol/notifications.ts";
import { createClient } from "./client.ts";
import { NotificationServer } from "./notification-server.fixture.ts";
import { type NotificationStore, openNotifications } from "./notification-store.ts";
import {
  type Asked,
  FakeNetwork,
  FakeSockets,
  ManualClock,
  type Told,
  fakeFetch,
  problem,
  settle,
} from "./world.fixture.ts";

/** The topics of the person, and of everybody. */
export const topic = "user/7";
export const everybody = "broadcast/all";

/**
 * A client, and a server whose clock may be another one. HTTP answers at once, unless a test holds it back. Entries come
 * when they are pushed.
 */
export class World {
  readonly clock = new ManualClock();
  readonly server = new NotificationServer();
  readonly sockets = new FakeSockets();
  readonly errors: unknown[] = [];
  readonly aheadMs: number;
  answer: (asked: Asked) => Told | Promise<Told> = (asked) => this.server.answer(asked);
  readonly fetch = fakeFetch((asked) => this.#served(asked));
  readonly client = createClient({
    url: "http://server",
    credentials: "token",
    clock: this.clock,
    random: () => 0.5,
    network: new FakeNetwork(),
    webSocket: this.sockets.make,
    fetch: this.fetch,
    onError: (error) => this.errors.push((error as { readonly code?: string }).code ?? error),
  });
  /** Entries of each topic that were pushed. */
  readonly #pushed: Record<string, number> = { [topic]: 0, [everybody]: 0 };

  constructor(aheadMs = 0) {
    this.aheadMs = aheadMs;
    this.#look();
  }

  get asked(): readonly string[] {
    return this.fetch.asked.map(({ method, path }) => `${method} ${path.split("?")[0] ?? ""}`);
  }

  get marks(): readonly Mark[] {
    return this.fetch.asked.filter(({ path }) => path.endsWith("/mark")).map(({ body }) => body as Mark);
  }

  /** Time passes, at the server, too. */
  async pass(ms: number): Promise<void> {
    await this.clock.pass(ms);
    this.#look();
  }

  /** The server lets the client in, which goes on from where it was, unless too much was missed. */
  async welcome(limited = false, known: readonly string[] = [topic, everybody]): Promise<void> {
    this.#look();
    const socket = await this.sockets.welcome(this.clock, {
      server_time: new Date(this.server.now).toISOString(),
    });
    const frame = socket.of("resume")[0] ?? socket.of("subscribe")[0];
    assert.ok(frame !== undefined);
    const logs = Object.entries(this.#logs).filter(([name]) => known.includes(name));
    const topics = logs.map(([name, log]) => {
      if (frame.type === "subscribe" || limited) this.#pushed[name] = log.length;
      return [
        name,
        { position: String(this.#pushed[name]), ...(limited ? { limited: true as const } : {}) },
      ] as const;
    });
    const fault = { code: "not_found", title: "Nothing is here", retry: "no" } as const;
    const refused = known.includes(everybody) ? {} : { [everybody]: fault };
    socket.receive({ type: "subscribed", id: frame.id, topics: Object.fromEntries(topics), refused });
    await settle();
  }

  /** The connection is lost and comes back; what has not been pushed yet never is, if too much was missed. */
  async reconnect(limited: boolean): Promise<void> {
    this.sockets.last.end();
    await this.pass(30_000);
    await this.welcome(limited);
  }

  /** From now on the server refuses for good to mark anything. */
  refuseMarks(): void {
    this.answer = (asked) =>
      asked.path.endsWith("/mark") ? problem(403, "forbidden") : this.server.answer(asked);
  }

  /** Entries that have not been pushed yet, of this topic alone if one is named. */
  async push(only?: string): Promise<void> {
    for (const [name, log] of Object.entries(this.#logs)) {
      if (only !== undefined && name !== only) continue;
      for (const entry of log.slice(this.#pushed[name])) {
        const n = (this.#pushed[name] ?? 0) + 1;
        this.#pushed[name] = n;
        const id = `00000000-0000-4000-9000-${String(n).padStart(12, "0")}`;
        const { type, time, data } = entry;
        const pushed = { id, type, time, actor: "system", data };
        this.sockets.last.receive({ type: "entry", topic: name, position: String(n), entry: pushed });
      }
    }
    await settle();
  }

  /** What was not pushed of a topic never is. */
  async limit(name: string): Promise<void> {
    this.#pushed[name] = this.#logs[name]?.length ?? 0;
    this.sockets.last.receive({ type: "limited", topic: name, position: String(this.#pushed[name]) });
    await settle();
  }

  get #logs(): Readonly<Record<string, NotificationServer["log"]>> {
    return { [topic]: this.server.log, [everybody]: this.server.board.log };
  }

  #look(): void {
    this.server.now = this.clock.now() + this.aheadMs;
  }

  async #served(asked: Asked): Promise<Told> {
    this.#look();
    return this.answer(asked);
  }
}

export async function opened(
  t: TestContext,
  world = new World(),
  known?: readonly string[],
): Promise<{ readonly world: World; readonly store: NotificationStore }> {
  const store = await openNotifications(world.client);
  t.after(() => {
    store.stop();
    world.client.stop();
    assert.equal(world.clock.timers, 0, "no timer is left");
  });
  await settle();
  await world.welcome(false, known);
  return { world, store };
}

export const wordsOf = (store: NotificationStore): readonly string[] =>
  store.get().notifications.map(({ message, status }) => `${message} ${status}`);

/** The words of what is shown that was not shown just before, in order: what is shown twice stands there twice. */
export function shownBy(store: NotificationStore): readonly string[] {
  const shown: string[] = [];
  let last = new Set<string>();
  store.subscribe(({ notifications }) => {
    const words = notifications.map(({ message }) => message);
    shown.push(...words.filter((word) => !last.has(word)));
    last = new Set(words);
  });
  return shown;
}
