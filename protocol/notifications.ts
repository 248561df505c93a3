import { Type } from "typebox";
import { Username } from "./accounts.ts";
import { limits } from "./limits.ts";

/** Notifications: what a program tells people, until they have read it or it ends. */

const strict = { additionalProperties: false } as const;
const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const time = Type.String({ format: "date-time" });
const uuid = Type.String({
  format: "uuid",
  pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
  "x-detail": "a UUID in lower case",
});
/** A time that clients send: RFC 3339 with a zone, in years of four digits, and no second that only some clocks know. */
export const SentTime = Type.String({
  pattern:
    "^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
  "x-detail":
    "a time as RFC 3339 has it, such as 2024-01-01T12:00:00Z, in the years 1000 to 2999 and without a leap second",
  description: "kept in UTC to the millisecond: what is finer is cut off",
});

/** What came before it in a person's notifications has a smaller one: milliseconds, and a count within them. */
export const streamIdPattern = "^(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,8})$";
const StreamId = Type.String({
  pattern: streamIdPattern,
  "x-detail": "a stream id, such as 1658926500000-0",
  description:
    "its place among the person's notifications: two numbers that only grow, the first in milliseconds",
});

export const notificationStates = ["unread", "seen", "read", "archived"] as const;
/** Each state includes those before it. What is unread or seen counts as unread, and is told again to each connection. */
export type NotificationState = (typeof notificationStates)[number];
const State = Type.Union(notificationStates.map((state) => Type.Literal(state)));

export const categoryPattern = `^[a-z0-9][a-z0-9._-]{0,${limits.nameLength - 1}}$`;
const categoryRule = `1 to ${limits.nameLength} lower-case letters, digits, dots, dashes or underscores, beginning with a letter or digit`;
/** What people mute, delay or bundle by. */
export const Category = Type.String({ pattern: categoryPattern, "x-detail": categoryRule });
export const defaultCategory = "general";

const Source = Type.String({
  pattern: "^[^\\p{Cc}]*$",
  "x-text": { min: 1, max: limits.nameLength },
  "x-detail": "a name without control characters",
  description: "who tells it, in words for people or programs",
});
const MessageText = Type.String({
  "x-text": { min: 1, max: limits.messageTextLength },
  description: `1 to ${limits.messageTextLength} characters (Unicode code points) after the white space around it is removed; no NUL, no lone surrogate`,
});
const Link = Type.String({
  maxLength: limits.linkLength,
  "x-text": { min: 1, max: limits.linkLength },
  // Browsers take a second slash, either way round, for the beginning of a host.
  pattern: "^(https?://|/(?![/\\\\]))[^\\s\\p{Cc}]*$",
  "x-detail":
    "an address that begins with https:// or http://, or a path that begins with a single / (two name another host, without a scheme)",
  description: "where to go for more",
});

/** Somebody who is to be told. With a login, it must be theirs. */
export const Target = Type.Object({ id, login: Type.Optional(Username) }, strict);
export type Target = { id: number; login?: string };

/** Body of `POST /api/v1/notify`, as the seed has it; the fields from `ttl_s` on are ours. */
export const Notify = Type.Object(
  {
    target: Type.Array(Target, { minItems: 1, maxItems: limits.notifyTargets }),
    message: MessageText,
    source: Source,
    created_at: Type.Optional(SentTime),
    ttl_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: limits.notificationTtlS,
        description:
          "seconds until it ends whether it was read or not; 900 unless the source or this says otherwise",
      }),
    ),
    category: Type.Optional(Category),
    critical: Type.Optional(
      Type.Boolean({ description: "told at once whatever people have muted, delayed or bundled" }),
    ),
    link: Type.Optional(Link),
  },
  {
    ...strict,
    examples: [
      {
        target: [
          { id: 1, login: "user1" },
          { id: 2, login: "user2" },
        ],
        message: "Новое сообщение",
        source: "chat-api",
        created_at: "2024-01-01T12:00:00Z",
      },
    ],
  },
);
export type Notify = {
  target: Target[];
  message: string;
  source: string;
  created_at?: string;
  ttl_s?: number;
  category?: string;
  critical?: boolean;
  link?: string;
};

export const targetFaults = ["unknown_person", "login_mismatch", "inbox_full", "muted"] as const;
export type TargetFault = (typeof targetFaults)[number];
/** What became of a target, in the order of the request. Those that cannot be told are named, and hold up nobody. */
export const NotifyResult = Type.Union([
  Type.Object(
    {
      target: Target,
      notification_id: uuid,
      held_until: Type.Optional(
        Type.String({
          format: "date-time",
          description:
            "when it is told, if not at once: the person has quiet hours, or wants a digest, of which this is the id then",
        }),
      ),
    },
    strict,
  ),
  Type.Object(
    {
      target: Target,
      error: Type.Object(
        { code: Type.Union(targetFaults.map((code) => Type.Literal(code))), detail: Type.String() },
        strict,
      ),
    },
    strict,
  ),
]);
export type NotifyResult =
  | { target: Target; notification_id: string; held_until?: string }
  | { target: Target; error: { code: TargetFault; detail: string } };
export const Notified = Type.Object({ results: Type.Array(NotifyResult) }, strict);
export type Notified = { results: NotifyResult[] };

export const Notification = Type.Object(
  {
    notification_id: uuid,
    stream_id: StreamId,
    message: Type.String(),
    created_at: Type.String({
      format: "date-time",
      description: "as the sender says; when it was accepted unless they do",
    }),
    source: Type.String(),
    status: State,
    category: Type.String(),
    critical: Type.Boolean(),
    link: Type.Union([Type.String(), Type.Null()]),
    gathered: Type.Integer({
      minimum: 1,
      description: "how many it stands for: more than one if the person wants a digest of its category",
    }),
    expires_at: time,
  },
  strict,
);
export type Notification = {
  notification_id: string;
  stream_id: string;
  message: string;
  created_at: string;
  source: string;
  status: NotificationState;
  category: string;
  critical: boolean;
  link: string | null;
  gathered: number;
  expires_at: string;
};

const unreadFields = {
  unread: Type.Integer({ minimum: 0, description: "how many are unread or seen, and have not ended" }),
  version: Type.Integer({
    minimum: 0,
    description: "grows with each change of them: a smaller one is older news",
  }),
};
/** How many a person has not read, as of a version. */
export const Unread = Type.Object(unreadFields, strict);
export type Unread = { unread: number; version: number };

/** Which notifications, the newest first. */
export const NotificationsQuery = Type.Object(
  {
    state: Type.Optional(
      Type.Union([...notificationStates.map((state) => Type.Literal(state)), Type.Literal("any")], {
        description: "`unread` includes seen ones; everything but archived ones unless given",
      }),
    ),
    category: Type.Optional(Category),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault }),
    ),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  strict,
);
export type NotificationsQuery = {
  state?: NotificationState | "any";
  category?: string;
  limit?: number;
  cursor?: string;
};
export const NotificationPage = Type.Object(
  {
    notifications: Type.Array(Notification),
    next_cursor: Type.Union([Type.String(), Type.Null()]),
    ...unreadFields,
  },
  strict,
);
export type NotificationPage = {
  notifications: Notification[];
  next_cursor: string | null;
  unread: number;
  version: number;
};

/**
 * Marks some, or all up to one: broadcasts among them only if it is the place of one. Those that have ended, or were marked
 * before, are no error.
 */
export const Mark = Type.Object(
  {
    state: Type.Union(notificationStates.slice(1).map((state) => Type.Literal(state))),
    notification_ids: Type.Optional(
      Type.Array(uuid, {
        minItems: 1,
        maxItems: limits.marksPerRequest,
        description: "their own and broadcasts alike",
      }),
    ),
    up_to: Type.Optional(StreamId),
  },
  {
    ...strict,
    // One form with a rule, not two forms: so a refusal names the field that is wrong.
    oneOf: [{ required: ["notification_ids"] }, { required: ["up_to"] }],
    "x-detail": "an object of `state` and either `notification_ids` or `up_to`, and not both",
  },
);
export type MarkedState = Exclude<NotificationState, "unread">;
export type Mark = { state: MarkedState; notification_ids: string[] } | { state: MarkedState; up_to: string };

/** Data of `notification.created`. */
export const NotificationCreatedData = Type.Object(
  {
    notification: Notification,
    again: Type.Optional(
      Type.Literal(true, {
        description: "it says what was told before, without what was erased: nothing to ring a bell for",
      }),
    ),
    ...unreadFields,
  },
  strict,
);
export type NotificationCreatedData = { notification: Notification; again?: true } & Unread;

const Place = Type.Object({ notification_id: uuid, stream_id: StreamId }, strict);
export type Place = { notification_id: string; stream_id: string };

/** Data of `notification.marked`: these have this state now. Of many, there are several entries. */
export const NotificationMarkedData = Type.Object(
  { state: State, notifications: Type.Array(Place), ...unreadFields },
  strict,
);
export type NotificationMarkedData = { state: MarkedState; notifications: Place[] } & Unread;

/** Data of `notification.expired`: these were not read in time, and are gone. */
export const NotificationExpiredData = Type.Object(
  { notifications: Type.Array(Place), ...unreadFields },
  strict,
);
export type NotificationExpiredData = { notifications: Place[] } & Unread;

/** What travels in `user/…` of these. */
export const notificationEntries = {
  "notification.created": NotificationCreatedData,
  "notification.marked": NotificationMarkedData,
  "notification.expired": NotificationExpiredData,
} as const;

/** The seed's frames, as its clients send and hear them. */
export const SeedPush = Type.Object(
  {
    type: Type.Literal("notification.push"),
    data: Type.Object(
      {
        notification_id: uuid,
        stream_id: StreamId,
        message: Type.String(),
        created_at: time,
        source: Type.String(),
        status: State,
      },
      strict,
    ),
  },
  strict,
);
const seedRead = Type.Object({ notification_id: uuid, stream_id: Type.Optional(StreamId) }, strict);
export const SeedRead = Type.Object({ type: Type.Literal("notification.read"), data: seedRead }, strict);
export type SeedRead = {
  type: "notification.read";
  data: { notification_id: string; stream_id?: string };
};
export const SeedReadAck = Type.Object(
  { type: Type.Literal("notification.read.ack"), data: seedRead },
  strict,
);
