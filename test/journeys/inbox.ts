import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import {
  Contact,
  type ContactView,
  DialogPage,
  type DialogMessageView,
  type DialogView,
  MessagePage,
  type SourceScheme,
  SourceWithSecret,
  WebhookAccepted,
  type WebhookBody,
} from "../../protocol/inbox.ts";
import { type Answer, type TestApp, startTestApp } from "../app.ts";

/** The inbox as an outside messenger and an operator meet it: over HTTP only. */
export type Inbox = TestApp & {
  /** A key with every scope. */
  readonly admin: string;
  /** The source that `post` and `send` speak for, and its key. */
  readonly source: NewSource;
  readonly addSource: (scheme: SourceScheme, secret?: string) => Promise<NewSource>;
  /** Posts a webhook with the key of `source`. */
  readonly post: (body: unknown) => Promise<Answer>;
  /** Posts a webhook that must be accepted; resolves with the message's id. */
  readonly send: (body: WebhookBody) => Promise<string>;
  /** All dialogs of all pages. */
  readonly dialogs: (query?: string) => Promise<readonly DialogView[]>;
  /** The dialogs of one person, the newest first. */
  readonly dialogsOf: (clientId: string) => Promise<readonly DialogView[]>;
  readonly messages: (dialogId: number) => Promise<readonly DialogMessageView[]>;
  readonly contact: (id: number) => Promise<ContactView>;
};

export type NewSource = { readonly id: number; readonly name: string; readonly secret: string };

type Cleanup = { after(callback: () => Promise<void>): void };

export async function openInbox(t: Cleanup, settings: Readonly<Record<string, string>> = {}): Promise<Inbox> {
  const app = await startTestApp(t, settings);
  const admin = await app.key(["admin"]);
  let sources = 0;

  const addSource: Inbox["addSource"] = async (scheme, secret) => {
    const name = `${scheme.replace("_", "-")}-${++sources}`;
    const json = secret === undefined ? { name, scheme } : { name, scheme, secret };
    const answer = await app.request("POST", "/api/v1/sources", { key: admin, json });
    assert.equal(answer.status, 201, answer.text);
    const made = answer.as(SourceWithSecret);
    return { id: made.source.id, name, secret: made.secret };
  };
  const source = await addSource("api_key");
  const post: Inbox["post"] = (json) => app.request("POST", "/api/v1/webhook", { key: source.secret, json });
  const dialogs: Inbox["dialogs"] = (query = "") =>
    allPages(async (cursor) => {
      const answer = await app.request("GET", `/api/v1/dialogs?limit=200${query}${cursor}`, { key: admin });
      const page = answer.as(DialogPage) as { dialogs: DialogView[]; next_cursor: string | null };
      return { rows: page.dialogs, next: page.next_cursor };
    });

  return {
    ...app,
    admin,
    source,
    addSource,
    post,
    send: async (body) => {
      const answer = await post(body);
      assert.equal(answer.status, 202, answer.text);
      return answer.as(WebhookAccepted).message_id;
    },
    dialogs,
    dialogsOf: async (clientId) =>
      (await dialogs()).filter(({ contact }) => contact.external_client_id === clientId),
    messages: (dialogId) =>
      allPages(async (cursor) => {
        const path = `/api/v1/dialogs/${dialogId}/messages?limit=200${cursor}`;
        const page = (await app.request("GET", path, { key: admin })).as(MessagePage);
        return { rows: page.messages, next: page.next_cursor };
      }),
    contact: async (id) => (await app.request("GET", `/api/v1/contacts/${id}`, { key: admin })).as(Contact),
  };
}

async function allPages<T>(
  read: (cursor: string) => Promise<{ readonly rows: readonly T[]; readonly next: string | null }>,
): Promise<readonly T[]> {
  const all: T[] = [];
  let next: string | null = "";
  while (next !== null) {
    const page: { readonly rows: readonly T[]; readonly next: string | null } = await read(
      next === "" ? "" : `&cursor=${next}`,
    );
    all.push(...page.rows);
    ({ next } = page);
  }
  return all;
}

/** 32 hexadecimal digits that nobody else has. */
export function hexId(): string {
  return randomBytes(16).toString("hex");
}

/** A valid webhook of a new message, of a new contact unless one is named. */
export function webhook(parts: Partial<WebhookBody> = {}): WebhookBody {
  return {
    external_message_id: hexId(),
    external_client_id: hexId(),
    client_phone: "+79194961182",
    message_text: "Привет!",
    send_at: 1_640_995_200,
    ...parts,
  };
}

/** A JWT, made independently of the server's own code. */
export function signToken(
  secret: string,
  claims: Readonly<Record<string, unknown>>,
  alg: "HS256" | "HS512" | "none" = "HS256",
): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const content = `${part({ alg })}.${part({ sub: "7", exp: 4_102_444_800, ...claims })}`;
  if (alg === "none") return `${content}.`;
  const mac = createHmac(alg === "HS256" ? "sha256" : "sha512", secret).update(content);
  return `${content}.${mac.digest("base64url")}`;
}

/** The headers by which a messenger signs a body, made independently of the server's own code. */
export const signatures = {
  standard: (
    secret: string,
    body: string | Uint8Array,
    { id = "msg_1", timestamp = String(Math.floor(Date.now() / 1000)) } = {},
  ): Record<string, string> => ({
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${createHmac("sha256", Buffer.from(secret.replace("whsec_", ""), "base64"))
      .update(`${id}.${timestamp}.`)
      .update(body)
      .digest("base64")}`,
  }),
  hub: (secret: string, body: string | Uint8Array): Record<string, string> => ({
    "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
  }),
  telegram: (secret: string): Record<string, string> => ({ "x-telegram-bot-api-secret-token": secret }),
} as const;
