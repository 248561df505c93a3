import { Type } from "typebox";
import { limits } from "./limits.ts";

/** Web push: how people without a connection hear of notifications, through the push service of their browser. */

const strict = { additionalProperties: false } as const;
const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const time = Type.String({ format: "date-time" });

/** Answer of `GET /api/v1/push/key`. */
export const PushKey = Type.Object(
  {
    public_key: Type.String({
      description: "65 bytes in base64url: the `applicationServerKey` that a browser subscribes with",
    }),
  },
  strict,
);
export type PushKey = { public_key: string };

const p256dh = Type.String({
  pattern: "^[A-Za-z0-9_-]{87}=?$",
  "x-detail": "a point of the curve P-256, 65 bytes in base64url",
});
const auth = Type.String({ pattern: "^[A-Za-z0-9_-]{22}(==)?$", "x-detail": "16 bytes in base64url" });

/** Body of `POST /api/v1/push/subscriptions`: a browser's `PushSubscription` as `JSON.stringify` writes it. */
export const NewPushSubscription = Type.Object(
  {
    endpoint: Type.String({
      minLength: 1,
      maxLength: limits.pushEndpointLength,
      pattern: "^https?://[\\x21-\\x7e]+$",
      "x-detail": "the address of a push service",
    }),
    expirationTime: Type.Optional(
      Type.Union([Type.Number(), Type.Null()], {
        description: "not used: a push service says itself when a subscription has ended",
      }),
    ),
    keys: Type.Object({ p256dh, auth }, strict),
  },
  {
    ...strict,
    examples: [
      {
        endpoint: "https://push.example.org/wpush/v2/gAAAAABn",
        expirationTime: null,
        keys: {
          p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
          auth: "BTBZMqHH6r4Tts7J_aSIgg",
        },
      },
    ],
  },
);
export type NewPushSubscription = {
  endpoint: string;
  expirationTime?: number | null;
  keys: { p256dh: string; auth: string };
};

export const PushSubscribed = Type.Object({ id }, strict);
export type PushSubscribed = { id: number };

/** A browser that a person has subscribed. Its address is a secret, of which only the push service's host is shown. */
export const PushSubscriptionView = Type.Object(
  {
    id,
    host: Type.String({ description: "of the push service" }),
    created_at: time,
    last_ok_at: Type.Union([time, Type.Null()], {
      description: "when the push service last took something for it",
    }),
  },
  strict,
);
export type PushSubscriptionView = {
  id: number;
  host: string;
  created_at: string;
  last_ok_at: string | null;
};

export const PushSubscriptionList = Type.Object({ subscriptions: Type.Array(PushSubscriptionView) }, strict);
export type PushSubscriptionList = { subscriptions: PushSubscriptionView[] };

export const PushSubscriptionParams = Type.Object({ id }, strict);

/** What a service worker gets: `event.data.json()`. */
export const PushedNotification = Type.Object(
  {
    notification_id: Type.String(),
    stream_id: Type.String(),
    message: Type.String({ description: "its beginning with … where the whole does not fit into a push" }),
    source: Type.String(),
    category: Type.String(),
    link: Type.Union([Type.String(), Type.Null()], {
      description: "null also where it does not fit into a push",
    }),
    created_at: time,
    unread: Type.Integer({ minimum: 0, description: "how many were unread when it was sent" }),
  },
  strict,
);
export type PushedNotification = {
  notification_id: string;
  stream_id: string;
  message: string;
  source: string;
  category: string;
  link: string | null;
  created_at: string;
  unread: number;
};
