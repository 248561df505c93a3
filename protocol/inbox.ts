import { Type } from "typebox";
import { limits } from "./limits.ts";

/** The inbox: what an outside messenger sends, what is stored of it, and what operators read. */

const strict = { additionalProperties: false } as const;
const hex32 = "^[0-9a-fA-F]{32}$";
/** 2100-01-01: above it lies what is counted in milliseconds. */
const unixSecondsMax = 4_102_444_800;

const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const time = Type.String({ format: "date-time" });

/** Body of `POST /api/v1/webhook`, as the messenger sends it. */
export const WebhookBody = Type.Object(
  {
    external_message_id: Type.String({ pattern: hex32, "x-detail": "32 hexadecimal digits" }),
    external_client_id: Type.String({ pattern: hex32, "x-detail": "32 hexadecimal digits" }),
    client_phone: Type.String({
      pattern: "^\\+[1-9][0-9]{6,14}$",
      "x-detail": "a phone number in E.164 form, such as +79194961182",
    }),
    message_text: Type.String({
      "x-text": { min: 1, max: limits.messageTextLength },
      description: `1 to ${limits.messageTextLength} characters (Unicode code points) after the white space around it is removed; no NUL, no lone surrogate`,
    }),
    send_at: Type.Integer({
      minimum: 0,
      maximum: unixSecondsMax,
      "x-detail": "a time in unix seconds (not milliseconds)",
    }),
  },
  {
    ...strict,
    examples: [
      {
        external_message_id: "1a2b3c4d5e6f7890abcdef1234567890",
        external_client_id: "fedcba0987654321abcdef1234567890",
        client_phone: "+79194961182",
        message_text: "Привет!",
        send_at: 1640995200,
      },
    ],
  },
);
export type WebhookBody = Type.Static<typeof WebhookBody>;

export const sourceNamePattern = `^[a-z0-9][a-z0-9._-]{0,${limits.nameLength - 1}}$`;
/** The rule in words, for those who break it. */
export const sourceNameRule = `1 to ${limits.nameLength} lower-case letters, digits, dots, dashes or underscores, beginning with a letter or digit`;
const SourceName = Type.String({ pattern: sourceNamePattern, "x-detail": sourceNameRule });

/** `?source=` of the webhook: needed unless the API key is bound to a source. */
export const WebhookQuery = Type.Object({ source: Type.Optional(SourceName) }, strict);
export type WebhookQuery = Type.Static<typeof WebhookQuery>;

/** The answer to a webhook: the same one for every repetition of the same message. */
export const WebhookAccepted = Type.Object(
  { status: Type.Literal("accepted"), message_id: Type.String({ format: "uuid" }) },
  { ...strict, description: "The message is on disk, now or since an earlier repetition" },
);
export type WebhookAccepted = Type.Static<typeof WebhookAccepted>;

/** Entry type of an accepted webhook; its data is `MessageReceivedData`. */
export const messageReceived = "inbox.message.received";

/** Data of `inbox.message.received`: the payload is the request's body, byte for byte. */
export type MessageReceivedData = { readonly source_id: number; readonly payload: WebhookBody };

/**
 * How the sender of a source proves itself: by an API key; by Standard Webhooks (`webhook-id`, `webhook-timestamp`,
 * `webhook-signature`); by `X-Hub-Signature-256`; by `X-Telegram-Bot-Api-Secret-Token`.
 */
export const sourceSchemes = ["api_key", "standard", "hub", "telegram"] as const;
export type SourceScheme = (typeof sourceSchemes)[number];
const Scheme = Type.Union(sourceSchemes.map((scheme) => Type.Literal(scheme)));

export const Source = Type.Object({ id, name: SourceName, scheme: Scheme, created_at: time }, strict);
export type SourceView = { id: number; name: string; scheme: SourceScheme; created_at: string };

export const NewSource = Type.Object(
  {
    name: SourceName,
    scheme: Scheme,
    secret: Type.Optional(
      Type.String({
        minLength: 16,
        maxLength: 256,
        description: "the sender's secret; made when it is left out",
      }),
    ),
  },
  strict,
);
export type NewSource = { name: string; scheme: SourceScheme; secret?: string };

/** The secret is shown here and never again. */
export const SourceWithSecret = Type.Object(
  { source: Source, secret: Type.String() },
  { ...strict, description: "The source and its new secret or key" },
);
export const SourceParams = Type.Object({ name: SourceName }, strict);
/** A body of its own is not needed: without one the previous secret is good for the longest time. */
export const RotateSource = Type.Object(
  {
    grace_s: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: limits.rotationGraceS,
        default: limits.rotationGraceS,
        description: "seconds for which the previous secret or key is still good; 0 ends it at once",
      }),
    ),
  },
  strict,
);
export type RotateSource = Type.Static<typeof RotateSource>;
/** Answers with nothing. */
export const SourceRemoved = Type.Null({ description: "The source is removed" });

export const dialogStates = ["open", "pending", "snoozed", "closed"] as const;
export type DialogState = (typeof dialogStates)[number];
const State = Type.Union(dialogStates.map((state) => Type.Literal(state)));

const Cursor = Type.String({ minLength: 1, maxLength: 200, description: "`next_cursor` of the page before" });
const PageLimit = Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault });
const nextCursor = Type.Union([Type.String(), Type.Null()], { description: "null on the last page" });

export const SourceQuery = Type.Object(
  { limit: Type.Optional(PageLimit), cursor: Type.Optional(Cursor) },
  strict,
);
export type SourceQuery = Type.Static<typeof SourceQuery>;
export const SourcePage = Type.Object(
  { sources: Type.Array(Source), next_cursor: nextCursor },
  { ...strict, description: "A page of sources, by name" },
);

export const Contact = Type.Object(
  {
    id,
    source_id: id,
    source: Type.String({
      pattern: sourceNamePattern,
      description: "the source's name; once it is removed, another one may have it",
    }),
    external_client_id: Type.String({ pattern: hex32 }),
    phone: Type.String(),
    created_at: time,
  },
  { ...strict, description: "A person in an outside messenger, as one source knows them" },
);
export type ContactView = Type.Static<typeof Contact>;

export const Dialog = Type.Object(
  {
    id,
    state: State,
    contact: Contact,
    messages_count: Type.Integer(),
    opened_at: time,
    last_message_at: time,
    last_message_text: Type.String({ description: "the first 200 characters of the newest message" }),
  },
  strict,
);
export type DialogView = Omit<Type.Static<typeof Dialog>, "state"> & { state: DialogState };

export const DialogQuery = Type.Object(
  {
    state: Type.Optional(State),
    contact_id: Type.Optional(id),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  },
  strict,
);
export type DialogQuery = { state?: DialogState; contact_id?: number; limit?: number; cursor?: string };

/**
 * Dialogs by the ten seconds in which their newest message arrived, the latest first; within these, the one that was
 * opened last first. What is on one page is ordered exactly, by the newest message.
 */
export const DialogPage = Type.Object(
  { dialogs: Type.Array(Dialog), next_cursor: nextCursor },
  { ...strict, description: "A page of dialogs, the one with the newest message first" },
);

export const DialogMessage = Type.Object(
  {
    id: Type.String({ format: "uuid" }),
    external_message_id: Type.String({ pattern: hex32 }),
    direction: Type.Union([Type.Literal("in"), Type.Literal("out")]),
    text: Type.Union([Type.String(), Type.Null()], { description: "null once it was erased" }),
    sent_at: time,
    received_at: time,
  },
  strict,
);
export type DialogMessageView = Type.Static<typeof DialogMessage>;

export const messageOrders = ["asc", "desc"] as const;
export type MessageOrder = (typeof messageOrders)[number];
export const MessageQuery = Type.Object(
  {
    order: Type.Optional(
      Type.Union(
        messageOrders.map((order) => Type.Literal(order)),
        { default: "asc", description: "desc: the last one sent first" },
      ),
    ),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  },
  strict,
);
export type MessageQuery = { order?: MessageOrder; limit?: number; cursor?: string };

/** Messages of a dialog by the time at which they were sent; in the same second, as they arrived. */
export const MessagePage = Type.Object(
  { messages: Type.Array(DialogMessage), next_cursor: nextCursor },
  { ...strict, description: "A page of the dialog's messages" },
);

export const IdParams = Type.Object({ id }, strict);
export type IdParams = Type.Static<typeof IdParams>;
