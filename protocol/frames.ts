import { Type } from "typebox";
import type { ErrorCode, FieldError } from "./errors.ts";
import { limits } from "./limits.ts";

/**
 * What travels over `/ws`: JSON objects, one per WebSocket text message, told apart by `type`. A client that asks for
 * the subprotocol `tidings.v1` gets `hello` and these frames; one that asks for none speaks the plain forms.
 */
export const subprotocol = "tidings.v1";

const strict = { additionalProperties: false } as const;

/** Chosen by the client; the answer repeats it. Only unanswered requests must have different ones. */
const RequestId = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Topic = Type.String({ minLength: 1, maxLength: limits.topicLength });
const PositionText = Type.String({ minLength: 1, maxLength: 40 });

/** The first frame of a connection that was opened without a credential; later, a newer token for the same person. */
export const AuthFrame = Type.Object(
  {
    type: Type.Literal("auth"),
    id: Type.Optional(RequestId),
    token: Type.String({ minLength: 1, maxLength: 8_192 }),
  },
  strict,
);
export type AuthFrame = { type: "auth"; id?: number; token: string };

/** What is new in these topics, from now on. */
export const SubscribeFrame = Type.Object(
  {
    type: Type.Literal("subscribe"),
    id: RequestId,
    topics: Type.Array(Topic, { minItems: 1, maxItems: limits.topicsPerFrame }),
  },
  strict,
);
export type SubscribeFrame = { type: "subscribe"; id: number; topics: string[] };

/** What came after these positions, and what is new from now on: topic -> last position that the client has. */
export const ResumeFrame = Type.Object(
  {
    type: Type.Literal("resume"),
    id: RequestId,
    positions: Type.Record(Topic, PositionText, { minProperties: 1, maxProperties: limits.topicsPerFrame }),
  },
  strict,
);
export type ResumeFrame = { type: "resume"; id: number; positions: Record<string, string> };

export const UnsubscribeFrame = Type.Object(
  {
    type: Type.Literal("unsubscribe"),
    id: RequestId,
    topics: Type.Array(Topic, { minItems: 1, maxItems: limits.topicsPerFrame }),
  },
  strict,
);
export type UnsubscribeFrame = { type: "unsubscribe"; id: number; topics: string[] };

/** A command, by its name; its parameters are judged by the schema of that name. */
export const RequestFrame = Type.Object(
  {
    type: Type.Literal("request"),
    id: RequestId,
    name: Type.String({ minLength: 1, maxLength: limits.nameLength }),
    params: Type.Object({}),
  },
  strict,
);
export type RequestFrame = { type: "request"; id: number; name: string; params: Record<string, unknown> };

/** Browsers cannot send WebSocket pings, so this is how their clients notice a dead connection. */
export const PingFrame = Type.Object({ type: Type.Literal("ping") }, strict);
export type PingFrame = { type: "ping" };

export const clientFrames = {
  auth: AuthFrame,
  subscribe: SubscribeFrame,
  resume: ResumeFrame,
  unsubscribe: UnsubscribeFrame,
  request: RequestFrame,
  ping: PingFrame,
} as const;

export type ClientFrame =
  | AuthFrame
  | SubscribeFrame
  | ResumeFrame
  | UnsubscribeFrame
  | RequestFrame
  | PingFrame;

/** What both sides hold a connection to. */
export const SocketLimits = Type.Object(
  {
    frame_bytes: Type.Integer({ description: "largest frame that the server takes, bytes of UTF-8" }),
    topics: Type.Integer({ description: "topics that a connection may be subscribed to" }),
    topics_per_frame: Type.Integer({ description: "topics of one frame subscribe, resume or unsubscribe" }),
    requests_in_flight: Type.Integer({ description: "frames with an id that may wait for their answer" }),
    frames_per_second: Type.Integer({ description: "frames that may come per second over a longer time" }),
    frames_burst: Type.Integer({ description: "frames that may come at once" }),
  },
  strict,
);
export type SocketLimits = {
  frame_bytes: number;
  topics: number;
  topics_per_frame: number;
  requests_in_flight: number;
  frames_per_second: number;
  frames_burst: number;
};

/** The server's first frame: who the client is, and what holds here. */
export const HelloFrame = Type.Object(
  {
    type: Type.Literal("hello"),
    protocol: Type.Integer({ description: "version of this protocol" }),
    connection_id: Type.String({ format: "uuid" }),
    user_id: Type.Optional(Type.Integer({ minimum: 1 })),
    username: Type.Optional(Type.String()),
    server_time: Type.String({ format: "date-time" }),
    expires_at: Type.Optional(
      Type.String({ format: "date-time", description: "when the credentials end; renew them before" }),
    ),
    heartbeat_ms: Type.Integer({
      description: "the server pings this often; a client that hears nothing for twice as long is cut off",
    }),
    limits: SocketLimits,
  },
  strict,
);
export type HelloFrame = {
  type: "hello";
  protocol: number;
  connection_id: string;
  user_id?: number;
  username?: string;
  server_time: string;
  expires_at?: string;
  heartbeat_ms: number;
  limits: SocketLimits;
};

/** The newer token is taken. */
export const RenewedFrame = Type.Object(
  {
    type: Type.Literal("renewed"),
    id: Type.Optional(RequestId),
    expires_at: Type.String({ format: "date-time" }),
  },
  strict,
);
export type RenewedFrame = { type: "renewed"; id?: number; expires_at: string };

/** Why something was refused, as in `problem+json`. */
export const FrameError = Type.Object(
  {
    code: Type.String(),
    title: Type.String(),
    detail: Type.Optional(Type.String()),
    retry: Type.Union([Type.Literal("no"), Type.Literal("later")]),
    retry_after_s: Type.Optional(Type.Number()),
    errors: Type.Optional(
      Type.Array(Type.Object({ pointer: Type.String(), code: Type.String(), detail: Type.String() }, strict)),
    ),
  },
  strict,
);
export type FrameError = {
  readonly code: ErrorCode;
  readonly title: string;
  readonly detail?: string;
  readonly retry: "no" | "later";
  readonly retry_after_s?: number;
  readonly errors?: readonly FieldError[];
};

/**
 * All entries of the topic after `position` follow this frame, in order and once. After `resume` it is the client's own
 * position, unless `limited`: then too many were missed, none of them comes, and the client reads the state anew over
 * HTTP.
 */
export const SubscribedTopic = Type.Object(
  { position: PositionText, limited: Type.Optional(Type.Literal(true)) },
  strict,
);
export type SubscribedTopic = { position: string; limited?: true };

/** The answer to `subscribe` and `resume`. */
export const SubscribedFrame = Type.Object(
  {
    type: Type.Literal("subscribed"),
    id: RequestId,
    topics: Type.Record(Topic, SubscribedTopic),
    refused: Type.Record(Topic, FrameError),
  },
  strict,
);
export type SubscribedFrame = {
  type: "subscribed";
  id: number;
  topics: Record<string, SubscribedTopic>;
  refused: Record<string, FrameError>;
};

export const UnsubscribedFrame = Type.Object(
  { type: Type.Literal("unsubscribed"), id: RequestId, topics: Type.Array(Topic) },
  strict,
);
export type UnsubscribedFrame = { type: "unsubscribed"; id: number; topics: string[] };

export const AnswerFrame = Type.Object(
  { type: Type.Literal("answer"), id: RequestId, data: Type.Unknown() },
  strict,
);
export type AnswerFrame = { type: "answer"; id: number; data: unknown };

/** A refused frame. Without an id, the frame had none that could be read. */
export const ErrorFrame = Type.Object(
  { type: Type.Literal("error"), id: Type.Optional(RequestId), error: FrameError },
  strict,
);
export type ErrorFrame = { type: "error"; id?: number; error: FrameError };

export const PongFrame = Type.Object(
  { type: Type.Literal("pong"), server_time: Type.String({ format: "date-time" }) },
  strict,
);
export type PongFrame = { type: "pong"; server_time: string };

/** An entry of the log. `position` is what `resume` wants to hear. */
export const EntryFrame = Type.Object(
  {
    type: Type.Literal("entry"),
    topic: Topic,
    position: PositionText,
    entry: Type.Object(
      {
        id: Type.String({ format: "uuid" }),
        type: Type.String(),
        time: Type.String({ format: "date-time" }),
        actor: Type.String(),
        data: Type.Unknown(),
      },
      strict,
    ),
  },
  strict,
);
export type EntryFrame = {
  type: "entry";
  topic: string;
  position: string;
  entry: { id: string; type: string; time: string; actor: string; data: unknown };
};

/** The data of an entry, whatever its type, that was redacted after it had been appended. */
export const Redacted = Type.Object({ redacted: Type.Literal(true) }, strict);

/** Entry types that any topic may carry beside those of its kind. */
export const commonEntries = {
  /** The data of these earlier entries of the topic is gone: forget what you have of it. */
  "eventlog.redacted": Type.Object(
    { entry_ids: Type.Array(Type.String({ format: "uuid" })), reason: Type.String() },
    strict,
  ),
} as const;

/** What is true for a moment only: typing, presence. Of one name and key the newest counts; nothing is ever repeated. */
export const SignalFrame = Type.Object(
  {
    type: Type.Literal("signal"),
    topic: Topic,
    name: Type.String(),
    key: Type.String(),
    data: Type.Unknown(),
  },
  strict,
);
export type SignalFrame = { type: "signal"; topic: string; name: string; key: string; data: unknown };

/** This client read too slowly: entries of the topic before `position` will not come. Read the state anew over HTTP. */
export const LimitedFrame = Type.Object(
  { type: Type.Literal("limited"), topic: Topic, position: PositionText },
  strict,
);
export type LimitedFrame = { type: "limited"; topic: string; position: string };

/** The client may no longer read the topic, from `position` on. */
export const RemovedFrame = Type.Object(
  { type: Type.Literal("removed"), topic: Topic, position: PositionText },
  strict,
);
export type RemovedFrame = { type: "removed"; topic: string; position: string };

/** Nothing happened in these topics up to these positions: with them a later `resume` needs to look less far back. */
export const PositionsFrame = Type.Object(
  { type: Type.Literal("positions"), positions: Type.Record(Topic, PositionText) },
  strict,
);
export type PositionsFrame = { type: "positions"; positions: Record<string, string> };

/** The credentials end soon: send `auth` with newer ones. */
export const ExpiringFrame = Type.Object(
  { type: Type.Literal("token.expiring"), expires_at: Type.String({ format: "date-time" }) },
  strict,
);
export type ExpiringFrame = { type: "token.expiring"; expires_at: string };

/** The server is about to close this connection (4103); a client may come back to another one before. */
export const DrainingFrame = Type.Object(
  { type: Type.Literal("server.draining"), close_within_ms: Type.Integer() },
  strict,
);
export type DrainingFrame = { type: "server.draining"; close_within_ms: number };

export const serverFrames = {
  hello: HelloFrame,
  renewed: RenewedFrame,
  subscribed: SubscribedFrame,
  unsubscribed: UnsubscribedFrame,
  answer: AnswerFrame,
  error: ErrorFrame,
  pong: PongFrame,
  entry: EntryFrame,
  signal: SignalFrame,
  limited: LimitedFrame,
  removed: RemovedFrame,
  positions: PositionsFrame,
  "token.expiring": ExpiringFrame,
  "server.draining": DrainingFrame,
} as const;

export type ServerFrame =
  | HelloFrame
  | RenewedFrame
  | SubscribedFrame
  | UnsubscribedFrame
  | AnswerFrame
  | ErrorFrame
  | PongFrame
  | EntryFrame
  | SignalFrame
  | LimitedFrame
  | RemovedFrame
  | PositionsFrame
  | ExpiringFrame
  | DrainingFrame;

/** Grows when a client of the version before would misunderstand a frame. */
export const protocolVersion = 1;
/**
 * Of all that travels over the socket, so that no change of it goes unnoticed: `test/socket-protocol.pg.test.ts` says
 * when it no longer fits, and what to do.
 */
export const protocolHash = "71e4c5e373fc837f";
