import type { Account } from "../protocol/accounts.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import { type AccountCalls, accountCalls } from "./account-calls.ts";
import { type ChatCalls, chatCalls } from "./chat-calls.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Connection, type ConnectionView } from "./connection.ts";
import { type TidingsError, clientError } from "./errors.ts";
import { followSession } from "./follow-session.ts";
import { type Http, createHttp } from "./http.ts";
import { type Network, surroundings } from "./network.ts";
import { type NotificationCalls, notificationCalls } from "./notification-calls.ts";
import { type Observable, type OnError, callSafely, throwLater } from "./observable.ts";
import { type PushCalls, pushCalls } from "./push-calls.ts";
import { reportingStorage } from "./reporting-storage.ts";
import { Requests } from "./requests.ts";
import { StoredSession } from "./session.ts";
import type { SocketClass } from "./socket.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";
import { type Tokens, fixedToken, tokensFrom } from "./tokens.ts";
import { type TopicHandlers, Topics } from "./topics.ts";
import { type Fetch, createTransport } from "./transport.ts";

// What the signatures of a client speak of, under a name that who uses it can write.
export type { AccountCalls } from "./account-calls.ts";
export type { ChatCalls } from "./chat-calls.ts";
export type { Clock } from "./clock.ts";
export type { Http } from "./http.ts";
export type { Network } from "./network.ts";
export type { NotificationCalls, NotifyOptions } from "./notification-calls.ts";
export type { BrowserSubscription, PushCalls } from "./push-calls.ts";
export type { SocketClass } from "./socket.ts";
export type { PushedEntry, PushedSignal, TopicHandlers } from "./topics.ts";
export type { Call, Fetch, FetchAnswer } from "./transport.ts";

export type ClientOptions = {
  /** Where the server is: `https://chat.example.org`, with a path if it has one. */
  readonly url: string;
  /**
   * An API key, a token of an outside issuer, or a function that gets one and is asked again when another one is
   * needed. Without it, people sign in by `accounts.login`, and their tokens are kept in `storage`.
   */
  readonly credentials?: string | (() => Promise<string>) | undefined;
  /** Where tokens and unsent messages survive a reload. Without one, they do not. */
  readonly storage?: ClientStorage | undefined;
  readonly webSocket?: SocketClass | undefined;
  readonly fetch?: Fetch | undefined;
  readonly clock?: Clock | undefined;
  /** A number in [0, 1). */
  readonly random?: (() => number) | undefined;
  readonly network?: Network | undefined;
  /**
   * Gets what the application's own handlers throw, and, as a `TidingsError`, what the server refuses of that which the
   * client does by itself: work of a chat in the background that is given up. By default it becomes an uncaught error,
   * which ends a program in Node.
   */
  readonly onError?: OnError | undefined;
  /**
   * Hears of everything that `storage` could not read or keep, or not in time: a sign-in that the next reload will not find, a message
   * that will not survive it. By default a line on the console.
   */
  readonly onStorageError?: ((error: TidingsError) => void) | undefined;
};

/** What the parts of a client share. */
export type Surroundings = {
  readonly storage: ClientStorage;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onError: OnError;
};

export type Client = {
  readonly accounts: AccountCalls;
  readonly chat: ChatCalls;
  readonly notifications: NotificationCalls;
  readonly push: PushCalls;
  /** Other routes of the server. */
  readonly http: Http;
  readonly connection: Observable<ConnectionView>;
  /** Who is signed in by this client; undefined until that is known, and with other credentials. */
  readonly account: Observable<Account | undefined>;
  readonly surroundings: Surroundings;
  /** Connects, and stays connected. During a pause it connects at once. */
  start(): void;
  /** Ends the connection. Nothing is told any more; subscriptions stay for the next `start`. */
  stop(): void;
  /** Hears of everything new in a topic. Returns the function that ends it. Throws `too_many_topics`. */
  subscribe(topic: string, handlers: TopicHandlers): () => void;
  /** Sends a request over the socket. Throws `disconnected` when there is none. */
  request<T>(name: string, params: Record<string, unknown>): Promise<T>;
  /** The server's clock, unix milliseconds, as the last connection has told it; until then the device's. */
  serverNow(): number;
  /** Who the credentials belong to; from the storage when that knows. */
  whoAmI(): Promise<Account>;
};

/** Nothing is sent before something is asked for. */
export function createClient(options: ClientOptions): Client {
  const { onError = throwLater, clock = systemClock, random = Math.random } = options;
  const { onStorageError = warnOfStorage } = options;
  const storage = reportingStorage(options.storage ?? memoryStorage(), clock, (error) =>
    callSafely(onError, () => onStorageError(error)),
  );
  // Throws for what is no address.
  const url = new URL(options.url).href.replace(/\/+$/, "");
  const transport = createTransport({ url, fetch: fetchOf(options), clock, random });
  const session = new StoredSession({ storage, transport, clock, random });
  const tokens = tokensOf(options.credentials, clock) ?? session;
  const http = createHttp(transport, tokens);
  const live = createLive({ ...options, url, tokens, clock, random, onError });
  if (tokens === session) followSession({ ...live, session, clock, random });
  return {
    accounts: accountCalls({ http, transport, session, clock }),
    chat: chatCalls(http),
    notifications: notificationCalls(http),
    push: pushCalls(http),
    http,
    connection: live.connection.view,
    account: session.account,
    surroundings: { storage, clock, random, onError },
    start: live.start,
    stop: live.stop,
    serverNow: live.serverNow,
    subscribe: (topic, handlers) => live.topics.subscribe(topic, handlers),
    request: <T>(name: string, params: Record<string, unknown>) =>
      new Promise<T>((resolve, reject) => {
        live.requests.ask(
          { type: "request", name, params },
          {
            done: (reply) =>
              reply.type === "answer" ? resolve(reply.data as T) : reject(clientError("unexpected_answer")),
            failed: reject,
          },
        );
      }),
    whoAmI: async () => {
      if (tokens === session) await session.refreshToken();
      return session.account.get() ?? http.call({ method: "GET", path: "/api/v1/me", repeatable: true });
    },
  };
}

type Live = {
  readonly connection: Connection;
  readonly requests: Requests;
  readonly topics: Topics;
  readonly start: () => void;
  readonly stop: () => void;
  readonly running: () => boolean;
  readonly serverNow: () => number;
};

/** The socket and what travels over it. */
function createLive(deps: ClientOptions & Omit<Surroundings, "storage"> & { readonly tokens: Tokens }): Live {
  const { url, tokens, clock, random, onError, webSocket, network = surroundings } = deps;
  let running = false;
  let aheadMs = 0;
  const requests = new Requests(clock, (text) => connection.send(text));
  const topics = new Topics({ clock, random, onError, requests });
  const take = (frame: ServerFrame): void => {
    if (!requests.take(frame)) topics.take(frame);
  };
  const connection: Connection = new Connection(
    {
      url: `${url.replace(/^http/, "ws")}/ws`,
      tokens,
      makeSocket: (url, protocols) => new (webSocket ?? globalSocket())(url, protocols),
      network,
      clock,
      random,
      onError,
    },
    {
      opened: (hello) => {
        aheadMs = Date.parse(hello.server_time) - clock.now();
        requests.opened(hello);
        topics.opened(hello);
      },
      frame: take,
      lost: () => {
        topics.lost();
        requests.lost(clientError(running ? "disconnected" : "stopped"));
      },
    },
  );
  return {
    connection,
    requests,
    topics,
    running: () => running,
    serverNow: () => clock.now() + aheadMs,
    start: () => {
      // Said here and now, rather than as a connection that never comes about.
      if (webSocket === undefined) globalSocket();
      running = true;
      connection.start();
    },
    stop: () => {
      running = false;
      connection.stop();
    },
  };
}

function warnOfStorage(error: TidingsError): void {
  console.error("tidings-client:", error);
}

function tokensOf(credentials: ClientOptions["credentials"], clock: Clock): Tokens | undefined {
  if (credentials === undefined) return undefined;
  return typeof credentials === "string" ? fixedToken(credentials) : tokensFrom(credentials, clock);
}

function fetchOf({ fetch: given }: ClientOptions): Fetch {
  // Called as a function of its own: browsers refuse a `fetch` that belongs to something else.
  return given ?? ((url, init) => fetch(url, init));
}

function globalSocket(): SocketClass {
  const { WebSocket: found } = globalThis as { readonly WebSocket?: SocketClass };
  if (found === undefined) throw new TypeError("there is no WebSocket here: give one as `webSocket`");
  return found;
}
