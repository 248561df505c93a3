import type { ClientFrame, HelloFrame, ServerFrame } from "../protocol/frames.ts";
import { limits } from "../protocol/limits.ts";
import type { Clock } from "./clock.ts";
import type { Network } from "./network.ts";
import type { SocketLike } from "./socket.ts";
import type { Fetch, FetchAnswer } from "./transport.ts";

/** The world around a client, moved by hand: time, the network, sockets, HTTP. */

/** Lets everything happen that waits for nothing but promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export class ManualClock implements Clock {
  #now = 1_700_000_000_000;
  #last = 0;
  readonly #timers = new Map<number, { readonly due: number; readonly run: () => void }>();

  now = (): number => this.#now;
  setTimeout = (run: () => void, ms: number): number => {
    this.#timers.set(++this.#last, { due: this.#now + Math.max(0, ms), run });
    return this.#last;
  };
  clearTimeout = (timer: unknown): void => {
    this.#timers.delete(timer as number);
  };

  /** Timers that are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** When the next timer is due. */
  get next(): number | undefined {
    const dues = [...this.#timers.values()].map(({ due }) => due);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** Lets so much time pass; each timer runs at its own moment, and what it sets off is done before the next. */
  async pass(ms: number): Promise<void> {
    await settle();
    const end = this.#now + ms;
    for (;;) {
      const [first] = [...this.#timers].sort(([a, x], [b, y]) => x.due - y.due || a - b);
      if (first === undefined || first[1].due > end) break;
      const [id, { due, run }] = first;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, due);
      run();
      await settle();
    }
    this.#now = end;
    await settle();
  }

  /** Time goes by and no timer notices: the device sleeps, or the page is in the background. */
  sleep(ms: number): void {
    this.#now += ms;
  }
}

/** The other end of a client's socket. */
export class FakeSocket implements SocketLike {
  readonly url: string;
  readonly protocols: readonly string[];
  /** What the client has sent. */
  readonly sent: ClientFrame[] = [];
  /** Code with which the client has closed it. */
  closedByClient: number | undefined;
  over = false;
  readonly #listeners = new Map<string, ((event: never) => void)[]>();

  constructor(url: string, protocols: readonly string[]) {
    this.url = url;
    this.protocols = protocols;
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(text: string): void {
    if (this.over) throw new Error("the socket is closed");
    this.sent.push(JSON.parse(text) as ClientFrame);
  }

  close(code?: number): void {
    this.closedByClient ??= code;
    this.over = true;
  }

  open(): void {
    this.#tell("open", {});
  }

  receive(frame: ServerFrame): void {
    this.receiveText(JSON.stringify(frame));
  }

  receiveText(data: unknown): void {
    this.#tell("message", { data });
  }

  /** The connection ends, with a close frame or without one (1006). */
  end(code = 1006): void {
    this.over = true;
    this.#tell("error", {});
    this.#tell("close", { code });
  }

  /** Frames of one type that the client has sent. */
  of<T extends ClientFrame["type"]>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.sent.filter((frame) => frame.type === type) as Extract<ClientFrame, { type: T }>[];
  }

  #tell(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }
}

/** Sockets in the order in which a client has opened them. */
export class FakeSockets {
  readonly all: FakeSocket[] = [];
  /** The most that were alive at the same time. */
  most = 0;
  /** What a client gets as `webSocket`. */
  readonly make: new (url: string, protocols: string[]) => SocketLike;

  constructor() {
    const note = (socket: FakeSocket): void => {
      this.all.push(socket);
      this.most = Math.max(this.most, this.alive.length);
    };
    this.make = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        note(this);
      }
    };
  }

  get alive(): readonly FakeSocket[] {
    return this.all.filter(({ over }) => !over);
  }

  /** The newest one. */
  get last(): FakeSocket {
    const last = this.all.at(-1);
    if (last === undefined) throw new Error("the client has opened no socket yet");
    return last;
  }

  /** Lets the newest one be opened and welcomed. */
  async welcome(clock: Clock, changes: Partial<HelloFrame> = {}): Promise<FakeSocket> {
    const socket = this.last;
    socket.open();
    await settle();
    socket.receive(helloFrame(clock, changes));
    await settle();
    return socket;
  }
}

export function helloFrame(clock: Clock, changes: Partial<HelloFrame> = {}): HelloFrame {
  return {
    type: "hello",
    protocol: 1,
    connection_id: "0198f000-0000-7000-8000-000000000001",
    user_id: 7,
    username: "ann",
    server_time: new Date(clock.now()).toISOString(),
    expires_at: new Date(clock.now() + 900_000).toISOString(),
    heartbeat_ms: 25_000,
    limits: {
      frame_bytes: limits.frameBytes,
      topics: limits.topicsPerConnection,
      topics_per_frame: limits.topicsPerFrame,
      requests_in_flight: limits.requestsInFlight,
      frames_per_second: 50,
      frames_burst: 100,
    },
    ...changes,
  };
}

export class FakeNetwork implements Network {
  readonly #listeners = new Set<(online: boolean) => void>();

  subscribe = (listener: (online: boolean) => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  get listeners(): number {
    return this.#listeners.size;
  }

  tell(online: boolean): void {
    for (const listener of this.#listeners) listener(online);
  }
}

export type Asked = {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
  readonly signal: AbortSignal;
};
/** A body that is a text is sent as it is, any other as JSON. */
export type Answered = {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
};
/** An error is what happens without a network. */
export type Told = Answered | Error;

/** HTTP by a function. What was asked is kept. */
export function fakeFetch(
  answer: (asked: Asked) => Told | Promise<Told>,
): Fetch & { readonly asked: readonly Asked[] } {
  const asked: Asked[] = [];
  const fetch: Fetch = async (url, { method, headers, body, signal }) => {
    const { pathname, search } = new URL(url);
    const one: Asked = {
      method,
      path: pathname + search,
      headers,
      body: body === undefined ? undefined : (JSON.parse(body) as unknown),
      signal,
    };
    asked.push(one);
    const told = await answer(one);
    if (told instanceof Error) throw told;
    return answerOf(told);
  };
  return Object.assign(fetch, { asked });
}

function answerOf({ status, body, headers = {} }: Answered): FetchAnswer {
  return {
    status,
    headers: { get: (name) => headers[name] ?? null },
    text: () =>
      Promise.resolve(typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body)),
  };
}

/** A refusal as the server writes it. */
export function problem(status: number, code: string, more: object = {}): Answered {
  return { status, body: { type: `urn:tidings:error:${code}`, title: code, status, code, ...more } };
}

/** What a promise comes to: its value, or the code it was refused with. */
export function verdictOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => (error as { readonly code?: string }).code ?? error);
}

/** The same, or `waiting` when nothing has come of it yet. */
export function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([verdictOf(promise), settle().then(() => "waiting")]);
}
