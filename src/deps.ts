import type { TSchema } from "typebox";
import type { ErrorCode } from "../protocol/errors.ts";
import type { Scope } from "../protocol/scopes.ts";
import type { Access } from "./access/access.ts";
import type { Actor } from "./access/actor.ts";
import type { Config } from "./config.ts";
import type { Consumer } from "./eventlog/consumer.ts";
import type { EventLog } from "./eventlog/eventlog.ts";
import type { Clock } from "./lib/clock.ts";
import type { Db } from "./lib/db.ts";
import type { Logger } from "./lib/logger.ts";
import type { Metrics } from "./observe/metrics.ts";

/** What the rooms share. Built once in `app.ts`; functions take the `Pick` of it that they need. */
export type Deps = {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly db: Db;
  readonly eventlog: EventLog;
  readonly access: Access;
  readonly metrics: Metrics;
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
  readonly ip: string;
  readonly requestId: string;
};

/** A request of which only the head has been read. Nothing in it is validated yet. */
export type UnreadRequest = {
  readonly actor: Actor | undefined;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
};

/** Who sends a request, as far as its head tells. */
export type Proof<Sender = unknown> = {
  readonly sender: Sender;
  /** Throws unless the body, byte for byte and before it is parsed, proves the sender too. */
  readonly verifyBody?: ((body: Buffer) => void) | undefined;
};

export type RouteResponse = {
  readonly status: number;
  /** Serialised by the schema of `responses[status]`; undefined is an empty body. */
  readonly body?: unknown;
  /** JSON text that is sent as it is, for hot paths; wins over `body`. */
  readonly json?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** One HTTP route as data. `http/` registers it; the permission matrix and OpenAPI are read from it. */
export type Route = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /**
   * The scope an actor needs; `open` for none; `self` when the route authenticates the request itself (webhooks signed
   * by their sender).
   */
  readonly scope: Scope | "open" | "self";
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
  /** The signal asks it to end: it takes too long, this process leads no longer, or it stops. */
  run(signal: AbortSignal): Promise<void>;
};

/** A capability: what it answers, what it consumes from the log, what it does on the clock. */
export type Module = {
  readonly name: string;
  readonly routes: readonly Route[];
  readonly consumers: readonly Consumer[];
  readonly timers: readonly Timer[];
};
