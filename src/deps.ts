import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { TSchema } from "typebox";
import type { ErrorCode } from "../protocol/errors.ts";
import type { Scope } from "../protocol/scopes.ts";
import type { Access } from "./access/access.ts";
import type { Actor } from "./access/actor.ts";
import type { HeaderPlace } from "./access/development.ts";
import type { PersonRate } from "./access/person-rate.ts";
import type { Config } from "./config.ts";
import type { Consumer } from "./eventlog/consumer.ts";
import type { EventLog } from "./eventlog/eventlog.ts";
import type { Clock } from "./lib/clock.ts";
import type { Db } from "./lib/db.ts";
import type { ErrorDetails } from "./lib/errors.ts";
import type { Logger } from "./lib/logger.ts";
import type { Signals } from "./gateway/signals.ts";
import type { WhoIsThere } from "./gateway/who-is-there.ts";
import type { Metrics } from "./observe/metrics.ts";

/** What the rooms share. Built once in `app.ts`; functions take the `Pick` of it that they need. */
export type Deps = {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly db: Db;
  readonly eventlog: EventLog;
  readonly access: Access;
  readonly personRate: PersonRate;
  readonly metrics: Metrics;
  readonly signals: Signals;
  readonly presence: WhoIsThere;
};

/** One HTTP request as a module sees it: parsed, validated and, unless the route is open, authenticated. */
export type RouteRequest<Body = unknown, Query = unknown, Params = unknown> = {
  readonly actor: Actor | undefined;
  readonly body: Body;
  readonly query: Query;
  readonly params: Params;
  /** Whom the route's own `authenticate` has found; undefined without one. */
  readonly sender: unknown;
  /** The body as it arrived, valid JSON; undefined unless the route has an `authenticate` of its own. */
  readonly rawText: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As it was sent: `1.1`, or `1.0` by what is very old or passes it on. */
  readonly httpVersion: string;
  /** What the request line names: a path and a query, or a whole URL. */
  readonly target: string;
  readonly ip: string;
  readonly requestId: string;
};

/** A request of which only the head has been read. Nothing in it is validated yet. */
export type UnreadRequest = {
  readonly actor: Actor | undefined;
  readonly query: Readonly<Record<string, unknown>>;
  readonly params: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
};

/** Who sends a request, as far as its head tells. */
export type Proof<Sender = unknown> = {
  readonly sender: Sender;
  /** Throws unless the body, byte for byte and before it is parsed, proves the sender too. */
  readonly verifyBody?: ((body: Buffer) => void) | undefined;
  /** Told of a request that `verifyBody` found to be the sender's, and that is refused nevertheless. */
  readonly onRefused?: (refused: RefusedRequest) => void;
};

/** What is wrong with a request, and what it said. */
export type RefusedRequest = {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  /** The body as it arrived, perhaps no JSON; undefined when it is no text. */
  readonly rawText: string | undefined;
  readonly requestId: string;
};

export type RouteResponse = {
  readonly status: number;
  /** Serialised by the schema of `responses[status]`; undefined is an empty body. */
  readonly body?: unknown;
  /** JSON text that is sent as it is, for hot paths; wins over `body`. */
  readonly json?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Writes the answer itself, for as long as it likes; `status` and the rest are not used then. */
  readonly stream?: (response: ServerResponse) => void;
};

/** A request to become a WebSocket, and the connection that it came on. */
export type Handshake = {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  /** What came behind the request already. */
  readonly head: Buffer;
  /** The client's address, after trusted proxies. */
  readonly address: string;
  readonly place: HeaderPlace;
  /** Answers with a problem instead, and closes. */
  readonly refuse: (code: ErrorCode, details?: ErrorDetails) => void;
};

/** One HTTP route as data. `http/` registers it; the permission matrix and OpenAPI are read from it. */
export type Route = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /**
   * The scope an actor needs; `open` for none; `self` when the route authenticates the request itself (webhooks signed
   * by their sender); `person` for anybody who is signed in, where the handler decides about the rest.
   */
  readonly scope: Scope | "open" | "self" | "person";
  /** With `person`: the scope by which another program may do it too. Without one, programs may not. */
  readonly programScope?: Scope;
  readonly summary: string;
  readonly tag: string;
  readonly description?: string;
  /** With scope `self`: who sends this, before a byte of the body is read. Throws or rejects for nobody. */
  readonly authenticate?: (request: UnreadRequest) => Proof | Promise<Proof>;
  /** Largest body, bytes, where it is less than `limits.requestBodyBytes`. */
  readonly bodyBytesMax?: number;
  readonly body?: TSchema;
  /** With a `body`: a request that has none counts as `{}`. */
  readonly bodyOptional?: boolean;
  readonly query?: TSchema;
  readonly params?: TSchema;
  readonly responses: Readonly<Record<number, TSchema>>;
  /** What it refuses with beside what http refuses on its own. For the description, as the headers are. */
  readonly errors?: readonly ErrorCode[];
  /** Headers that it reads, and what they hold. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly handler: (request: RouteRequest) => Promise<RouteResponse>;
};

/**
 * A periodic job. One process of the cluster runs it (the leader), not twice at the same time, but for this: when the
 * leader's connection is lost during a run, the signal is aborted, and the next leader may begin before it is heeded. A
 * run must do no harm then.
 */
export type Timer = {
  readonly name: string;
  readonly everyMs: number;
  /** How long a run may take, milliseconds; `timerMaxMs` of `worker/timers.ts` unless given. */
  readonly maxMs?: number;
  /** It waits for strangers: it runs beside the others, which do not wait for it. */
  readonly apart?: true;
  /** The signal asks it to end: it takes too long, this process leads no longer, or it stops. */
  run(signal: AbortSignal): Promise<void>;
};

/** What comes over a socket, parsed and validated. */
export type SocketCall<Params = unknown> = {
  readonly actor: Actor;
  readonly params: Params;
  readonly ip: string;
  readonly requestId: string;
};

/** One request of the socket as data. The gateway validates it and sends what the handler resolves with. */
export type SocketMethod = {
  readonly name: string;
  readonly summary: string;
  readonly params: TSchema;
  readonly answer: TSchema;
  /** What it refuses with beside what the gateway refuses on its own. */
  readonly errors?: readonly ErrorCode[];
  readonly handler: (call: SocketCall) => Promise<unknown>;
};

/** The topics of one kind, `room/…`: who may read them, and what travels in them. */
export type TopicKind = {
  /** What stands before the slash. */
  readonly kind: string;
  /** Throws `AppError` `forbidden` or `not_found` for an actor that may not read the topic. `id` follows the slash. */
  readonly authorize: (actor: Actor, id: string) => Promise<void>;
  /** Every entry type that clients are sent, with the schema of its data. Entries of other types are not pushed. */
  readonly entries: Readonly<Record<string, TSchema>>;
  /** Every signal, with the schema of its data. */
  readonly signals?: Readonly<Record<string, TSchema>>;
  /** Entry types after which people may no longer read the topic: their user ids. The entry itself still reaches them. */
  readonly revokes?: Readonly<Record<string, (data: unknown) => readonly number[]>>;
};

/** A seed's own way to speak over the socket, for connections that asked for no subprotocol. */
export type PlainForm = {
  readonly name: string;
  /**
   * Whether a connection asks for this form by the parameters of its URL. The form without this is for those that ask for
   * no other one; there is one at most.
   */
  readonly isAskedFor?: (parameters: URLSearchParams) => boolean;
  /** What clients send, and what they hear. For the description; judging what is sent is up to the form. */
  readonly frames: { readonly sent: TSchema; readonly heard: TSchema };
  /**
   * The topics that such a connection hears from its first moment. Rejects with `AppError` `forbidden` for an actor that
   * has none, or that is not whom the parameters name.
   */
  topics(actor: Actor, parameters: URLSearchParams): Promise<readonly string[]>;
  /** What it is told before anything new. */
  backlog?(actor: Actor): PlainBacklog;
  /** The texts that stand for an entry of this type and data at this moment, Unix milliseconds; one message each. */
  render(topic: string, type: string, data: unknown, nowMs: number): readonly string[];
  /** Whether a frame is of this form. */
  accepts(frame: Readonly<Record<string, unknown>>): boolean;
  /**
   * Does what the frame asks; resolves with what is sent back, if anything. `isHeard`: the connection speaks this form, so
   * that it hears the entries of what it does.
   */
  handle(
    call: SocketCall<Readonly<Record<string, unknown>>> & { readonly isHeard: boolean },
  ): Promise<unknown>;
};

/** What a connection that speaks a seed's form is told before anything new. */
export type PlainBacklog = {
  /** In order and in parts: texts of one message each. What is told is of when they are read, or later. */
  readonly texts: AsyncIterable<readonly string[]>;
  /**
   * Whether an entry of the log that came while the texts were read is still to be told. Asked when all of them have been,
   * in the order of each topic, and topic by topic in the order of `topics`; perhaps again.
   */
  readonly isNews: (type: string, data: unknown) => boolean;
};

/** A capability: what it answers, what it consumes from the log, what it does on the clock, what it tells sockets. */
export type Module = {
  readonly name: string;
  readonly routes: readonly Route[];
  readonly consumers: readonly Consumer[];
  readonly timers: readonly Timer[];
  readonly methods?: readonly SocketMethod[];
  readonly topics?: readonly TopicKind[];
  readonly plain?: PlainForm;
  /**
   * Before any role of this process begins: makes what the module cannot be without. A `StartupError` is why the server does
   * not start. May be repeated.
   */
  readonly prepare?: (signal: AbortSignal | undefined) => Promise<void>;
};
